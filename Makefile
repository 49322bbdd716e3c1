# Everything a developer or a first-time user runs; `make` alone lists it.
# Needs Python 3.11+, make and git. Everything else is installed into .venv from locked, hashed files.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN  := $(VENV)/bin
PY   := $(BIN)/python

# The service as it ships, compiled. Empty (by `make COMPILED= ...`, or where Python has no C headers): the sources are taken.
ifeq ($(origin COMPILED), undefined)
COMPILED := $(shell $(or $(wildcard $(PY)),$(PYTHON)) -c 'import pathlib, sys, sysconfig; \
  has_headers = pathlib.Path(sysconfig.get_path("include"), "Python.h").exists(); \
  print("build/compiled" if has_headers and sys.platform == "linux" else "")' 2>/dev/null)
endif
# What it is made of; the stamp is another one when a file is gone or has come.
SOURCES := $(sort $(shell find loyalty processor storage -type f -not -name '*.pyc'))
STAMP   := build/compiled/.stamp-$(firstword $(shell echo $(SOURCES) | cksum))
# What must be there for it, and how programs and tests are told to take it.
shipped    := $(if $(COMPILED),$(STAMP),sources)
as_shipped := $(if $(COMPILED),PYTHONSAFEPATH=1 PYTHONPATH="$(abspath $(COMPILED)):$(CURDIR)")
pytest     := $(PY) -m pytest $(if $(COMPILED),--compiled=$(COMPILED))

