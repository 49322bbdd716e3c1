"""What serves is what was asked for: the sources, or with --compiled the service as it ships."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processor.build import this_build
from tests.server import REPOSITORY, eventually, serving


def test_a_server_tells_which_build_it_is(database: str, request: pytest.FixtureRequest) -> None:
    with serving(database) as server:
        eventually(lambda: "loyalty_build_info" in server.metrics())
        families = {family.name: family for family in text_string_to_metric_families(server.metrics())}
    [sample] = families["loyalty_build_info"].samples
    is_compiled = bool(request.config.getoption("--compiled"))
    assert sample.labels == {"version": this_build().version, "compiled": str(is_compiled).lower()}


def test_these_tests_themselves_run_on_the_sources() -> None:
    assert not this_build().is_compiled


def test_commands_run_from_where_they_were_told_to(request: pytest.FixtureRequest) -> None:
    folder = Path(request.config.getoption("--compiled") or REPOSITORY).resolve()
    code = "import processor.domain.decide as module; print(module.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(folder)
