"""What a Quote shows, and what a Checkout with its token is held to."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from loyalty.v1.transaction_service_pb2 import CheckoutRequest, QuoteRequest
from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.ask import Ask, card_of, quoted_sale
from tests.acceptance.reckoning.limits import Limits
from tests.acceptance.reckoning.member import Decided, Member
from tests.acceptance.reckoning.replies import Refused
from tests.acceptance.reckoning.sale import Reckoning
from tests.acceptance.reckoning.tiers import standing

_PROMISED: Final = ("earned_points", "redeemed_points", "redeemed_minor", "discount_minor")


class Promise(NamedTuple):
    """What was quoted to whom, and the figures of it."""

    subject: object
    figures: dict[str, object]

    def keep(self, decided: Decided) -> None:
        """Raises Refused if a checkout gives anything else than was quoted."""
        changed = {
            name: (quoted, decided.fields[name])
            for name, quoted in self.figures.items()
            if quoted != decided.fields[name]
        }
        if changed:
            raise _outdated(changed)

    def broken_by(self, refusal: Refused) -> Refused:
        """The refusal of a checkout that was quoted, and can't be had any more."""
        figures = {f"quoted_{name}": quoted for name, quoted in self.figures.items()}
        changed = {"outcome": ("APPLIED", refusal.outcome.reason)}
        return _outdated(changed, **figures, **refusal.outcome.content)


class Promises:
    """What every quote_token stands for."""

    def __init__(self) -> None:
        self._by_token: dict[str, Promise] = {}

    def note(self, token: str, request: QuoteRequest, shown: Mapping[str, object]) -> None:
        figures = {name: shown[name] for name in _PROMISED}
        self._by_token[token] = Promise(_subject(request), figures)

    def of(self, request: CheckoutRequest) -> Promise:
        """What a checkout is held to. Raises Refused if its token is none, or one of something else."""
        promise = self._by_token.get(request.quote_token)
        if promise is None:
            raise _outdated({"quote_token": ("unreadable", "unreadable")})
        if promise.subject != _subject(request):
            raise _outdated({"request": ("another receipt, member or redemption", "this one")})
        return promise


def _subject(request: CheckoutRequest | QuoteRequest) -> object:
    ask = quoted_sale(request)
    return card_of(request) or request.member_id, ask.lines, ask.redeem_points, ask.rewards


def _outdated(changed: Mapping[str, tuple[object, object]], **more: object) -> Refused:
    metadata: dict[str, object] = {"changed": ",".join(changed)}
    for name, (quoted, now) in changed.items():
        metadata |= {f"quoted_{name}": quoted, name: now}
    return Refused("QUOTE_OUTDATED", **metadata, **more)


def show(program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> dict[str, Any]:
    """The fields of the response, without its token. Raises Refused."""
    sale = Reckoning(program, member, ask, limits).reckon()
    whole = sale.whole
    return {
        "member_id": member.member_id,
        "earned_points": whole.earned_points,
        "redeemed_points": whole.redeemed_points,
        "redeemed_minor": whole.redeemed_minor,
        "discount_minor": whole.discount_minor,
        "payable_minor": whole.paid_minor,
        "redeemable_points_max": _redeemable_points(program, member, ask, limits),
        "minimum_points": sale.redemption["minimum_points"],
        "available_points": member.wallet.available_points,
        "tier": standing(program, member),
        "applied_rules": sale.rules,
        "available_rewards": _available_rewards(program, member, ask, limits),
        "flags": sale.flags,
    }


def _redeemable_points(program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> int:
    """The most that is not refused: the limit that a refusal of far too many names, or what there is."""
    minimum = program["redemption"]["minimum_points"] if "redemption" in program else 1
    if not _is_possible(program, member, ask._replace(redeem_points=minimum), limits):
        return 0
    limit = _limit(program, member, ask, limits)
    spent_on_rewards = sum(
        reward["points"] for reward in program.get("rewards", ()) if reward["id"] in ask.rewards
    )
    most = min(limit, member.wallet.available_points - spent_on_rewards)
    return int(min(most, limits.redeemable(program, member, ask) - spent_on_rewards))


def _limit(program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> int:
    try:
        Reckoning(program, member, ask._replace(redeem_points=10**18), limits).reckon()
    except Refused as refusal:
        return int(str(refusal.outcome.content["limit_points"]))
    raise AssertionError


def _is_possible(program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> bool:
    try:
        Reckoning(program, member, ask, limits).reckon()
    except Refused:
        return False
    return True


def _available_rewards(program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> list[str]:
    """Those that could be taken alone, if the sale is possible at all."""
    alone = ask._replace(redeem_points=0, rewards=[])
    if not _is_possible(program, member, alone, limits):
        return []
    rewards = [reward["id"] for reward in program.get("rewards", ())]
    return [each for each in rewards if _is_offered(program, member, alone._replace(rewards=[each]), limits)]


def _is_offered(program: ProgramDocument, member: Member, ask: Ask, limits: Limits) -> bool:
    try:
        Reckoning(program, member, ask, limits).reckon()
    except Refused as refusal:
        is_above = refusal.outcome.content.get("bound") == "redeemed_points"
        return refusal.outcome.reason != "REWARD_NOT_AVAILABLE" and not is_above
    return True
