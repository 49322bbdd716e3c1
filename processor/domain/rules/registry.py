"""The order in which rules apply, and where each of them registers itself."""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from processor.domain.program import EarningRules, PaymentRules, Program
from processor.domain.sale import Sale

Step = Callable[[Sale], None]


class Stage(IntEnum):
    """When a rule applies; the order is part of what is promised to tills."""

    TIER = 10
    DISCOUNT = 20
    REWARD = 30
    PAYMENT = 40
    WEIGHT = 50
    EARNING = 60
    LOTS = 70
    QUALIFICATION = 80
    LIMITS = 90


class Rule(NamedTuple):
    """A step of a sale, and for which programs it is taken."""

    stage: Stage
    step: Step
    applies: Callable[[Program], bool]


_rules: list[Rule] = []


def rule(stage: Stage, applies: Callable[[Program], bool]) -> Callable[[Step], Step]:
    """Register a step for the programs to which it `applies`; it adds to a sale, or raises Refusal."""

    def register(step: Step) -> Step:
        _rules.append(Rule(stage, step, applies))
        return step

    return register


def always(_program: Program) -> bool:
    """For rules that every sale goes through."""
    return True


def steps_for(program: Program) -> tuple[Step, ...]:
    """The steps of a program in their order; none if it has nothing beyond one rate and one redemption."""
    taken = [each for each in _rules if each.applies(program)]
    if all(each.applies is always for each in taken) and not _goes_beyond_one_rate(program):
        return ()
    return _in_order(taken)


def basic_steps() -> tuple[Step, ...]:
    """The steps of a program that has no others."""
    return _in_order([each for each in _rules if each.applies is always])


def _in_order(rules: list[Rule]) -> tuple[Step, ...]:
    return tuple(each.step for each in sorted(rules, key=lambda each: each.stage))


def _goes_beyond_one_rate(program: Program) -> bool:
    return bool(program.earning != EarningRules() or program.payment != PaymentRules() or program.lots)
