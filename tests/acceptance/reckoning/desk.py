"""MemberService: members and their cards, and what may be done with which card."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from loyalty.v1.member_service_pb2 import (
    MEMBER_STATUS_CLOSED,
    MEMBER_STATUS_OPEN,
    AddCardRequest,
    BlockCardRequest,
    CardStatus,
    EnrolMemberRequest,
    GetMemberRequest,
    ReplaceCardRequest,
    UnblockCardRequest,
)
from tests.acceptance.reckoning.ask import card_of
from tests.acceptance.reckoning.member import Member
from tests.acceptance.reckoning.replies import Learned, Outcome, Refused

DeskRequest = (
    EnrolMemberRequest
    | GetMemberRequest
    | AddCardRequest
    | ReplaceCardRequest
    | BlockCardRequest
    | UnblockCardRequest
)


class CardState(Enum):
    """The value is why the card can't be used."""

    OPEN = ""
    BLOCKED = "CARD_BLOCKED"
    REPLACED = "CARD_REPLACED"


Cards = dict[str, tuple[Member, CardState]]


class Desk:
    """Predicts replies to MemberService, and changes the cards of the model."""

    def __init__(self, members: Mapping[int, Member], cards: Cards) -> None:
        self._members = members
        self._cards = cards

    def apply(self, request: DeskRequest) -> Outcome:
        """The fields of the member as it is then, or the reason of the refusal."""
        try:
            return self._shown(_CALLS[type(request)](self, request))
        except Refused as refusal:
            return refusal.outcome

    def _shown(self, member: Member) -> Outcome:
        cards = {
            card: CardStatus.Value(f"CARD_STATUS_{state.name}")
            for card, (owner, state) in self._cards.items()
            if owner is member
        }
        status = MEMBER_STATUS_CLOSED if member.is_closed else MEMBER_STATUS_OPEN
        fields = {"member_id": member.member_id, "status": status, "cards": cards}
        return Outcome("", {**fields, "segments": sorted(member.segments)})

    def _enrol(self, request: EnrolMemberRequest) -> Member:
        """A card that is somebody's already is that member's."""
        card = card_of(request)
        self._cards.setdefault(card, (Member(Learned()), CardState.OPEN))
        return self._in_use(card)

    def _get(self, request: Any) -> Member:
        card = card_of(request)
        member = self._cards[card][0] if card in self._cards else self._members.get(_number_in(request))
        if member is None:
            raise Refused("MEMBER_NOT_FOUND")
        return member

    def _add(self, request: AddCardRequest) -> Member:
        member, new = self._open(request), request.new_card
        self._cards.setdefault(new, (member, CardState.OPEN))
        if self._cards[new][0] is not member:
            raise Refused("CARD_TAKEN")
        return self._in_use(new)

    def _replace(self, request: ReplaceCardRequest) -> Member:
        """An open card of the member's takes the old one's place, or did so before."""
        member, old, new = self._open(request), card_of(request), request.new_card
        was_replaced = self._cards[old][1] is CardState.REPLACED
        if new not in self._cards and was_replaced:
            raise Refused("CARD_REPLACED")
        owner, state = self._cards.setdefault(new, (member, CardState.OPEN))
        if owner is not member:
            raise Refused("CARD_TAKEN")
        if not was_replaced and state is not CardState.OPEN:
            raise Refused(state.value)
        self._cards[old] = member, CardState.REPLACED
        return member

    def _block(self, request: BlockCardRequest) -> Member:
        return self._set_state(card_of(request), CardState.BLOCKED)

    def _unblock(self, request: UnblockCardRequest) -> Member:
        return self._set_state(card_of(request), CardState.OPEN)

    def _set_state(self, card: str, state: CardState) -> Member:
        if card not in self._cards:
            raise Refused("MEMBER_NOT_FOUND")
        member = self._in_use(card)
        self._cards[card] = member, state
        return member

    def _open(self, request: Any) -> Member:
        member = self._get(request)
        if member.is_closed:
            raise Refused("MEMBER_CLOSED")
        return member

    def _in_use(self, card: str) -> Member:
        member, state = self._cards[card]
        if state is CardState.REPLACED:
            raise Refused(state.value)
        return member


def _number_in(request: Any) -> int:
    return int(getattr(request, "member_id", 0))


_CALLS: Final[dict[type, Callable[[Desk, Any], Member]]] = {
    EnrolMemberRequest: Desk._enrol,
    GetMemberRequest: Desk._get,
    AddCardRequest: Desk._add,
    ReplaceCardRequest: Desk._replace,
    BlockCardRequest: Desk._block,
    UnblockCardRequest: Desk._unblock,
}
