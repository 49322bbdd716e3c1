"""Every difference between what the service answered and what it must have answered."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from benchmarks.replay.log import Standing, Told
from benchmarks.replay.recompute import Recomputed

_CALL: Final = ["basket_id", "return_number"]


def differences(log: pd.DataFrame, expected: Recomputed, after: Mapping[int, Standing]) -> list[str]:
    """One line each: balances, answers, copies. `after` is where members stood after the last receipt."""
    return [
        *_wrong_standings(expected.standings, after),
        *_wrong_answers(log, expected.calls),
        *_wrong_copies(log),
    ]


def _wrong_standings(expected: Mapping[int, Standing], after: Mapping[int, Standing]) -> Iterator[str]:
    for household_id in sorted(expected.keys() | after.keys()):
        must, found = expected.get(household_id), after.get(household_id)
        if must is None or found is None or must.balance_points != found.balance_points:
            points, wanted = found and found.balance_points, must and must.balance_points
            yield f"member {household_id}: the balance is {points} points and must be {wanted}"
        elif must != found:
            yield f"member {household_id}: stands at {found} and must at {must}"


def _wrong_answers(log: pd.DataFrame, expected: pd.DataFrame) -> Iterator[str]:
    answered = [column for column in Told._fields if column in expected]
    both = log.merge(
        expected[[*_CALL, *answered]],
        on=_CALL,
        how="outer",
        suffixes=("", "_expected"),
        validate="one_to_one",
    )
    wanted = both[[f"{column}_expected" for column in answered]].set_axis(answered, axis=1)
    wrong = both[(both[answered] != wanted).any(axis=1)]
    for row in wrong.to_dict("records"):
        found = ", ".join(
            f"{column} is {row[column]!r} and must be {row[f'{column}_expected']!r}"
            for column in answered
            if row[column] != row[f"{column}_expected"]
        )
        yield f"{_name(row)} of member {row['household_id']}: {found}"


def _name(row: Mapping[Any, Any]) -> str:
    number = row["return_number"]
    return f"return {number} of receipt {row['basket_id']}" if number else f"receipt {row['basket_id']}"


def _wrong_copies(log: pd.DataFrame) -> Iterator[str]:
    """One copy is the effect and the others are replays; a repeat may have found its first send's effect."""
    for row in log[~log.answers_equal].to_dict("records"):
        yield f"{_name(row)}: its {row['copies']} copies were answered differently"
    first_answers = log.copies - log.replays
    wrong = (first_answers != 1) & ~((first_answers == 0) & (log.repeats > 0))
    for row in log[wrong].to_dict("records"):
        yield f"{_name(row)}: {row['replays']} of its {row['copies']} copies were replays"
