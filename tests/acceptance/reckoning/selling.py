"""Sales, online and offline, and what becomes of the points."""

import copy

from processor.domain.program_document import ProgramDocument
from tests.acceptance.reckoning.ask import Ask
from tests.acceptance.reckoning.calendar import active_at_us, expires_at_us, slides_until_us
from tests.acceptance.reckoning.limits import Limits, counts, now_us, sold_now
from tests.acceptance.reckoning.member import Decided, Done, Member
from tests.acceptance.reckoning.replies import Refused
from tests.acceptance.reckoning.sale import Reckoning

_COMPARED = ("earned_points", "redeemed_points", "redeemed_minor", "discount_minor")


def sell(program: ProgramDocument, member: Member, ask: Ask, at_us: int, limits: Limits) -> Decided:
    """A sale whose points count as earned at that time. Raises Refused."""
    sale = Reckoning(program, member, ask, limits).reckon()
    wallet = copy.deepcopy(member.wallet)
    drawn = wallet.spend(sale.spent_points)
    active_us = active_at_us(program, at_us, now_us())
    added = wallet.earn(sale.earned_points, active_us, expires_at_us(program, at_us))
    wallet.sliding_until_us = slides_until_us(program, now_us()) if wallet.lots[None] else None
    counts_for_tier = "tiers" in program and ask.kind != "REDEEM"
    counts_money = counts_for_tier and sale.is_earning
    done = Done(
        ask.kind,
        whole=sale.whole,
        lines=sale.sold_lines(),
        drawn=drawn,
        added=added,
        counts=counts_for_tier,
        counts_money=counts_money,
    )
    counted = sale.earned_points * counts_for_tier, sale.whole.paid_minor * counts_money
    sold = None
    if counts(program):
        sold = sold_now(program, member, ask, sale.earned_points, sale.spent_points)
    return Decided(_fields(sale), wallet, done, counted, sold)


def _fields(sale: Reckoning) -> dict[str, object]:
    whole = sale.whole
    return {
        "earned_points": whole.earned_points,
        "redeemed_points": whole.redeemed_points,
        "redeemed_minor": whole.redeemed_minor,
        "discount_minor": whole.discount_minor,
        "payable_minor": whole.paid_minor,
        "applied_rules": sale.rules,
        "flags": sale.flags,
        "shortfall_points": sale.shortfall_points,
    }


def differences(
    online_program: ProgramDocument, member: Member, ask: Ask, limits: Limits, offline: Decided
) -> list[str]:
    """What an online call would have been given otherwise."""
    if ask.barred_for:
        return [f"outcome={ask.barred_for}"]
    try:
        online = Reckoning(online_program, member, ask._replace(is_offline=False), limits).reckon()
    except Refused as refusal:
        return [f"outcome={refusal.outcome.reason}"]
    given = _fields(online)
    return [f"{name}={given[name]}" for name in _COMPARED if given[name] != offline.fields[name]]
