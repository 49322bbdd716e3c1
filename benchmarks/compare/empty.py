"""An empty grpc.aio server: what Python's gRPC costs before a service does anything."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import grpc
import uvloop


class EmptyServer(NamedTuple):
    """Where it listens, and its process."""

    target: str
    pid: int


@contextmanager
def empty_server() -> Iterator[EmptyServer]:
    """Answer every unary call with nothing, from a process that lasts as long as the block."""
    # Spawned: gRPC does not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        assert process.pid
        yield EmptyServer(ours.recv(), process.pid)
    finally:
        process.kill()
        process.join()


# --- in its process -----------------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_for_ever(pipe))


async def _serve_for_ever(pipe: Connection) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_EveryMethod(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    pipe.send(f"127.0.0.1:{port}")
    await server.wait_for_termination()


class _EveryMethod(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(_answer_nothing)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002 - gRPC's signature
        return self._handler


async def _answer_nothing(_request: bytes, _context: object) -> bytes:
    return b""
