"""TransactionService: each method decodes, lets the batcher or the reader answer, and encodes."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    AdjustRequest,
    CaptureRequest,
    CheckoutRequest,
    HoldRequest,
    OperationRequest,
    ProcessBatchRequest,
    ProcessStreamRequest,
    RedeemRequest,
    ReturnRequest,
    ReverseRequest,
    VoidRequest,
)
from processor.domain.chain import ApiKey
from processor.domain.command import Command
from processor.domain.outcomes import Outcome
from processor.ports import Directory, LedgerReader, Reply
from processor.rpc import wire
from processor.rpc.convert.adjustments import adjust_command
from processor.rpc.convert.holds import capture_command, hold_command, void_command
from processor.rpc.convert.operations import check_operations, operation_command, operation_key
from processor.rpc.convert.sales import accrue_command, checkout_command, redeem_command
from processor.rpc.convert.undoing import return_command, reverse_command
from processor.rpc.decode import decode
from processor.rpc.metrics import count_refused, expect_refusals
from processor.rpc.places import PlacesByChain
from processor.rpc.reads import ReadMethods, answer
from processor.rpc.status import Refused
from processor.rpc.streams import MessageStream
from processor.rpc.writes import CommandQueue, WriteMethod, check_role

STREAM_OPERATIONS_MAX: Final = 2_000
# The batcher takes a submission on whole or not at all.
_NOT_TAKEN_ON: Final = frozenset({Outcome.QUEUE_FULL, Outcome.SHUTTING_DOWN})


class TransactionService(ReadMethods):
    """The methods under their names in the contract; the requests are bytes, the replies' bodies too."""

    def __init__(
        self, batcher: CommandQueue, reader: LedgerReader, directory: Directory, reading: PlacesByChain
    ) -> None:
        """`reading` bounds the reads of one chain that wait or are under way here."""
        super().__init__(reader, directory, reading)
        self._batcher = batcher
        self.Accrue = WriteMethod(batcher, AccrueRequest, accrue_command)
        self.Redeem = WriteMethod(batcher, RedeemRequest, redeem_command)
        self.Checkout = WriteMethod(batcher, CheckoutRequest, checkout_command)
        self.Hold = WriteMethod(batcher, HoldRequest, hold_command)
        self.Capture = WriteMethod(batcher, CaptureRequest, capture_command)
        self.Void = WriteMethod(batcher, VoidRequest, void_command)
        self.Reverse = WriteMethod(batcher, ReverseRequest, reverse_command)
        self.Return = WriteMethod(batcher, ReturnRequest, return_command)
        self.Adjust = WriteMethod(batcher, AdjustRequest, adjust_command)

    async def ProcessBatch(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """ProcessBatchRequest -> ProcessBatchResponse."""
        operations = decode(ProcessBatchRequest, data).operations
        check_operations(operations)
        replies = await self._process(caller, operations, deadline)
        refusal = next((reply for reply in replies if reply.outcome in _NOT_TAKEN_ON), None)
        if refusal:
            return refusal
        count_refused(self._chain_name(caller), "ProcessBatch", replies)
        return answer(_results(operations, replies))

    async def ProcessStream(self, caller: ApiKey, messages: MessageStream, deadline: float) -> None:
        """Stream of ProcessStreamRequest -> stream of ProcessStreamResponse."""
        expect_refusals(self._chain_name(caller), "ProcessStream")
        window = _Window(STREAM_OPERATIONS_MAX)
        refusal: Refused | None = None
        async with asyncio.TaskGroup() as answers:
            try:
                while (data := await messages.read()) is not None:
                    operations = decode(ProcessStreamRequest, data).operations
                    check_operations(operations)
                    await window.enter(len(operations))
                    answers.create_task(self._answer_message(caller, messages, operations, deadline, window))
            except Refused as refused:
                refusal = refused
        if refusal:
            raise refusal

    def _chain_name(self, caller: ApiKey) -> str:
        return self._directory.chain(caller.chain_id).name

    async def _process(
        self, caller: ApiKey, operations: Sequence[OperationRequest], deadline: float
    ) -> list[Reply]:
        """One reply per operation, in order; those that are not valid do not hold up the others."""
        readings = [_read(caller, operation) for operation in operations]
        commands = [reading for reading in readings if isinstance(reading, Command)]
        submitted = await self._batcher.submit(caller.chain_id, commands, deadline) if commands else ()
        replies = iter(submitted)
        return [next(replies) if isinstance(reading, Command) else reading for reading in readings]

    async def _answer_message(
        self,
        caller: ApiKey,
        messages: MessageStream,
        operations: Sequence[OperationRequest],
        deadline: float,
        window: "_Window",
    ) -> None:
        replies = await self._process(caller, operations, deadline)
        count_refused(self._chain_name(caller), "ProcessStream", replies)
        await messages.write(_results(operations, replies))
        window.leave(len(operations))


class _Window:
    """Lets a reader go on while fewer than `size` operations are under way."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._has_more = asyncio.Event()

    async def enter(self, operations: int) -> None:
        while self._free < operations:
            self._has_more.clear()
            await self._has_more.wait()
        self._free -= operations

    def leave(self, operations: int) -> None:
        self._free += operations
        self._has_more.set()


def _read(caller: ApiKey, operation: OperationRequest) -> Command | Reply:
    try:
        command = operation_command(operation)
        check_role(caller, command)
    except Refused as refused:
        return refused.reply
    return command


def _results(operations: Iterable[OperationRequest], replies: Iterable[Reply]) -> bytes:
    """Bytes of ProcessBatchResponse and ProcessStreamResponse."""
    pairs = zip(operations, replies, strict=True)
    return wire.results_response(
        [wire.operation_result(operation_key(operation), reply) for operation, reply in pairs]
    )
