"""The methods of TransactionService that write nothing."""

from typing import Final

from loyalty.v1.transaction_service_pb2 import (
    GetBalanceRequest,
    GetOperationRequest,
    ListOperationsRequest,
    QuoteRequest,
    QuoteResponse,
)
from processor.clock import now_us
from processor.domain.account import Account
from processor.domain.admission import barred
from processor.domain.chain import ApiKey, Chain
from processor.domain.command import Command
from processor.domain.member import Holder
from processor.domain.operation import Recorded
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from processor.domain.quote import Quoted, quote
from processor.domain.rules.limits import shared_subjects
from processor.domain.situation import Situation
from processor.ports import Directory, LedgerReader, Reply
from processor.rpc import wire
from processor.rpc.balances import applied_rule_messages, balance_message, tier_message
from processor.rpc.convert.fields import read_member, refuse_if_any
from processor.rpc.convert.sales import quote_command
from processor.rpc.decode import decode
from processor.rpc.pages import page_token, read_page_token
from processor.rpc.places import PlacesByChain
from processor.rpc.status import Refused, Violation
from processor.rpc.validate import identifier, within

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1_000
_INT32_MAX: Final = 2**31 - 1
_INT64_MAX: Final = 2**63 - 1


class ReadMethods:
    """The methods under their names in the contract; the requests are bytes, the replies' bodies too."""

    def __init__(self, reader: LedgerReader, directory: Directory, reading: PlacesByChain) -> None:
        """`reading` bounds the reads of one chain that wait or are under way here."""
        self._reader = reader
        self._directory = directory
        self._reading = reading

    async def Quote(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """QuoteRequest -> QuoteResponse."""
        at_us = now_us()
        command = quote_command(decode(QuoteRequest, data), at_us)
        chain = self._directory.chain(caller.chain_id)
        with self._reading.of(chain.chain_id):
            quoted, account = await self._quote(chain, command, at_us)
        decision = quoted.decision
        if decision.outcome is not Outcome.APPLIED:
            raise Refused(decision.outcome, decision.details)
        return answer(_quote_message(quoted, command, account).SerializeToString())

    async def GetOperation(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """GetOperationRequest -> OperationResult."""
        found: list[Violation] = []
        key = identifier(found, "idempotency_key", decode(GetOperationRequest, data).idempotency_key)
        refuse_if_any(found)
        with self._reading.of(caller.chain_id):
            recorded = await self._reader.recorded(caller.chain_id, key)
        if not recorded:
            raise Refused(Outcome.OPERATION_NOT_FOUND)
        return answer(_recorded_result(key, recorded))

    async def GetBalance(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """GetBalanceRequest -> Balance."""
        found: list[Violation] = []
        member_id, card = read_member(found, decode(GetBalanceRequest, data))
        refuse_if_any(found)
        with self._reading.of(caller.chain_id):
            holder = await self._reader.holder(caller.chain_id, member_id, card)
        if not holder:
            raise Refused(Outcome.MEMBER_NOT_FOUND)
        at_us = now_us()
        program = self._directory.chain(caller.chain_id).program_at(at_us)
        return answer(balance_message(holder.account, program, at_us).SerializeToString())

    async def ListOperations(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """ListOperationsRequest -> ListOperationsResponse."""
        request = decode(ListOperationsRequest, data)
        found: list[Violation] = []
        member_id, card = read_member(found, request)
        page_size = within(found, "page_size", request.page_size, 0, _INT32_MAX) or PAGE_SIZE_DEFAULT
        refuse_if_any(found)
        chain_id = caller.chain_id
        with self._reading.of(chain_id):
            resolved = await self._reader.resolve(chain_id, member_id, card)
            if resolved is None:
                raise Refused(Outcome.MEMBER_NOT_FOUND)
            before_sequence = _page_start(request.page_token, chain_id, resolved)
            return await self._page(chain_id, resolved, before_sequence, min(page_size, PAGE_SIZE_MAX))

    async def _quote(self, chain: Chain, command: Command, at_us: int) -> tuple[Quoted, Account]:
        program = chain.program_at(at_us)
        holder = await self._reader.holder(chain.chain_id, command.member_id, command.card)
        account = _usable_account(holder, command, program)
        subjects = shared_subjects(program, command)
        tallies = await self._reader.tallies(chain.chain_id, subjects) if subjects else {}
        return quote(account, command, program, Situation(at_us, None, tallies, program)), account

    async def _page(self, chain_id: int, member_id: int, before_sequence: int, size: int) -> Reply:
        rows = await self._reader.operations(chain_id, member_id, before_sequence, size + 1)
        shown = rows[:size]
        token = page_token(chain_id, member_id, shown[-1][0]) if len(rows) > size else ""
        return answer(wire.operations_page([_recorded_result(key, row) for _, key, row in shown], token))


def answer(body: bytes) -> Reply:
    """The reply of a call that has done what was asked."""
    return Reply(Outcome.APPLIED, body, replayed=False)


def _usable_account(holder: Holder | None, command: Command, program: Program) -> Account:
    """The account that a sale would change, also one that it would make first. Raises Refused."""
    if holder is None:
        if command.card and program.enrols:
            return Account(0, 0, 0, b"")
        raise Refused(Outcome.MEMBER_NOT_FOUND)
    if refused := barred(holder.account.status, holder.card_status, command):
        raise Refused(refused)
    return holder.account


def _quote_message(quoted: Quoted, command: Command, account: Account) -> QuoteResponse:
    decision, standing = quoted.decision, quoted.standing
    return QuoteResponse(
        member_id=account.member_id,
        earned_points=decision.earned_points,
        redeemed_points=decision.redeemed_points,
        redeemed_minor=decision.redeemed_minor,
        discount_minor=decision.discount_minor,
        payable_minor=command.receipt.total_minor - decision.discount_minor - decision.redeemed_minor,
        redeemable_points_max=quoted.redeemable_points_max,
        minimum_points=quoted.minimum_points,
        available_points=standing.available_points,
        tier=tier_message(standing.tier),
        applied_rules=applied_rule_messages(decision.applied_rules),
        available_rewards=quoted.available_rewards,
        flags=decision.flags,
        quote_token=quoted.quote_token,
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
