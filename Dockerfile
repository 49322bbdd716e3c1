# The image of the service. To build it:
#
#   docker build --tag loyalty-processor --build-arg REVISION="$(git rev-parse HEAD)" .
#
# For builds that must repeat to the byte, pin the base: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


FROM ${PYTHON_IMAGE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/loyalty

# Before the sources, so that a change of them installs nothing anew.
COPY requirements-build.lock requirements-image.lock ./
RUN python -m pip install --only-binary=:all: --require-hashes -r requirements-build.lock \
 && python -m pip --python /opt/loyalty/bin/python install --only-binary=:all: --require-hashes -r requirements-image.lock

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY loyalty loyalty
COPY processor processor
COPY storage storage
# What every operation goes through is compiled.
RUN HATCH_BUILD_HOOK_ENABLE_CUSTOM=true python -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/loyalty/bin/python install --no-index --no-deps dist/*.whl


FROM ${PYTHON_IMAGE}

ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="loyalty-processor" \
      org.opencontainers.image.description="Accrues and redeems loyalty points over gRPC, once per idempotency key" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# From here on nothing is installed, and nothing that could install is left.
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
 && rm -rf /usr/local/lib/python3.*/ensurepip

COPY --from=build /opt/loyalty /opt/loyalty
ENV PATH="/opt/loyalty/bin:${PATH}" PYTHONUNBUFFERED=1 LOYALTY_HOST=0.0.0.0 LOYALTY_HTTP_HOST=0.0.0.0

# Writes nothing but to /tmp: the root may be read-only.
USER 10001:10001
WORKDIR /tmp
EXPOSE 50051 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as http; http.urlopen('http://127.0.0.1:' + os.environ.get('LOYALTY_HTTP_PORT', '9464') + '/healthz', timeout=4)"]
ENTRYPOINT ["loyalty-processor"]
CMD ["serve"]
