"""The fleet of workers: each place in it has a keeper that fills it anew, and all can be replaced in turn."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client.multiprocess import mark_process_dead

from processor.config import ConfigError, Settings, as_environment
from processor.log import configure_log
from processor.place import Backoff, Worker
from processor.supervisor_link import BEAT_SECONDS, State
from processor.worker import METRICS_VARIABLE

_REPLACE_SECONDS_MAX: Final = 60.0
_POLL_SECONDS: Final = 0.05
# Of the C library (mallopt(3)). Of many, one frees what another took: with them a worker under overload takes
# 20 MiB more, and a call no less time.
_FEW_HEAPS: Final = {"MALLOC_ARENA_MAX": "2"}
# A process that starts has no event loop yet, and may take its time.
_NOT_YET_BEATING: Final = frozenset({"dead", "starting"})

log = structlog.get_logger()

# The settings as they are now; raises ConfigError, and then nothing changes.
Reload = Callable[[], Settings]


class Fleet:
    """The workers and their keepers, on the supervisor's event loop."""

    def __init__(self, settings: Settings, metrics_dir: str, worker_command: Sequence[str]) -> None:
        self.workers = [Worker(index) for index in range(settings.workers)]
        self._stop_seconds = settings.stop_seconds
        self._silence_seconds_max = settings.worker_silence_seconds_max
        self._metrics_dir = metrics_dir
        self._command = worker_command
        self._environment = self._environment_of(settings)
        self._one_rolls = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._where: Mapping[str, str] = {}
        self._was_serving = False
        self._exit_status = 0

    def health(self) -> tuple[bool, object]:
        """Whether at least one worker serves, and the state of each."""
        is_serving = any(worker.state == "serving" for worker in self.workers)
        status = "serving" if is_serving else "not_serving"
        return is_serving, {"status": status, "workers": [worker.describe() for worker in self.workers]}

    async def run(self, where: Mapping[str, str], reload: Reload) -> int:
        """Keep the workers until a signal says to stop and they have; the exit status.

        `where` goes into the line that tells that all of them serve. At SIGHUP the workers are replaced one
        by one, with the settings that `reload` gives.
        """
        self._where = where
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        async with asyncio.TaskGroup() as keepers:
            loop.add_signal_handler(signal.SIGHUP, lambda: keepers.create_task(self._on_hangup(reload)))
            for worker in self.workers:
                keepers.create_task(self._keep(worker))
            await self._stopping.wait()
            loop.remove_signal_handler(signal.SIGHUP)
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
            if worker.is_retired:
                return
            if worker.is_leaving:
                worker.is_leaving = False
                continue
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

    # --- replacing workers ------------------------------------------------------------------------------

    async def _on_hangup(self, reload: Reload) -> None:
        """Replace every worker, with the settings as they are now; no failure of that ends the fleet."""
        async with self._one_rolls:
            try:
                await self._change_to(reload())
            except ConfigError as error:
                log.error("settings not reloaded", problems=error.lines)  # noqa: TRY400 (no traceback helps)
            except Exception:
                log.exception("workers not replaced")

    async def _change_to(self, settings: Settings) -> None:
        """Replace every worker; unless the first new one comes to serve, everything stays as it was."""
        before, self._environment = self._environment, self._environment_of(settings)
        is_sound = False
        log.info("replacing the workers")
        try:
            is_sound = await self._roll()
        finally:
            if not is_sound:
                self._environment = before
        if is_sound:
            configure_log(settings.log_level, settings.log_format)
            log.info("workers replaced")
        elif not self._stopping.is_set():
            log.error("workers not replaced: one with the new settings did not come to serve")

    async def _roll(self) -> bool:
        """Replace the workers one by one beside a spare one, so that somebody serves throughout.

        False if the spare one, which is the first with the new settings, did not come to serve.
        """
        spare = Worker(len(self.workers))
        keeper = asyncio.create_task(self._keep(spare))
        places, self.workers = self.workers, [*self.workers, spare]
        try:
            is_sound = await self._until(lambda: spare.state == "serving", _REPLACE_SECONDS_MAX)
            if is_sound:
                for worker in places:
                    await self._replace(worker)
            spare.is_retired = True
            spare.send(signal.SIGTERM)
            asyncio.get_running_loop().call_later(self._stop_seconds, spare.send, signal.SIGKILL)
            await keeper
        finally:
            self.workers = places
        return is_sound

    async def _replace(self, worker: Worker) -> None:
        process = worker.process
        if process is None:
            return  # its keeper starts another one anyway, with the new settings
        worker.is_leaving = True
        worker.send(signal.SIGTERM)
        if not await self._until(lambda: worker.process is not process, self._stop_seconds):
            worker.send(signal.SIGKILL)
        await self._until(lambda: worker.state == "serving", _REPLACE_SECONDS_MAX)

    async def _until(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait for a condition; False if it does not come true in time or before the end."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + timeout_seconds
        while not condition():
            if self._stopping.is_set() or now() > give_up_at:
                return False
            await self._pause(_POLL_SECONDS)
        return True

    def _environment_of(self, settings: Settings) -> dict[str, str]:
        given = {**os.environ, **as_environment(settings), METRICS_VARIABLE: self._metrics_dir}
        return _FEW_HEAPS | given

    # --- what workers report ----------------------------------------------------------------------------

    async def _follow(self, worker: Worker, line: socket.socket) -> None:
        """Note the worker's states until it closes the line, which it does by dying."""
        reader, writer = await asyncio.open_connection(sock=line)
        watch = asyncio.create_task(self._kill_when_silent(worker))
        try:
            async for report in reader:
                worker.silent_seconds = 0
                self._note(worker, json.loads(report)["state"])
        finally:
            watch.cancel()
            writer.close()

    async def _kill_when_silent(self, worker: Worker) -> None:
        """Kill the process when it hangs: it would keep its locks, and the connections that call it.

        The seconds are counted, not read off a clock, so that a machine that slept keeps its workers.
        """
        worker.silent_seconds = 0
        while worker.silent_seconds < self._silence_seconds_max:
            await asyncio.sleep(BEAT_SECONDS)
            if worker.state not in _NOT_YET_BEATING:
                worker.silent_seconds += BEAT_SECONDS
        worker.hangs += 1
        log.error("worker hangs: killing it", worker=worker.index, silent_seconds=worker.silent_seconds)
        worker.send(signal.SIGKILL)

    def _note(self, worker: Worker, state: State) -> None:
        if state == worker.state:
            return
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
