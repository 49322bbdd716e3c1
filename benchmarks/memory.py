"""How much memory a service's workers take, over time."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import psutil

_PAUSE_SECONDS: Final = 0.05


class MemoryWatch:
    """Looks at the largest child of a process for as long as the block lasts; `resident_bytes` in order."""

    def __init__(self, supervisor_pid: int) -> None:
        self._workers = psutil.Process(supervisor_pid).children()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.resident_bytes: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            while not self._is_over.wait(_PAUSE_SECONDS):
                self.resident_bytes.append(max(worker.memory_info().rss for worker in self._workers))
