"""Every difference between what the service answered and what it must have answered."""

from collections.abc import Iterator, Mapping
from typing import Final

import pandas as pd

_ANSWERED: Final = ["reason", "earned_points", "redeemed_points", "balance_points"]


def differences(
    log: pd.DataFrame, expected: pd.DataFrame, before: Mapping[int, int], after: Mapping[int, int]
) -> list[str]:
    """One line each: balances, answers, copies. `expected` comes from `recompute`.

    `before` and `after` are the balances that the service gave before the first and after the last receipt.
    """
    return [
        *_wrong_balances(expected, before, after),
        *_wrong_answers(log, expected),
        *_wrong_copies(log),
    ]


def _wrong_balances(
    expected: pd.DataFrame, before: Mapping[int, int], after: Mapping[int, int]
) -> Iterator[str]:
    computed = {**before, **expected.groupby("household_id").balance_points.last().to_dict()}
    for household_id in sorted(computed.keys() | after.keys()):
        must, found = computed.get(household_id), after.get(household_id)
        if must != found:
            yield f"member {household_id}: the balance is {found} points and must be {must}"


def _wrong_answers(log: pd.DataFrame, expected: pd.DataFrame) -> Iterator[str]:
    both = log.merge(expected, on="basket_id", suffixes=("", "_expected"), validate="one_to_one")
    wanted = both[[f"{column}_expected" for column in _ANSWERED]].set_axis(_ANSWERED, axis=1)
    wrong = both[(both[_ANSWERED] != wanted).any(axis=1)]
    for row in wrong.to_dict("records"):
        answered = ", ".join(
            f"{column} is {row[column]!r} and must be {row[f'{column}_expected']!r}"
            for column in _ANSWERED
            if row[column] != row[f"{column}_expected"]
        )
        yield f"receipt {row['basket_id']} of member {row['household_id']}: {answered}"


def _wrong_copies(log: pd.DataFrame) -> Iterator[str]:
    """One copy is the effect and the others are replays; a repeat may have found its first send's effect."""
    for row in log[~log.answers_equal].itertuples():
        yield f"receipt {row.basket_id}: its {row.copies} copies were answered differently"
    first_answers = log.copies - log.replays
    wrong = (first_answers != 1) & ~((first_answers == 0) & (log.repeats > 0))
    for row in log[wrong].itertuples():
        yield f"receipt {row.basket_id}: {row.replays} of its {row.copies} copies were replays"
