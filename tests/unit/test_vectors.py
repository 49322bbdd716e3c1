"""The test vectors for tills, decided by the rules alone."""

from typing import Any

import pytest

from processor.domain.account import Account
from processor.domain.command import (
    NO_RECEIPT,
    Command,
    Kind,
    LineItem,
    Receipt,
    ReturnedLine,
)
from processor.domain.decide import decide
from processor.domain.decision import Decision
from processor.domain.effects import count_operation
from processor.domain.maturity import matured
from processor.domain.operation import Follower, Original, draft_operation, original_from, state_after
from processor.domain.outcomes import Outcome, is_recorded
from processor.domain.program import Program, program_in_force
from processor.domain.program_document import program_from_document
from processor.domain.quote import quote
from processor.domain.rules.limits import count_shared, shared_subjects
from processor.domain.situation import Situation
from processor.domain.standing import Standing, standing_of
from processor.domain.state import MemberState, Tally, decode_state
from tests.vector_cases import (
    DEFAULT_AT,
    FILES,
    Case,
    Step,
    cases,
    differences,
    time_text,
    time_us,
    total_minor,
)

CASES = cases("rules")
REFUNDS = (Kind.REVERSE, Kind.RETURN)


class Rules:
    """A member under some programs, as the service would keep it."""

    def __init__(self, case: Case) -> None:
        self._programs = tuple(
            program_from_document(version, from_us, document)
            for version, (from_us, document) in enumerate(case.programs, start=1)
        )
        self._account = Account(1, 0, 0, b"", segments=",".join(case.member.get("segments", ())))
        self._originals: dict[str, Original] = {}
        self._tallies: dict[str, Tally] = {}
        self._tokens: dict[str, str] = {}

    def answer(self, number: int, step: Step) -> dict[str, Any]:
        """Do one step."""
        now_us = time_us(step.get("at", DEFAULT_AT))
        online = program_in_force(self._programs, now_us)
        # A quote writes nothing, not even what is due.
        if step["call"] != "quote":
            self._account = matured(self._account, online, now_us)
        if step["call"] == "balance":
            return {
                "outcome": "APPLIED",
                **_lots(self._account),
                **_standing(standing_of(self._account, online, now_us)),
            }
        key = step.get("id", f"step-{number}")
        command = _command(key, step, now_us, self._tokens)
        program = program_in_force(self._programs, command.occurred_at_us) if command.offline else online
        situation = Situation(now_us, self._originals.get(command.original_key), self._tallies, online)
        if step["call"] == "quote":
            return self._quote(key, command, program, situation)
        decision = decide(self._account, command, program, situation)
        if is_recorded(decision.outcome):
            self._record(command, decision, program, now_us)
        if decision.outcome is not Outcome.APPLIED:
            return _refusal(decision)
        after = matured(self._account, online, now_us)
        return _applied(command, decision) | _standing(standing_of(after, online, now_us))

    def _quote(self, key: str, command: Command, program: Program, situation: Situation) -> dict[str, Any]:
        quoted = quote(self._account, command, program, situation)
        if quoted.decision.outcome is not Outcome.APPLIED:
            return _refusal(quoted.decision)
        self._tokens[key] = quoted.quote_token
        return (
            _applied(command, quoted.decision)
            | _standing(quoted.standing)
            | {
                "redeemable_points_max": quoted.redeemable_points_max,
                "available_rewards": list(quoted.available_rewards),
            }
        )

    def _record(self, command: Command, decision: Decision, program: Program, now_us: int) -> None:
        row = draft_operation(
            command,
            self._account,
            decision,
            chain_id=1,
            payload_fingerprint=b"",
            program_version=program.version,
            recorded_at_us=now_us,
        )
        self._originals[command.idempotency_key] = original_from(row)
        if decision.outcome is not Outcome.APPLIED:
            return
        self._account = self._account._replace(
            balance_points=row.balance_points,
            member_sequence=row.member_sequence,
            state=state_after(self._account.state, decision.effects),
        )
        for subject in shared_subjects(program, command):
            counted = count_shared(program, now_us, decision)
            self._tallies[subject] = count_operation(self._tallies.get(subject), counted)
        if command.original_key:
            original = self._originals[command.original_key]
            followers = (*original.followers, Follower(row.kind, row.effects))
            self._originals[command.original_key] = original._replace(followers=followers)


