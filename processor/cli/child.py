"""The service as a child process of `run`."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import typer

from processor.cli.errors import CommandError, ExitStatus
from processor.cli.output import errors, print_note
from processor.config import Settings, as_environment
from storage.embedded.launch import CHILD_SCRIPT

_START_SECONDS_MAX: Final = 60
_POLL_SECONDS: Final = 0.05
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@contextmanager
def service(
    settings: Settings, environment: Mapping[str, str] = _NOTHING
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that serves, from when it is healthy to when it has drained and ended.

    `environment` has variables that it gets beside those of its settings and of this process.
    """
    process = subprocess.Popen(  # noqa: S603
        _command(),
        env={**os.environ, **environment, **as_environment(settings)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the child in order
    )
    try:
        with errors.status("Starting the service"):
            _wait_until_healthy(process, settings)
        yield process
    finally:
        _stop(process, settings.stop_seconds)


def _command() -> list[str]:
    serve = [sys.executable, "-m", "processor", "serve"]
    if not sys.platform.startswith("linux"):
        return serve
    # However this process ends, the service is then told to stop, as its PostgreSQL is.
    return [
        sys.executable,
        "-I",
        "-S",
        str(CHILD_SCRIPT),
        "caller",
        str(os.getpid()),
        str(Path.cwd()),
        *serve,
    ]


def _wait_until_healthy(process: subprocess.Popen[bytes], settings: Settings) -> None:
    give_up = time.monotonic() + _START_SECONDS_MAX
    while not _is_healthy(settings):
        if process.poll() in (ExitStatus.USAGE, ExitStatus.NO_POSTGRESQL):
            raise typer.Exit(process.returncode)  # it has said why
        if process.returncode is not None:
            raise CommandError(f"the service ended while starting, with exit status {process.returncode}")
        if time.monotonic() > give_up:
            raise CommandError(f"the service is not healthy after {_START_SECONDS_MAX} seconds")
        time.sleep(_POLL_SECONDS)


def _is_healthy(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(settings.http_host, settings.http_port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes], stop_seconds: float) -> None:
    process.terminate()
    try:
        process.wait(stop_seconds + 5)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def serve_on(process: subprocess.Popen[bytes]) -> None:
    """Wait for Ctrl-C. Raises CommandError if the service ends before."""
    try:
        print_note("Serving until Ctrl-C.")
        status = process.wait()
    except KeyboardInterrupt:
        print_note("Stopping: finishing what is queued, then PostgreSQL.")
    else:
        raise CommandError(f"the service has ended by itself, with exit status {status}")
