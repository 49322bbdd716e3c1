"""What the native transport does with calls that it is told of in one breath."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pygrpc_native")

from pygrpc_native import EVENT_CALL, EVENT_CANCEL

from processor.rpc.native_transport import NativeTransport
from processor.tracing import NO_SPAN

NO_DETAILS = ((), "ipv4:127.0.0.1:1", None)


class Method:
    """One whose calls all take a task, which waits for ever."""

    observer = SimpleNamespace(method="GetBalance", span=lambda _metadata: NO_SPAN)

    def start(self, *_: object) -> None:
        return None

    async def answer(self, *_: object) -> None:
        await asyncio.Event().wait()


async def test_a_call_that_is_cancelled_before_it_begins_leaves_nothing() -> None:
    front: Any = SimpleNamespace(bound_port=1)
    method: Any = Method()
    transport = NativeTransport(front, [method], [], None, Path())  # type: ignore[arg-type] # no streams here
    transport._is_taken.acquire()

    transport._receive([(EVENT_CALL, 7, 0, b"", None, NO_DETAILS), (EVENT_CANCEL, 7, 0, None, None, None)])
    await asyncio.sleep(0.01)

    assert transport._calls == {}
    assert not transport._is_taken.locked()
