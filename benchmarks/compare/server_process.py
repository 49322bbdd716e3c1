"""A gRPC server in a process of its own, so that its CPU time stands by itself."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol

import grpc
import uvloop

from benchmarks.compare.client import BenchmarkError


class Handlers(Protocol):
    """What a server answers with; it travels to its process by pickle."""

    def open(self) -> AbstractAsyncContextManager[grpc.GenericRpcHandler]:
        """Connect to whatever it needs."""
        ...


class Server(NamedTuple):
    """Where it listens, and its process."""

    target: str
    pid: int


@contextmanager
def serving(handlers: Handlers) -> Iterator[Server]:
    """Serve by grpc.aio for as long as the block lasts. Raises BenchmarkError."""
    # Spawned: gRPC does not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, handlers), daemon=True)
    process.start()
    theirs.close()  # so that the pipe breaks when the process ends
    try:
        assert process.pid
        yield Server(_receive(ours), process.pid)
    finally:
        process.kill()
        process.join()


def _receive(pipe: Connection) -> str:
    try:
        target: str = pipe.recv()
    except EOFError:
        raise BenchmarkError("a server has ended while starting; its error stands above") from None
    return target


# --- in its process -----------------------------------------------------------------------------------


def _serve(pipe: Connection, handlers: Handlers) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_left(pipe, handlers))


async def _serve_until_left(pipe: Connection, handlers: Handlers) -> None:
    async with handlers.open() as handler:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        pipe.send(f"127.0.0.1:{port}")
        # It breaks when the benchmark ends, however that does.
        await asyncio.to_thread(pipe.poll, None)
