"""TransactionService: each method decodes, lets the batcher or the reader answer, and encodes."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from loyalty.v1.transaction_service_pb2 import (
    AccrueRequest,
    Balance,
    CheckoutRequest,
    GetBalanceRequest,
    GetOperationRequest,
    ListOperationsRequest,
    OperationRequest,
    ProcessBatchRequest,
    ProcessStreamRequest,
    RedeemRequest,
)
from processor.domain.command import Command
from processor.domain.operation import Recorded
from processor.domain.outcomes import Outcome
from processor.ports import LedgerReader, Reply
from processor.rpc import wire
from processor.rpc.convert import (
    accrue_command,
    check_operations,
    checkout_command,
    operation_command,
    operation_key,
    read_member,
    redeem_command,
    refuse_if_any,
)
from processor.rpc.decode import decode
from processor.rpc.handlers import MessageStream
from processor.rpc.pages import page_token, read_page_token
from processor.rpc.places import Places
from processor.rpc.status import Refused, Violation
from processor.rpc.validate import identifier, within

STREAM_OPERATIONS_MAX: Final = 2_000
PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1_000
_INT32_MAX: Final = 2**31 - 1
_INT64_MAX: Final = 2**63 - 1
# The batcher takes a submission on whole or not at all.
_NOT_TAKEN_ON: Final = frozenset({Outcome.QUEUE_FULL, Outcome.SHUTTING_DOWN})


class CommandQueue(Protocol):
    """Where commands are applied: the batcher."""

    async def submit(self, chain_id: int, commands: Sequence[Command], deadline: float) -> list[Reply]:
        """Apply commands of one chain and return their replies, in order."""
        ...


class TransactionService:
    """The methods under their names in the contract; the requests are bytes, the replies' bodies too."""

    def __init__(self, batcher: CommandQueue, reader: LedgerReader, reads_max: int) -> None:
        """`reads_max` bounds the reads of one chain that wait or are under way here."""
        self._batcher = batcher
        self._reader = reader
        self._reading = defaultdict[int, Places](lambda: Places(reads_max))

    async def Accrue(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """AccrueRequest -> Operation."""
        return await self._apply(chain_id, accrue_command(decode(AccrueRequest, data)), deadline)

    async def Redeem(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """RedeemRequest -> Operation."""
        return await self._apply(chain_id, redeem_command(decode(RedeemRequest, data)), deadline)

    async def Checkout(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """CheckoutRequest -> Operation."""
        return await self._apply(chain_id, checkout_command(decode(CheckoutRequest, data)), deadline)

    async def ProcessBatch(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """ProcessBatchRequest -> ProcessBatchResponse."""
        operations = decode(ProcessBatchRequest, data).operations
        check_operations(operations)
        replies = await self._process(chain_id, operations, deadline)
        refusal = next((reply for reply in replies if reply.outcome in _NOT_TAKEN_ON), None)
        return refusal or _answer(_results(operations, replies))

    async def ProcessStream(self, chain_id: int, messages: MessageStream, deadline: float) -> None:
        """Stream of ProcessStreamRequest -> stream of ProcessStreamResponse."""
        window = _Window(STREAM_OPERATIONS_MAX)
        refusal: Refused | None = None
        async with asyncio.TaskGroup() as answers:
            try:
                while (data := await messages.read()) is not None:
                    operations = decode(ProcessStreamRequest, data).operations
                    check_operations(operations)
                    await window.enter(len(operations))
                    answers.create_task(
                        self._answer_message(chain_id, messages, operations, deadline, window)
                    )
            except Refused as refused:
                refusal = refused
        if refusal:
            raise refusal

    async def GetOperation(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """GetOperationRequest -> OperationResult."""
        found: list[Violation] = []
        key = identifier(found, "idempotency_key", decode(GetOperationRequest, data).idempotency_key)
        refuse_if_any(found)
        with self._reading[chain_id].taken():
            recorded = await self._reader.recorded(chain_id, key)
        if not recorded:
            raise Refused(Outcome.OPERATION_NOT_FOUND)
        return _answer(_recorded_result(key, recorded))

    async def GetBalance(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """GetBalanceRequest -> Balance."""
        found: list[Violation] = []
        member_id, card = read_member(found, decode(GetBalanceRequest, data))
        refuse_if_any(found)
        with self._reading[chain_id].taken():
            account = await self._reader.account(chain_id, member_id, card)
        if not account:
            raise Refused(Outcome.MEMBER_NOT_FOUND)
        balance = Balance(
            member_id=account.member_id,
            balance_points=account.balance_points,
            member_sequence=account.member_sequence,
        )
        return _answer(balance.SerializeToString())

    async def ListOperations(self, chain_id: int, data: bytes, deadline: float) -> Reply:
        """ListOperationsRequest -> ListOperationsResponse."""
        request = decode(ListOperationsRequest, data)
        found: list[Violation] = []
        member_id, card = read_member(found, request)
        page_size = within(found, "page_size", request.page_size, 0, _INT32_MAX) or PAGE_SIZE_DEFAULT
        refuse_if_any(found)
        with self._reading[chain_id].taken():
            resolved = await self._reader.resolve(chain_id, member_id, card)
            if resolved is None:
                raise Refused(Outcome.MEMBER_NOT_FOUND)
            before_sequence = _page_start(request.page_token, chain_id, resolved)
            return await self._page(chain_id, resolved, before_sequence, min(page_size, PAGE_SIZE_MAX))

    async def _apply(self, chain_id: int, command: Command, deadline: float) -> Reply:
        [reply] = await self._batcher.submit(chain_id, (command,), deadline)
        return reply

    async def _process(
        self, chain_id: int, operations: Sequence[OperationRequest], deadline: float
    ) -> list[Reply]:
        """One reply per operation, in order; those that are not valid do not hold up the others."""
        readings = [_read(operation) for operation in operations]
        commands = [reading for reading in readings if isinstance(reading, Command)]
        replies = iter(await self._batcher.submit(chain_id, commands, deadline) if commands else ())
        return [next(replies) if isinstance(reading, Command) else reading for reading in readings]

    async def _answer_message(
        self,
        chain_id: int,
        messages: MessageStream,
        operations: Sequence[OperationRequest],
        deadline: float,
        window: "_Window",
    ) -> None:
        replies = await self._process(chain_id, operations, deadline)
        await messages.write(_results(operations, replies))
        window.leave(len(operations))

    async def _page(self, chain_id: int, member_id: int, before_sequence: int, size: int) -> Reply:
        rows = await self._reader.operations(chain_id, member_id, before_sequence, size + 1)
        shown = rows[:size]
        token = page_token(chain_id, member_id, shown[-1][0]) if len(rows) > size else ""
        return _answer(wire.operations_page([_recorded_result(key, row) for _, key, row in shown], token))


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


def _read(operation: OperationRequest) -> Command | Reply:
    try:
        return operation_command(operation)
    except Refused as refused:
        return refused.reply


def _results(operations: Iterable[OperationRequest], replies: Iterable[Reply]) -> bytes:
    """Bytes of ProcessBatchResponse and ProcessStreamResponse."""
    pairs = zip(operations, replies, strict=True)
    return wire.results_response(
        [wire.operation_result(operation_key(operation), reply) for operation, reply in pairs]
    )


def _recorded_result(idempotency_key: str, recorded: Recorded) -> bytes:
    return wire.operation_result(idempotency_key, Reply(recorded.outcome, recorded.response, replayed=True))


def _page_start(token: str, chain_id: int, member_id: int) -> int:
    """The sequence number before which the page begins."""
    if not token:
        return _INT64_MAX
    before_sequence = read_page_token(token, chain_id, member_id)
    if before_sequence is None:
        problem = Violation("page_token", "must be the next_page_token of a page of the same member")
        raise Refused(Outcome.INVALID_REQUEST, violations=[problem])
    return before_sequence


def _answer(body: bytes) -> Reply:
    return Reply(Outcome.APPLIED, body, replayed=False)
