"""A real gRPC server on loopback whose queue is a double: for what is decided on the wire alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from loyalty.v1 import member_service_pb2
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub
from processor.call import Call
from processor.domain.account import Account, CardHolder, CardStatus
from processor.domain.api_key import format_api_key, hash_secret
from processor.domain.chain import ApiKey, Chain, Role
from processor.domain.command import Command
from processor.domain.decision import Decision
from processor.domain.member import Holder, Member
from processor.domain.operation import Recorded, draft_operation
from processor.domain.outcomes import Outcome
from processor.domain.program import Program, Rounding, RoundingScope
from processor.domain.standing import Standing
from processor.domain.state import Tally
from processor.ports import Reply
from processor.rpc.encoder import ProtobufEncoder
from processor.rpc.server import RpcServer, start_server
from tests.server import DEFAULTS

if TYPE_CHECKING:
    from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceAsyncStub

CHAIN_ID = 7
KEY_ID = "abcdefgh0123"
SECRET = "s" * 43
AUTHORIZATION = ("authorization", f"Bearer {format_api_key(KEY_ID, SECRET)}")
OPERATOR_KEY_ID = "operator0123"
OPERATOR_AUTHORIZATION = ("authorization", f"Bearer {format_api_key(OPERATOR_KEY_ID, SECRET)}")
SERVICE = "/loyalty.v1.TransactionService/"
MEMBER_SERVICE = "/loyalty.v1.MemberService/"
MEMBER_METHODS = member_service_pb2.DESCRIPTOR.services_by_name["MemberService"].methods_by_name
PROGRAM = Program(1, 0, 1, 100, Rounding.DOWN, RoundingScope.RECEIPT, 1, 100, 10, 50)
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
ENCODER = ProtobufEncoder()
# What `running` serves by, unless it is told; the fixture `rpc_transport` sets it.
transport = DEFAULTS.get("transport", "grpcio")


def applied(command: Command) -> Reply:
    """The reply to a command that is applied to an account of 0 points."""
    decision = Decision(Outcome.APPLIED, earned_points=1)
    operation = draft_operation(
        command,
        Account(command.member_id or 1, 0, 0, b""),
        decision,
        chain_id=CHAIN_ID,
        payload_fingerprint=b"",
        program_version=1,
        recorded_at_us=command.occurred_at_us + 1,
    )
    return Reply(Outcome.APPLIED, ENCODER.applied(operation, decision, Standing(1)), replayed=False)


def refused(outcome: Outcome, *, replayed: bool = False, **details: object) -> Reply:
    return Reply(outcome, ENCODER.refused(outcome, details), replayed)


class Queue:
    """Records what is submitted; `answer` makes the replies, and waits while `is_open` is not set."""

    def __init__(self) -> None:
        self.submitted: list[Command] = []
        self.deadlines: list[float] = []
        self.answer: Callable[[Command], Reply] = applied
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.cancelled = 0
        self._arrived = asyncio.Condition()

    async def arrival(self, count: int) -> None:
        """Wait until so many commands have been submitted."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.submitted) >= count)

    async def submit(self, chain_id: int, commands: Sequence[Command], deadline: float) -> list[Reply]:
        assert chain_id == CHAIN_ID
        assert commands
        self.submitted += commands
        self.deadlines.append(deadline)
        async with self._arrived:
            self._arrived.notify_all()
        try:
            await self.is_open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [self.answer(command) for command in commands]

    def offer(self, chain_id: int, call: Call) -> bool:
        """As `submit`, by a task of its own that ends with the call."""
        submitting = asyncio.create_task(self.submit(chain_id, (call.command,), call.deadline))
        watching = asyncio.create_task(self._watch(call, submitting))

        def give(done: asyncio.Task[list[Reply]]) -> None:
            watching.cancel()
            if done.cancelled() or done.exception():
                call.cancel()
            else:
                call.answer(*done.result())

        submitting.add_done_callback(give)
        return True

    async def _watch(self, call: Call, submitting: "asyncio.Task[list[Reply]]") -> None:
        while call.is_waiting:  # noqa: ASYNC110 - a call tells its end to one alone
            await asyncio.sleep(0.001)
        submitting.cancel()


