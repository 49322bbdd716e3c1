"""The workers as the supervisor sees them: each place in the fleet has a keeper that fills it anew."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client.multiprocess import mark_process_dead

from processor.config import Settings, as_environment
from processor.supervisor_link import State
from processor.worker import METRICS_VARIABLE

_RESTART_SECONDS_FIRST: Final = 0.25
_RESTART_SECONDS_MAX: Final = 5.0
# A worker that lived this long did not die of what its predecessor died of.
_SOUND_SECONDS: Final = 10.0

log = structlog.get_logger()


class Worker:
    """One place in the fleet: the process that fills it now, and what it last reported."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state: State = "dead"
        self.restarts = 0
        self.process: asyncio.subprocess.Process | None = None

    def describe(self) -> dict[str, object]:
        """As /healthz shows it."""
        pid = self.process.pid if self.process else None
        return {"worker": self.index, "pid": pid, "state": self.state, "restarts": self.restarts}

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if there is one."""
        with suppress(ProcessLookupError):
            if self.process:
                self.process.send_signal(number)


class Fleet:
    """The workers and their keepers, on the supervisor's event loop."""

    def __init__(self, settings: Settings, metrics_dir: str, worker_command: Sequence[str]) -> None:
        self.workers = [Worker(index) for index in range(settings.workers)]
        self._stop_seconds = settings.stop_seconds
        self._metrics_dir = metrics_dir
        self._command = worker_command
        self._environment = {**os.environ, **as_environment(settings), METRICS_VARIABLE: metrics_dir}
        self._stopping = asyncio.Event()
        self._where: Mapping[str, str] = {}
        self._was_serving = False
        self._exit_status = 0

    def health(self) -> tuple[bool, object]:
        """Whether at least one worker serves, and the state of each."""
        is_serving = any(worker.state == "serving" for worker in self.workers)
        status = "serving" if is_serving else "not_serving"
        return is_serving, {"status": status, "workers": [worker.describe() for worker in self.workers]}

    async def run(self, where: Mapping[str, str]) -> int:
        """Keep the workers until a signal says to stop and they have; the exit status.

        `where` goes into the line that tells that all of them serve.
        """
        self._where = where
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        async with asyncio.TaskGroup() as keepers:
            for worker in self.workers:
                keepers.create_task(self._keep(worker))
        log.info("stopped")
        return self._exit_status

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stopping.is_set():
            log.info("stopping", signal=number.name, stop_seconds=self._stop_seconds)
            self._stopping.set()
            self._send_all(signal.SIGTERM)
            asyncio.get_running_loop().call_later(self._stop_seconds, self._kill_all)
        elif number == signal.SIGINT:
            self._kill_all()

    def _kill_all(self) -> None:
        log.warning("killing the workers that have not stopped")
        self._exit_status = 1
        self._send_all(signal.SIGKILL)

    def _send_all(self, number: signal.Signals) -> None:
        for worker in self.workers:
            worker.send(number)

    async def _keep(self, worker: Worker) -> None:
        """Fill a place of the fleet until the end."""
        now = asyncio.get_running_loop().time
        backoff = Backoff()
        while True:
            started = now()
            cause = await self._live(worker)
            if self._stopping.is_set():
                log.info("worker stopped", worker=worker.index, cause=cause)
                return
            delay_seconds = backoff.after_life(now() - started)
            log.error("worker died", worker=worker.index, cause=cause, restart_in_seconds=delay_seconds)
            await self._pause(delay_seconds)
            if self._stopping.is_set():
                return
            worker.restarts += 1

    async def _live(self, worker: Worker) -> str:
        """Start a process for the worker's place, follow it to its end and return what it died of."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                worker.process = await self._spawn(worker.index, theirs.fileno())
            except OSError as error:
                return f"can't be started: {error}"
            theirs.close()
            if self._stopping.is_set():
                worker.send(signal.SIGTERM)
            await self._follow(worker, ours)
            return await self._bury(worker, worker.process)

    async def _spawn(self, index: int, fd: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            str(index),
            str(fd),
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment,
            pass_fds=[fd],
            process_group=0,  # so that Ctrl-C reaches the supervisor alone
        )

    async def _follow(self, worker: Worker, line: socket.socket) -> None:
        """Note the worker's states until it closes the line, which it does by dying."""
        reader, writer = await asyncio.open_connection(sock=line)
        try:
            async for report in reader:
                self._note(worker, json.loads(report)["state"])
        finally:
            writer.close()

    def _note(self, worker: Worker, state: State) -> None:
        worker.state = state
        log.debug("worker state", **worker.describe())
        is_serving = all(worker.state == "serving" for worker in self.workers)
        if is_serving and not self._was_serving:
            log.info("serving", **self._where)
        self._was_serving = is_serving

    async def _bury(self, worker: Worker, process: asyncio.subprocess.Process) -> str:
        status = await process.wait()
        worker.process = None
        self._note(worker, "dead")
        mark_process_dead(worker.index, self._metrics_dir)  # type: ignore[no-untyped-call]
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


class Backoff:
    """Restarts at once after the first death, and ever later while lives stay short."""

    def __init__(self) -> None:
        self._next_seconds = 0.0

    def after_life(self, lived_seconds: float) -> float:
        """How long to wait after a life of this length."""
        seconds = 0.0 if lived_seconds > _SOUND_SECONDS else self._next_seconds
        self._next_seconds = min(max(2 * seconds, _RESTART_SECONDS_FIRST), _RESTART_SECONDS_MAX)
        return seconds
