"""The first call of a till, as docs/examples shows it in several languages, against a real server."""

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.chains import Chain, new_chain
from tests.postgres import run
from tests.server import PATIENCE_SECONDS, REPOSITORY, Server, serving

pytestmark = [pytest.mark.xdist_group("server"), pytest.mark.timeout(900)]

# Where Google's own .proto files are.
PACKAGES: Final = sysconfig.get_path("purelib")
BUILD_SECONDS: Final = 600
CARD: Final = "demo-0001"
# Maven resets the terminal's colours, whatever it is told.
COLOUR: Final = re.compile(r"\x1b\[\d*m")
PRINTED: Final = re.compile(
    r"applied: (\d+) points earned, balance (\d+)\n"
    r"repeated: replayed true, same operation true\n"
)


class Example(NamedTuple):
    """A project that is built: its folder, what runs it, and what it needs in its environment."""

    folder: Path
    command: tuple[str, ...]
    variables: Mapping[str, str]

    def start(self, address: str, api_key: str, card: str = CARD) -> "subprocess.Popen[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        settings = {"LOYALTY_ADDRESS": address, "LOYALTY_API_KEY": api_key, "LOYALTY_CARD": card}
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=clean | dict(self.variables) | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


# --- building: each as the guide says ---


def built_python(folder: Path) -> Example:
    # Without the site's .pth files, so that it finds what it generated and not the service's own code.
    python, variables = (sys.executable, "-S"), {"PYTHONPATH": PACKAGES}
    make(folder, variables, *python, "generate.py")
    return Example(folder, (*python, "first_call.py"), variables)


def built_go(folder: Path) -> Example:
    require("go")
    fetch(folder, "go", "mod", "download")
    tools = folder / "bin"
    tools.mkdir()
    protoc = tools / "protoc"
    protoc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
    protoc.chmod(0o755)
    variables = {
        "GOBIN": str(tools),
        "GOOGLEAPIS": PACKAGES,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
    }
    make(folder, variables, "go", "generate", "./...")
    make(folder, variables, "go", "vet", "./...")
    make(folder, variables, "go", "build", "-o", str(tools / "first-call"), ".")
    return Example(folder, (str(tools / "first-call"),), {})


def built_java(folder: Path) -> Example:
    require("javac", "mvn")
    fetch(folder, "mvn", "-B", "-q", "dependency:resolve", "dependency:resolve-plugins")
    make(folder, {}, "mvn", "-B", "-q", "compile")
    return Example(folder, ("mvn", "-B", "-q", "exec:java"), {})


BUILT: Final[Mapping[str, Callable[[Path], Example]]] = {
    "python": built_python,
    "go": built_go,
    "java": built_java,
}


def require(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def fetch(folder: Path, *command: str) -> None:
    """Get what the project depends on; where that is not to be had, the test is skipped."""
    done = finished(folder, {}, command)
    if done.returncode:
        pytest.skip(f"`{' '.join(command)}` fails here: {(done.stderr or done.stdout).strip()[:300]}")


def make(folder: Path, variables: Mapping[str, str], *command: str) -> None:
    done = finished(folder, variables, command)
    assert done.returncode == 0, done.stdout + done.stderr


def finished(
    folder: Path, variables: Mapping[str, str], command: tuple[str, ...]
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of docs/examples with what it needs of the repository, which stays as it is."""
    root = tmp_path_factory.mktemp("examples")
    shutil.copytree(REPOSITORY / "protos", root / "protos")
    shutil.copytree(REPOSITORY / "docs/examples", root / "docs/examples")
    shutil.copy(REPOSITORY / "docs/client-service-config.json", root / "docs")
    return root / "docs/examples"


@pytest.fixture(scope="module")
def built() -> dict[str, Example]:
    """Those that are built already: they are asked for once for each transport."""
    return {}


@pytest.fixture(scope="module", params=BUILT)
def example(request: pytest.FixtureRequest, examples: Path, built: dict[str, Example]) -> Example:
    if request.param not in built:
        built[request.param] = BUILT[request.param](examples / request.param)
    return built[request.param]


# --- what each does ---


def test_the_receipt_counts_once_and_the_repeat_is_replayed(
    example: Example, server: Server, chain: Chain
) -> None:
    run(chain.add_members([5_000], {CARD: 5_000}))

    printed, complaint = finish(example.start(server.address, chain.api_key))

    found = PRINTED.fullmatch(printed)
    assert found, printed + complaint
    assert found[1] == found[2] == "12"
    assert run(chain.operation_count()) == 1


def test_it_tells_why_it_failed(example: Example, server: Server, chain: Chain) -> None:
    process = example.start(server.address, chain.api_key, card="stranger")

    printed, complaint = finish(process)

    assert (printed, complaint.strip()) == ("", "failed: MEMBER_NOT_FOUND")
    assert process.returncode == 1


def test_it_goes_on_where_the_first_connection_breaks(example: Example, database: str) -> None:
    chain = run(new_chain(database))
    run(chain.add_members([1], {CARD: 1}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = example.start(f"127.0.0.1:{port}", chain.api_key)
        listener.accept()[0].close()

    with serving(database, port=port):
        printed, complaint = finish(process)

    assert PRINTED.fullmatch(printed), printed + complaint
    assert run(chain.operation_count()) == 1


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What it printed and what it complained of."""
    with process:
        try:
            printed, complaint = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    return COLOUR.sub("", printed), COLOUR.sub("", complaint)
