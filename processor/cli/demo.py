"""A short burst of real calls, each of which should come back in one way only."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from loyalty.v1 import operation_pb2, transaction_service_pb2, transaction_service_pb2_grpc

CARDS: Final = tuple(f"demo-{number:04}" for number in range(1, 301))

APPLIED: Final = "OK"
_BATCH_OPERATIONS: Final = 200
_DEADLINE_SECONDS: Final = 20
_STORE: Final = {"store_id": "store-1", "terminal_id": "till-1"}


class DemoCall(NamedTuple):
    """What became of a call: `reason` is OK or an ErrorReason, `surprise` what should not be so."""

    name: str
    idempotency_key: str
    reason: str
    points: str
    balance_points: int | None
    replayed: bool
    surprise: str


async def send_burst(address: str, api_key: str) -> list[DemoCall]:
    """Send the demo's calls, under keys that no other run has, to a server without TLS."""
    async with grpc.aio.insecure_channel(address) as channel:
        burst = _Burst(channel, api_key)
        await burst.send_all()
    return burst.calls


class _Burst:
    def __init__(self, channel: grpc.aio.Channel, api_key: str) -> None:
        self.calls: list[DemoCall] = []
        self._stub: Any = transaction_service_pb2_grpc.TransactionServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {api_key}"),)
        self._prefix = secrets.token_hex(3)
        self._now = datetime.now(UTC)
        self._first_replies: dict[str, bytes] = {}

    async def send_all(self) -> None:
        accrual = self._accrual("1", CARDS[0], 125_000)
        await self._send("Accrue", accrual)
        await self._send("Accrue", accrual, again=True)
        redemption = self._redemption("2", CARDS[0], 40_000, 5)
        balance_points = (await self._send("Redeem", redemption)).balance_points or 0
        await self._send("Redeem", redemption, again=True)
        too_much = self._redemption("3", CARDS[0], 50_000_000, balance_points + 1)
        await self._send("Redeem", too_much, expected="INSUFFICIENT_POINTS")
        await self._send("Redeem", too_much, expected="INSUFFICIENT_POINTS", again=True)
        reused = self._accrual("1", CARDS[0], 999_900)
        await self._send("Accrue", reused, expected="IDEMPOTENCY_KEY_REUSED")
        await self._send("Checkout", self._checkout("4", CARDS[0], 80_000, 2))
        await self._send_batch()

    async def _send(
        self, method: str, request: Any, *, expected: str = APPLIED, again: bool = False
    ) -> DemoCall:
        answer = await self._exchange(method, request)
        operation = answer.reply if answer.reason == APPLIED else None
        call = DemoCall(
            f"{method}, again" if again else method,
            request.idempotency_key,
            answer.reason,
            _points(operation) if operation else "",
            operation.balance_points if operation else None,
            answer.replayed,
            self._surprise(request.idempotency_key, answer, expected, again=again),
        )
        self.calls.append(call)
        return call

    async def _send_batch(self) -> None:
        """Accruals of many members in one call, told in one line."""
        cards = CARDS[:_BATCH_OPERATIONS]
        accruals = [self._accrual(card, card, 30_000) for card in cards]
        operations = [transaction_service_pb2.OperationRequest(accrue=accrual) for accrual in accruals]
        request = transaction_service_pb2.ProcessBatchRequest(operations=operations)
        answer = await self._exchange("ProcessBatch", request)
        results = answer.reply.results if answer.reason == APPLIED else []
        applied = [result.operation for result in results if result.HasField("operation")]
        call = DemoCall(
            f"Batch of {len(cards)}",
            f"{self._prefix}-...",
            f"{len(applied)} {APPLIED}" if results else answer.reason,
            f"+{sum(operation.earned_points for operation in applied)}",
            None,
            any(result.replayed for result in results),
            "" if len(applied) == len(cards) else f"expected {len(cards)} {APPLIED}",
        )
        self.calls.append(call)

    async def _exchange(self, method: str, request: Message) -> "_Answer":
        call = getattr(self._stub, method)(request, metadata=self._metadata, timeout=_DEADLINE_SECONDS)
        try:
            reply, reason = await call, APPLIED
        except grpc.aio.AioRpcError as error:
            reply = rpc_status.from_call(error) or status_pb2.Status(message=error.details())
            reason = _reason(reply) or error.code().name
        trailers = [tuple(item) for item in await call.trailing_metadata()]
        return _Answer(reply, reason, ("loyalty-replayed", "true") in trailers)

    def _surprise(self, key: str, answer: "_Answer", expected: str, *, again: bool) -> str:
        """What a sound service would have answered otherwise; empty if nothing."""
        content = answer.reply.SerializeToString()
        if answer.reason != expected:
            return f"expected {expected}"
        if answer.replayed != again:
            return "should be answered from the ledger" if again else "was answered from the ledger"
        if again and content != self._first_replies[key]:
            return "differs from the first reply"
        self._first_replies.setdefault(key, content)
        return ""

    def _accrual(self, key: str, card: str, total_minor: int) -> transaction_service_pb2.AccrueRequest:
        return transaction_service_pb2.AccrueRequest(**self._fields(key, card, total_minor))

    def _redemption(
        self, key: str, card: str, total_minor: int, points: int
    ) -> transaction_service_pb2.RedeemRequest:
        fields = self._fields(key, card, total_minor)
        return transaction_service_pb2.RedeemRequest(**fields, redeem_points=points)

    def _checkout(
        self, key: str, card: str, total_minor: int, points: int
    ) -> transaction_service_pb2.CheckoutRequest:
        fields = self._fields(key, card, total_minor)
        return transaction_service_pb2.CheckoutRequest(**fields, redeem_points=points)

    def _fields(self, key: str, card: str, total_minor: int) -> Mapping[str, Any]:
        receipt = operation_pb2.Receipt(receipt_id=f"{self._prefix}-{key}", total_minor=total_minor)
        return {
            "idempotency_key": f"{self._prefix}-{key}",
            "card": card,
            "occurred_at": self._now,
            "receipt": receipt,
            **_STORE,
        }


class _Answer(NamedTuple):
    """The message of a reply, or the google.rpc.Status of an error."""

    reply: Any
    reason: str
    replayed: bool


def _points(operation: operation_pb2.Operation) -> str:
    parts = (
        f"+{operation.earned_points}" if operation.earned_points else "",
        f"-{operation.redeemed_points}" if operation.redeemed_points else "",
    )
    return " ".join(filter(None, parts))


def _reason(status: status_pb2.Status) -> str:
    """The ErrorReason of a status; empty if it has none."""
    info = error_details_pb2.ErrorInfo()
    return info.reason if any(detail.Unpack(info) for detail in status.details) else ""
