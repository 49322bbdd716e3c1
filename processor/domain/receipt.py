"""ACCRUE, REDEEM and CHECKOUT: one receipt through all rules of the program."""

from typing import Final

from processor.domain.account import Account
from processor.domain.command import Command
from processor.domain.decision import Decision, Refusal
from processor.domain.outcomes import Outcome
from processor.domain.program import Program
from processor.domain.rules import basic_steps
from processor.domain.sale import Sale
from processor.domain.situation import Situation

_APPLIED: Final = Outcome.APPLIED
_COMPARED: Final = ("earned_points", "redeemed_points", "redeemed_minor", "discount_minor")


def decide_sale(account: Account, command: Command, program: Program, situation: Situation) -> Decision:
    """Raises Refusal."""
    decision = _decision(run_rules(account, command, program, situation))
    if command.offline:
        return decision._replace(differences=_differences(account, command, program, situation, decision))
    return decision


def run_rules(account: Account, command: Command, program: Program, situation: Situation) -> Sale:
    """The receipt after all steps of the program. Raises Refusal."""
    sale = Sale(account, command, program, situation)
    for step in program.steps or basic_steps():
        step(sale)
    return sale


def _decision(sale: Sale) -> Decision:
    return Decision(
        _APPLIED,
        sale.earned_points,
        sale.redeemed_points,
        sum(sale.redeemed_minor),
        discount_minor=sum(sale.discounts_minor),
        shortfall_points=sale.shortfall_points,
        effects=sale.effects(),
        applied_rules=tuple(sale.applied_rules),
        flags=tuple(sale.flags),
    )


def _differences(
    account: Account, command: Command, program: Program, situation: Situation, decision: Decision
) -> tuple[str, ...]:
    """What an online call would have been given otherwise, by the rules of today: `name=value`."""
    if situation.barred:
        return (f"outcome={situation.barred.name}",)
    online_program = situation.online_program or program
    try:
        online = _decision(run_rules(account, command._replace(offline=False), online_program, situation))
    except Refusal as refusal:
        return (f"outcome={refusal.decision.outcome.name}",)
    pairs = [(name, getattr(online, name), getattr(decision, name)) for name in _COMPARED]
    return tuple([f"{name}={value}" for name, value, offline_value in pairs if value != offline_value])
