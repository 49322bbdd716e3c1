"""MemberService: members, and the cards and phone numbers that they are known by."""

from typing import Final

from loyalty.v1 import member_service_pb2
from loyalty.v1.member_service_pb2 import (
    AddCardRequest,
    BlockCardRequest,
    EnrolMemberRequest,
    GetMemberRequest,
    ReplaceCardRequest,
    UnblockCardRequest,
)
from processor.domain.account import CardHolder, CardStatus, MemberStatus
from processor.domain.chain import ApiKey
from processor.domain.member import Member
from processor.domain.outcomes import Outcome
from processor.ports import MemberStore, Reply
from processor.rpc.balances import segment_names
from processor.rpc.convert.fields import read_member, refuse_if_any
from processor.rpc.convert.members import read_card, read_new_card, read_replacement
from processor.rpc.decode import decode
from processor.rpc.places import PlacesByChain
from processor.rpc.reads import answer
from processor.rpc.status import Refused, Violation

# The contract counts from 1: its 0 stands for what was never sent.
_FIRST: Final = 1


class MemberService:
    """The methods under their names in the contract; the requests are bytes, the replies' bodies too."""

    def __init__(self, store: MemberStore, working: PlacesByChain) -> None:
        """`working` bounds the calls of one chain that wait or are under way here."""
        self._store = store
        self._working = working

    async def EnrolMember(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """EnrolMemberRequest -> Member."""
        found: list[Violation] = []
        card = read_card(found, decode(EnrolMemberRequest, data))
        refuse_if_any(found)
        with self._working.of(caller.chain_id):
            holder = await self._store.enrol(caller.chain_id, card)
            _refuse_replaced(holder)
            return await self._answer(caller.chain_id, holder.member_id)

    async def GetMember(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """GetMemberRequest -> Member."""
        found: list[Violation] = []
        member_id, card = read_member(found, decode(GetMemberRequest, data))
        refuse_if_any(found)
        with self._working.of(caller.chain_id):
            return await self._answer(caller.chain_id, member_id, card)

    async def AddCard(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """AddCardRequest -> Member."""
        request = decode(AddCardRequest, data)
        found: list[Violation] = []
        member_id, card = read_member(found, request)
        new_card = read_new_card(found, request)
        refuse_if_any(found)
        with self._working.of(caller.chain_id):
            member = await self._open_member(caller.chain_id, member_id, card)
            holder = await self._store.add_card(caller.chain_id, member.member_id, new_card)
            if holder.member_id != member.member_id:
                raise Refused(Outcome.CARD_TAKEN)
            _refuse_replaced(holder)
            return await self._answer(caller.chain_id, member.member_id)

    async def ReplaceCard(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """ReplaceCardRequest -> Member."""
        found: list[Violation] = []
        old, new = read_replacement(found, decode(ReplaceCardRequest, data))
        refuse_if_any(found)
        with self._working.of(caller.chain_id):
            member = await self._open_member(caller.chain_id, 0, old)
            _refuse_replacement(*await self._store.replace_card(caller.chain_id, old, new))
            return await self._answer(caller.chain_id, member.member_id)

    async def BlockCard(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """BlockCardRequest -> Member."""
        return await self._set_status(caller, decode(BlockCardRequest, data), CardStatus.BLOCKED)

    async def UnblockCard(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """UnblockCardRequest -> Member."""
        return await self._set_status(caller, decode(UnblockCardRequest, data), CardStatus.OPEN)

    async def _set_status(
        self, caller: ApiKey, request: BlockCardRequest | UnblockCardRequest, status: CardStatus
    ) -> Reply:
        found: list[Violation] = []
        card = read_card(found, request)
        refuse_if_any(found)
        with self._working.of(caller.chain_id):
            holder = await self._store.set_card_status(caller.chain_id, card, status)
            if holder is None:
                raise Refused(Outcome.MEMBER_NOT_FOUND)
            _refuse_replaced(holder)
            return await self._answer(caller.chain_id, holder.member_id)

    async def _open_member(self, chain_id: int, member_id: int, card: str) -> Member:
        """Raises Refused if there is none, or one that takes part no more."""
        member = await self._member(chain_id, member_id, card)
        if member.status == MemberStatus.CLOSED:
            raise Refused(Outcome.MEMBER_CLOSED)
        return member

    async def _answer(self, chain_id: int, member_id: int, card: str = "") -> Reply:
        """The member as it is now. Raises Refused."""
        return answer(_member_message(await self._member(chain_id, member_id, card)).SerializeToString())

    async def _member(self, chain_id: int, member_id: int, card: str) -> Member:
        member = await self._store.member(chain_id, member_id, card)
        if member is None:
            raise Refused(Outcome.MEMBER_NOT_FOUND)
        return member


def _refuse_replaced(holder: CardHolder) -> None:
    """Raises Refused if the card can do nothing any more."""
    if holder.status == CardStatus.REPLACED:
        raise Refused(Outcome.CARD_REPLACED)


def _refuse_replacement(old: CardHolder | None, new: CardHolder | None) -> None:
    """Raises Refused unless the old card has been replaced by the new one, now or before."""
    if old is None:
        raise Refused(Outcome.MEMBER_NOT_FOUND)
    if new is None:
        raise Refused(Outcome.CARD_REPLACED)
    if new.member_id != old.member_id:
        raise Refused(Outcome.CARD_TAKEN)
    if old.status != CardStatus.REPLACED:
        # The new one is the member's own, but not one that could take a place.
        raise Refused(Outcome.CARD_REPLACED if new.status == CardStatus.REPLACED else Outcome.CARD_BLOCKED)


def _member_message(member: Member) -> member_service_pb2.Member:
    return member_service_pb2.Member(
        member_id=member.member_id,
        status=member_service_pb2.MemberStatus.ValueType(member.status + _FIRST),
        cards=[
            member_service_pb2.Card(
                card=card, status=member_service_pb2.CardStatus.ValueType(status + _FIRST)
            )
            for card, status in member.cards
        ],
        segments=segment_names(member.segments),
    )