class Reader:
    """Answers every read with what a test put here."""

    def __init__(self) -> None:
        self.known_account: Account | None = None
        self.known_card_status = CardStatus.OPEN
        self.known_tallies: dict[str, Tally] = {}
        self.known: list[tuple[int, str, Recorded]] = []
        self.calls = 0

    async def resolve(self, chain_id: int, member_id: int, card: str) -> int | None:
        self.calls += 1
        return self.known_account.member_id if self.known_account else None

    async def holder(self, chain_id: int, member_id: int, card: str) -> Holder | None:
        self.calls += 1
        return Holder(self.known_account, self.known_card_status) if self.known_account else None

    async def tallies(self, chain_id: int, subjects: Sequence[str]) -> dict[str, Tally]:
        self.calls += 1
        return {subject: tally for subject, tally in self.known_tallies.items() if subject in subjects}

    async def recorded(self, chain_id: int, idempotency_key: str) -> Recorded | None:
        self.calls += 1
        return next((recorded for _, key, recorded in self.known if key == idempotency_key), None)

    async def operations(
        self, chain_id: int, member_id: int, before_sequence: int, limit: int
    ) -> list[tuple[int, str, Recorded]]:
        self.calls += 1
        return [row for row in reversed(self.known) if row[0] < before_sequence][:limit]


class NoMembers:
    """Counts what is asked of it, which no test of the wire may do: members are tested on PostgreSQL."""

    def __init__(self) -> None:
        self.calls = 0

    async def member(self, chain_id: int, member_id: int, card: str) -> Member | None:
        self.calls += 1
        return None

    async def enrol(self, chain_id: int, card: str) -> CardHolder:
        self.calls += 1
        raise AssertionError("nobody is enrolled here")

    async def add_card(self, chain_id: int, member_id: int, card: str) -> CardHolder:
        return await self.enrol(chain_id, card)

    async def replace_card(
        self, chain_id: int, old: str, new: str
    ) -> tuple[CardHolder | None, CardHolder | None]:
        self.calls += 1
        return None, None

    async def set_card_status(self, chain_id: int, card: str, status: CardStatus) -> CardHolder | None:
        self.calls += 1
        return None


class Keys:
    """The API keys in force; `unseen` ones are found by the next refresh. The chain has one program."""

    def __init__(self) -> None:
        till = ApiKey(KEY_ID, CHAIN_ID, hash_secret(SECRET))
        self.known = {
            KEY_ID: till,
            OPERATOR_KEY_ID: till._replace(key_id=OPERATOR_KEY_ID, role=Role.OPERATOR),
        }
        self.program = PROGRAM
        self.unseen: dict[str, ApiKey] = {}
        self.failure: Exception | None = None
        self.refreshes = 0

    def key(self, key_id: str) -> ApiKey | None:
        return self.known.get(key_id)

    def chain(self, chain_id: int) -> Chain:
        return Chain(chain_id, f"chain-{chain_id}", 86_400, 600, (self.program,))

    async def refresh(self) -> None:
        self.refreshes += 1
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        self.known |= self.unseen


class Harness(NamedTuple):
    """A server under test, what stands behind it, and a channel to it."""

    server: RpcServer
    queue: Queue
    reader: Reader
    members: NoMembers
    keys: Keys
    channel: grpc.aio.Channel

    @property
    def stub(self) -> "TransactionServiceAsyncStub":
        return TransactionServiceStub(self.channel)

    async def call(self, method: str, request: bytes, **kwargs: Any) -> bytes:
        """Call a unary method of either service with bytes as they are."""
        path = (MEMBER_SERVICE if method in MEMBER_METHODS else SERVICE) + method
        raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        return await raw(request, **{"metadata": (AUTHORIZATION,), **kwargs})


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Harness]:
    """Serve on a free port of loopback; `options` replace those of `start_server`."""
    queue, reader, members, keys = Queue(), Reader(), NoMembers(), Keys()
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "batcher": queue,
        "reader": reader,
        "members": members,
        "directory": keys,
        "message_bytes_max": MESSAGE_BYTES_MAX,
        "calls_max": 4_000,
        "reads_max": 100,
        "connection_age_seconds_max": 300,
        "connection_age_grace_seconds": 30,
        "transport": transport,
    }
    server = await start_server(**(given | options))
    channel_options = [("grpc.max_send_message_length", -1)]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=channel_options) as channel:
            yield Harness(server, queue, reader, members, keys, channel)
    finally:
        await server.stop(0)


class Failure(NamedTuple):
    """What a call that failed carried: the status in its trailing metadata, unpacked."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    violations: list[tuple[str, str]]
    retry_ms: int | None
    body: bytes
    trailing: dict[str, Any]


async def failure(call: Any) -> Failure:
    """Await a call that must fail; its code and message are checked against the status that came along."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return failure_of(status, trailing)


def failure_of(status: status_pb2.Status, trailing: dict[str, Any] | None = None) -> Failure:
    """Unpack a status."""
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    has_retry = False
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
        has_retry |= detail.Is(retry.DESCRIPTOR)
    assert info.domain == "loyalty.v1"
    return Failure(
        next(code for code in grpc.StatusCode if code.value[0] == status.code),
        info.reason,
        dict(info.metadata),
        [(violation.field, violation.description) for violation in bad.field_violations],
        retry.retry_delay.ToMilliseconds() if has_retry else None,
        status.SerializeToString(),
        trailing or {},
    )