def _command(key: str, step: Step, now_us: int, tokens: dict[str, str]) -> Command:
    receipt = step.get("receipt")
    card = step.get("card", "")
    return Command(
        Kind.CHECKOUT if step["call"] == "quote" else Kind[step["call"].upper()],
        key,
        0 if card else 1,
        card,
        time_us(step["occurred_at"]) if "occurred_at" in step else now_us,
        step.get("store_id", "store-1"),
        step.get("terminal_id", "terminal-1"),
        _receipt(key, receipt) if receipt else NO_RECEIPT,
        step.get("redeem_points", 0),
        offline=step.get("offline", False),
        reward_ids=tuple(step.get("reward_ids", ())),
        quote_token=tokens.get(step.get("quote", ""), ""),
        original_key=step.get("of", ""),
        returned=tuple(ReturnedLine(*line.values()) for line in step.get("returned", ())),
        points=step.get("points", 0),
        hold_seconds=step.get("hold_seconds", 0),
        reason="COMPENSATION" if step["call"] == "adjust" else "",
    )


def _receipt(key: str, receipt: dict[str, Any]) -> Receipt:
    lines = [
        LineItem(
            line.get("sku", f"sku-{number}"),
            line.get("quantity_milli", 1_000),
            line["amount_minor"],
            line.get("category", ""),
            line.get("brand", ""),
        )
        for number, line in enumerate(receipt.get("lines", ()), start=1)
    ]
    return Receipt(key, total_minor(receipt), tuple(lines))


def _applied(command: Command, decision: Decision) -> dict[str, Any]:
    total = command.receipt.total_minor if decision.total_minor is None else decision.total_minor
    left_minor = total - decision.discount_minor - decision.redeemed_minor
    is_refund = command.kind in REFUNDS
    return {
        "outcome": "APPLIED",
        "earned_points": decision.earned_points,
        "redeemed_points": decision.redeemed_points,
        "redeemed_minor": decision.redeemed_minor,
        "discount_minor": decision.discount_minor,
        "payable_minor": 0 if is_refund else left_minor,
        "refund_minor": left_minor - decision.shortfall_minor if is_refund else 0,
        "shortfall_points": decision.shortfall_points,
        "shortfall_minor": decision.shortfall_minor,
        "flags": list(decision.flags),
        "offline_differences": list(decision.differences),
        "applied_rules": [each._asdict() for each in decision.applied_rules],
        "hold_expires_at": time_text(decision.hold_expires_at_us) if decision.hold_expires_at_us else None,
    }


def _refusal(decision: Decision) -> dict[str, Any]:
    details = {name: str(value) for name, value in decision.details.items()}
    return {"outcome": decision.outcome.name, "details": details}


def _standing(standing: Standing) -> dict[str, Any]:
    parts = (standing.available_points, standing.held_points, standing.pending_points)
    return {
        "balance_points": sum(parts),
        "available_points": parts[0],
        "held_points": parts[1],
        "pending_points": parts[2],
        "tier": standing.tier and standing.tier._asdict(),
    }


def _lots(account: Account) -> dict[str, Any]:
    state = decode_state(account.state)
    return {
        "lots": _active_lots(state, state.undated_points(account.balance_points)),
        "pending_lots": [
            {"points": points, "active_at": time_text(active_us), "expires_at": time_text(us) if us else None}
            for active_us, us, points in state.pending
        ],
    }


def _active_lots(state: MemberState, undated_points: int) -> list[dict[str, Any]]:
    lots = [(expires_at_us, points) for expires_at_us, points in state.lots]
    if undated_points > 0:
        lots.append((state.undated_expires_at_us, undated_points))
    lots.sort(key=lambda lot: lot[0] or float("inf"))
    return [{"points": points, "expires_at": time_text(us) if us else None} for us, points in lots]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_rules_give_what_the_vector_says(case: Case) -> None:
    rules = Rules(case)
    for number, step in enumerate(case.steps):
        answer = rules.answer(number, step)
        found = differences(step.get("expect", {}), answer)
        assert not found, f"step {number} ({step['call']}): expected and answered: {found}\n{case.why}"


def test_there_are_enough_and_every_one_has_its_name_and_its_reason() -> None:
    every = {case.name for runner in ("rules", "service") for case in cases(runner)}
    assert len(every) >= 120
    assert len(CASES) == len({case.name for case in CASES})
    assert all(len(case.why) > 20 for case in CASES)
    assert FILES
