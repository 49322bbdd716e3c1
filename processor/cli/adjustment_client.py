"""Adjustments as calls to a server: in batches, each sent again with the same keys until it is answered."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from loyalty.v1 import operation_pb2, transaction_service_pb2, transaction_service_pb2_grpc
from processor.cli.adjustment_file import Adjustment
from processor.cli.errors import CommandError, ExitStatus

BATCH_ADJUSTMENTS: Final = 500
_DEADLINE_SECONDS: Final = 20
_PATIENCE_SECONDS: Final = 60
_PAUSE_SECONDS_FIRST: Final = 0.2
_PAUSE_SECONDS_MAX: Final = 5.0
_COMING_AGAIN: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
_CODES_COMING_AGAIN: Final = frozenset(code.value[0] for code in _COMING_AGAIN)


class Server(NamedTuple):
    """Which server is called, by whom; with TLS if there is a file of authorities that it is known by."""

    address: str
    api_key: str
    tls_ca_file: Path | None


class AdjustmentResult(NamedTuple):
    """What became of an adjustment; `reason` is empty if it is applied, `balance_points` None if not."""

    adjustment: Adjustment
    reason: str
    details: dict[str, str]
    replayed: bool
    balance_points: int | None


class AdjustmentClient:
    """Makes adjustments of now; to be entered within the event loop."""

    def __init__(self, server: Server, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """A batch is sent again for so long."""
        self._address = server.address
        self._channel = _open_channel(server)
        self._stub: Any = transaction_service_pb2_grpc.TransactionServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {server.api_key}"),)
        self._patience_seconds = patience_seconds
        self._now = Timestamp()
        self._now.GetCurrentTime()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def send(self, adjustments: Sequence[Adjustment]) -> list[AdjustmentResult]:
        """Make up to 500 adjustments, and tell of each. Raises CommandError if nothing more can be sent."""
        results: list[AdjustmentResult | None] = [None] * len(adjustments)
        patience = _Patience(self._patience_seconds)
        while waiting := [at for at, result in enumerate(results) if result is None]:
            answers = await self._call([adjustments[at] for at in waiting], patience)
            is_over = patience.is_over()
            for at, answer in zip(waiting, answers, strict=True):
                if is_over or answer.error.code not in _CODES_COMING_AGAIN:
                    results[at] = await self._result(adjustments[at], answer)
            if None in results:
                await patience.pause()
        return [result for result in results if result]

    async def _call(
        self, adjustments: Sequence[Adjustment], patience: "_Patience"
    ) -> Sequence[operation_pb2.OperationResult]:
        operations = [
            transaction_service_pb2.OperationRequest(adjust=self._request(each)) for each in adjustments
        ]
        request = transaction_service_pb2.ProcessBatchRequest(operations=operations)
        while True:
            try:
                return list((await self._unary("ProcessBatch", request)).results)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _COMING_AGAIN or patience.is_over():
                    raise _call_failed(self._address, error) from error
                await patience.pause()

    def _request(self, adjustment: Adjustment) -> transaction_service_pb2.AdjustRequest:
        member: Any = {"card": adjustment.card} if adjustment.card else {"member_id": adjustment.member_id}
        return transaction_service_pb2.AdjustRequest(
            idempotency_key=adjustment.key,
            occurred_at=self._now,
            points=adjustment.points,
            reason=operation_pb2.AdjustmentReason.Value(f"ADJUSTMENT_REASON_{adjustment.reason.name}"),
            **member,
        )

    async def _result(
        self, adjustment: Adjustment, answer: operation_pb2.OperationResult
    ) -> AdjustmentResult:
        if answer.HasField("operation"):
            balance_points = answer.operation.balance_points
            return AdjustmentResult(adjustment, "", {}, answer.replayed, balance_points)
        info = _error_info(answer.error)
        details = dict(sorted(info.metadata.items()))
        if details.get("differing_fields") == "occurred_at":
            # The same adjustment, made by an earlier run of the command.
            return await self._result(adjustment, await self._earlier(adjustment))
        return AdjustmentResult(adjustment, info.reason, details, answer.replayed, None)

    async def _earlier(self, adjustment: Adjustment) -> operation_pb2.OperationResult:
        request = transaction_service_pb2.GetOperationRequest(idempotency_key=adjustment.key)
        try:
            earlier: operation_pb2.OperationResult = await self._unary("GetOperation", request)
        except grpc.aio.AioRpcError as error:
            raise _call_failed(self._address, error) from error
        return earlier

    async def _unary(self, method: str, request: object) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._metadata, timeout=_DEADLINE_SECONDS)


class _Patience:
    """Ever longer pauses, until a time is over."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds
        self._pause_seconds = _PAUSE_SECONDS_FIRST

    def is_over(self) -> bool:
        return monotonic() >= self._end

    async def pause(self) -> None:
        await asyncio.sleep(self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, _PAUSE_SECONDS_MAX)


def batches(adjustments: Sequence[Adjustment]) -> Iterator[Sequence[Adjustment]]:
    """In their order, as many at once as are sent at once."""
    for first in range(0, len(adjustments), BATCH_ADJUSTMENTS):
        yield adjustments[first : first + BATCH_ADJUSTMENTS]


def _open_channel(server: Server) -> grpc.aio.Channel:
    options = [("grpc.max_reconnect_backoff_ms", 1000)]
    if server.tls_ca_file is None:
        return grpc.aio.insecure_channel(server.address, options=options)
    try:
        authorities = server.tls_ca_file.read_bytes()
    except OSError as error:
        raise CommandError(
            f"--tls-ca-file {server.tls_ca_file} cannot be read: {error.strerror}", ExitStatus.USAGE
        ) from error
    return grpc.aio.secure_channel(server.address, grpc.ssl_channel_credentials(authorities), options=options)


def _call_failed(address: str, error: grpc.aio.AioRpcError) -> CommandError:
    status = rpc_status.from_call(error)
    reason = _error_info(status).reason if status else ""
    line = f"the server at {address} answers {reason or error.code().name}: {error.details()}"
    if error.code() in _COMING_AGAIN:
        line += " (run the command again later: what is done already is not done twice)"
    return CommandError(line)


def _error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """Empty if the status has none."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return info
