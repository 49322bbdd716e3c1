"""SIGHUP to a whole service: settings of its env file and TLS files take effect without a restart."""

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.server import COMMAND, REPOSITORY, Server, eventually, launched

CERTIFICATES: Final = REPOSITORY / "tests/unit/rpc_certificates"
NOWHERE: Final = "postgresql://nobody@127.0.0.1:1/none"

Start = Callable[..., Server]
Change = Callable[[Path], object]

pytestmark = pytest.mark.xdist_group("reload")


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "settings.env"


@pytest.fixture
def start(database: str, env_file: Path) -> Iterator[Start]:
    """Start a service that reads the env file, and wait until it serves."""
    with ExitStack() as stack:

        def start_one(text: str, **variables: object) -> Server:
            env_file.write_text(f"LOYALTY_DRAIN_SECONDS=0\nLOYALTY_LOG_FORMAT=json\n{text}")
            command = (*COMMAND, "--env-file", str(env_file))
            server = stack.enter_context(launched(command, **{"dsn": database, **variables}))
            server.wait_until_serving()
            return server

        yield start_one


def hang_up(server: Server) -> None:
    """Send SIGHUP and wait until every worker is another process."""
    before = len(server.events("workers replaced"))
    server.send("SIGHUP")
    eventually(lambda: len(server.events("workers replaced")) > before, describe=server.log)


def of_worker(server: Server, name: str) -> str:
    """A variable of the only worker's."""
    [pid] = server.worker_pids()
    return psutil.Process(pid).environ()[name]


def test_a_level_changed_in_the_env_file_is_in_force_after_sighup(start: Start, env_file: Path) -> None:
    server = start("LOYALTY_LOG_LEVEL=info\n")

    env_file.write_text("LOYALTY_LOG_FORMAT=json\nLOYALTY_LOG_LEVEL=debug\n")
    hang_up(server)
    assert of_worker(server, "LOYALTY_LOG_LEVEL") == "debug"
    assert server.events("worker state") == []
    server.kill_workers()
    states = eventually(lambda: server.events("worker state"), describe=server.log)

    assert {event["level"] for event in states} == {"debug"}


def test_a_variable_of_the_environment_wins_over_the_file_before_and_after_sighup(
    start: Start, env_file: Path
) -> None:
    server = start("LOYALTY_LANES=4\n", lanes=3)
    assert of_worker(server, "LOYALTY_LANES") == "3"

    env_file.write_text("LOYALTY_LANES=5\nLOYALTY_LOG_FORMAT=json\n")
    hang_up(server)

    assert of_worker(server, "LOYALTY_LANES") == "3"


def test_what_needs_a_restart_is_told_and_stays(start: Start, env_file: Path) -> None:
    server = start("LOYALTY_WORKERS=1\n")

    env_file.write_text("LOYALTY_WORKERS=2\nLOYALTY_STOP_SECONDS=31\nLOYALTY_LOG_FORMAT=json\n")
    hang_up(server)

    [told] = server.events("settings not changed, they need a restart")
    assert told["settings"] == ["workers", "stop_seconds"]
    assert len(server.worker_pids()) == 1


def with_text(text: bytes) -> Change:
    return lambda file: file.write_bytes(text)


def as_link_to(target: str) -> Change:
    def link(file: Path) -> None:
        file.unlink()
        file.symlink_to(target)

    return link


@pytest.mark.parametrize(
    "change, problem",
    [
        (with_text(b"LOYALTY_LANE=4\n"), "LOYALTY_LANE is not an option"),
        (with_text(b"LOYALTY_LANES 5\n"), "line 1 of {} is 'LOYALTY_LANES 5'"),
        (with_text(b"\xff"), "{} must be in UTF-8"),
        (Path.unlink, "{} is not there"),
        (as_link_to("/"), "{} is not there"),
        (as_link_to("/proc/self/mem"), "{} can't be read"),  # not even by root
    ],
    ids=["no option", "no setting", "another encoding", "gone", "a folder", "unreadable"],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    start: Start, env_file: Path, change: Change, problem: str
) -> None:
    server = start("LOYALTY_LANES=4\n")
    before = server.worker_pids()

    change(env_file)
    server.send("SIGHUP")
    [told] = eventually(lambda: server.events("settings not reloaded"), describe=server.log)

    [line] = told["problems"]
    assert line.startswith(problem.format(env_file))
    assert server.worker_pids() == before


def test_the_supervisor_logs_as_before_while_no_worker_serves_with_the_new_settings(
    start: Start, env_file: Path, database: str
) -> None:
    server = start(f"LOYALTY_DSN={database}\n", dsn="")

    env_file.write_text(f"LOYALTY_DSN={NOWHERE}\nLOYALTY_LOG_FORMAT=console\nLOYALTY_LOG_LEVEL=debug\n")
    server.send("SIGHUP")
    eventually(
        lambda: [worker["state"] for worker in server.workers()] == ["serving", "not_serving"],
        describe=server.log,
    )

    assert len(server.events("replacing the workers")) == 1
    assert "worker state" not in server.log()


def test_a_renewed_certificate_is_shown_after_sighup(start: Start, tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def put(name: str) -> str:
        shutil.copy(CERTIFICATES / f"{name}-key.pem", key)
        return str(Path(shutil.copy(CERTIFICATES / f"{name}.pem", certificate)).read_text())

    first = put("server")
    server = start("", transport="grpcio", tls_cert_file=certificate, tls_key_file=key)
    assert shown_certificate(server) == der(first)

    renewed = put("client")
    hang_up(server)

    assert shown_certificate(server) == der(renewed) != der(first)


def shown_certificate(server: Server) -> bytes:
    """The one that the service shows, in DER."""
    host, _, port = server.address.rpartition(":")
    return der(ssl.get_server_certificate((host, int(port))))


def der(pem: str) -> bytes:
    """Of the first certificate in a PEM text."""
    begin, end = pem.index(ssl.PEM_HEADER), pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
    return ssl.PEM_cert_to_DER_cert(pem[begin:end])