PROTOS := $(wildcard protos/loyalty/v1/*.proto)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run compiled sources test test-native test-long bench bench-quick bench-growth profile replay drill fmt protos docs pictures lock clean \
        lint lint-python lint-types lint-imports lint-sql lint-protos lint-containers lint-spelling lint-repository

help: ## Show this list
	@echo 'Usage: make <target> [ARGS="..."] [PYTHON=python3.12]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.project ## Start the processor with a demo on an embedded PostgreSQL (ARGS=--once: demo, then stop)
	@$(BIN)/loyalty-processor run $(ARGS)

compiled: $(STAMP) ## Compile the service as it ships, into build/compiled

sources:
	@echo 'The service is not compiled, as it ships: COMPILED is empty, or Python has no Python.h (Debian: python3-dev)'

test: $(VENV)/.dev $(VENV)/.replay $(shipped) ## Run the whole test suite on a real PostgreSQL (ARGS="-k name" narrows it)
	@$(pytest) -n logical --maxprocesses 8 $(ARGS)

test-native: $(VENV)/.dev $(shipped) ## Run the tests of the wire and of whole servers on the native transport alone
	@$(pytest) -n logical --maxprocesses 8 --transport native tests/unit tests/acceptance tests/adversity \
	    tests/integration $(ARGS)

test-long: $(VENV)/.dev $(shipped) ## Crash and restart everything 20 times, and predict 10,000 operations (some 15 minutes)
	@$(pytest) -s tests/adversity/test_crashes.py tests/adversity/test_rolling_restart.py \
	    tests/acceptance/test_model.py tests/adversity/test_connections.py \
	    --crash-rounds 20 --restart-rounds 20 --model-operations 10000 --connections 10000 $(ARGS)

lint: lint-python lint-types lint-imports lint-sql lint-protos lint-containers lint-spelling lint-repository ## Check everything that can be checked without running it
	@echo 'lint: all green'

fmt: $(VENV)/.dev ## Format Python, SQL and protobuf, and apply safe fixes
	@$(BIN)/ruff check -q --fix .; $(BIN)/ruff format -q .
	@$(BIN)/sqlfluff fix -q storage
	@$(BIN)/buf format -w protos

protos: $(VENV)/.dev ## Generate loyalty/ (Python) from protos/
	@rm -f loyalty/v1/*_pb2*
	@$(call generate,.)

docs: $(VENV)/.dev ## Generate docs/metrics.md and Grafana's dashboards
	@$(PY) -m monitoring

pictures: $(VENV)/.pictures ## Draw the dashboards as they look under load (needs Prometheus; some 4 minutes)
	@$(PY) -m tests.dashboards.draw $(ARGS)

bench: $(VENV)/.pictures $(shipped) ## Compare the service with PostgreSQL's own limit and with baselines (some 8 minutes)
	@$(as_shipped) $(PY) -m benchmarks.compare --json bench.json --html bench.html $(growth) $(ARGS)

bench-quick: $(VENV)/.pictures $(shipped) ## The same in about a minute, without what takes long
	@$(as_shipped) $(PY) -m benchmarks.compare --quick --json bench-quick.json --html bench-quick.html $(growth) $(ARGS)

bench-growth: $(VENV)/.dev $(shipped) ## Measure ledgers of up to 50 million rows (needs 40 GB of disk)
	@$(as_shipped) $(PY) -m benchmarks.growth --json growth.json $(ARGS)

profile: $(VENV)/.dev $(shipped) ## Sample a busy worker and tell where its time goes (ARGS="--transport native --mode batch")
	@$(as_shipped) $(PY) -m benchmarks.profile $(ARGS)

replay: $(VENV)/.replay $(shipped) ## Send a year of real receipts through a running service and audit the balances
	@$(as_shipped) $(PY) -m benchmarks.replay $(ARGS)

drill: $(VENV)/.dev $(shipped) ## Back a server up under load, lose it, recover it to a point in time, and prove the result
	@$(pytest) -q -s tests/adversity/test_recovery.py

lock: $(VENV)/.base ## Write the lock files from pyproject.toml (ARGS=--upgrade takes newer versions)
	@$(call compile,requirements-bootstrap.lock,--group bootstrap)
	@$(call compile,requirements.lock,pyproject.toml --extra embedded --extra tracing --extra native --group build)
	@$(call compile,requirements-image.lock,pyproject.toml --extra tracing --extra native -c requirements.lock)
	@$(call compile,requirements-dev.lock,--group dev -c requirements.lock)
	@$(call compile,requirements-build.lock,--group build --group compile -c requirements.lock -c requirements-dev.lock)
	@$(call compile,requirements-replay.lock,--group replay -c requirements.lock -c requirements-dev.lock)
	@$(call compile,requirements-pictures.lock,--group pictures -c requirements-dev.lock -c requirements-replay.lock)

clean: ## Remove the virtual environment, caches (a fetched Prometheus too) and builds; .data stays
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +


# --- lint, part by part ---------------------------------------------------------------------------

lint-python: $(VENV)/.dev
	@echo 'lint: ruff'
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check . || { echo 'run: make fmt' >&2; exit 1; }

lint-types: $(VENV)/.dev
	@echo 'lint: mypy --strict'
	@$(BIN)/mypy --no-error-summary

lint-imports: $(VENV)/.dev
	@echo 'lint: import-linter'
	@out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out" >&2; exit 1; }

lint-sql: $(VENV)/.dev
	@echo 'lint: sqlfluff, squawk'
	@$(BIN)/sqlfluff lint -q storage
	@find storage -path '*/migrations/*.sql' | xargs -r $(BIN)/squawk

lint-protos: $(VENV)/.dev
	@echo 'lint: buf, generated code'
	@$(call in_scratch,$(protoc) --include_imports --include_source_info --descriptor_set_out=$$scratch/image.binpb $(PROTOS) \
	  && $(BIN)/buf lint $$scratch/image.binpb)
	@$(BIN)/buf format --diff --exit-code protos
	@$(call in_scratch,$(call generate,$$scratch) && diff -rq -x __init__.py -x py.typed -x __pycache__ $$scratch/loyalty loyalty) \
	  || { echo 'loyalty/ is not what protos/ generates; run: make protos' >&2; exit 1; }

lint-containers: $(VENV)/.dev
	@echo 'lint: hadolint, compose specification'
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema -q --builtin-schema vendor.compose-spec compose.yaml

lint-spelling: $(VENV)/.dev
	@echo 'lint: codespell'
	@git ls-files -z --cached --others --exclude-standard | xargs -0 $(BIN)/codespell

lint-repository: $(VENV)/.dev
	@echo 'lint: what the repository may hold'
	@$(PY) -m pytest -qq tests/unit/test_repository.py


# --- recipes used more than once ------------------------------------------------------------------

# What the last `make bench-growth` here has found, for the page of `make bench`.
growth = $(if $(wildcard growth.json),--growth growth.json)

# $(call install,lock): by uv; where it cannot (no wheel for the machine, an index only pip is configured for), by pip.
install = { $(BIN)/uv pip install -q --system-certs --link-mode=copy --no-build --python $(PY) --require-hashes -r $(1) 2>$(VENV)/uv.log \
  || { echo 'uv could not (see $(VENV)/uv.log): pip installs instead, some 30 seconds longer'; \
       $(PY) -m pip install -q --disable-pip-version-check --only-binary=:all: --require-hashes -r $(1); }; }

install_project = $(PY) -m pip install -q --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .

# $(call compile,lock,sources): pins every version with its hashes, for every platform, naming no index.
compile = echo '$(1)' && $(BIN)/uv pip compile -q --system-certs $(2) --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate $(ARGS) -o $(1)

# Google's own .proto files come with googleapis-common-protos.
protoc = $(PY) -m grpc_tools.protoc -I protos -I "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# $(call generate,folder): messages with their types, and stubs for the files that hold a service.
generate = $(protoc) --plugin=$(BIN)/protoc-gen-mypy --python_out=$(1) --mypy_out=quiet:$(1) $(PROTOS) \
  && $(protoc) --plugin=$(BIN)/protoc-gen-mypy_grpc --grpc_python_out=$(1) --mypy_grpc_out=quiet:$(1) $(filter %_service.proto,$(PROTOS))

# $(call in_scratch,commands): runs them with a folder in $$scratch that is removed afterwards.
in_scratch = scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(1)


# --- the virtual environment: each stamp is newer than the lock it was installed from ---------------

$(VENV)/.base: requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'This needs Python 3.11 or newer, and "$(PYTHON)" is not. Name one that is: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'Creating the virtual environment in $(VENV) (some 10 seconds, once)'
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check --only-binary=:all: --require-hashes -r $< || echo 'No uv for this machine; pip will install instead'
	@touch $@

$(VENV)/.runtime: requirements.lock $(VENV)/.base
	@echo 'Installing the libraries and PostgreSQL (some 10 seconds, once)'
	@$(call install,$<)
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.runtime
	@$(install_project)
	@touch $@

# Apart from the other: a C compiler is large, and nothing but the build needs it.
build/venv/.installed: private PY := build/venv/bin/python
build/venv/.installed: requirements-build.lock $(VENV)/.base
	@echo 'Installing a compiler into build/venv (some 20 seconds, once)'
	@$(VENV)/bin/python -m venv --clear build/venv
	@$(call install,$<)
	@touch $@

$(STAMP): build/venv/.installed hatch_build.py pyproject.toml $(SOURCES) | $(VENV)/.base
	@echo 'Compiling the service as it ships (some minute, after each change of it)'
	@rm -rf build/wheel build/compiled
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true build/venv/bin/python -m pip wheel -q --disable-pip-version-check \
	  --no-index --no-deps --no-build-isolation --wheel-dir build/wheel .
	@$(PY) -m zipfile -e build/wheel/*.whl build/compiled
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime | $(VENV)/.project
	@echo 'Installing the development tools (some 10 seconds, once)'
	@$(call install,$<)
	@touch $@

$(VENV)/.replay: requirements-replay.lock $(VENV)/.runtime | $(VENV)/.project
	@echo 'Installing pandas and a year of receipts (about 100 MB, once)'
	@$(call install,$<)
	@touch $@

$(VENV)/.pictures: requirements-pictures.lock $(VENV)/.dev
	@echo 'Installing what draws pictures (some 10 seconds, once)'
	@$(call install,$<)
	@touch $@
