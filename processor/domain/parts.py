"""How much of an operation belongs to the goods of it that have come back."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from processor.domain.command import LineItem, lines_from_text
from processor.domain.effects import Effects, LineShare
from processor.domain.operation import Original
from processor.domain.points import apportion


class Part(NamedTuple):
    """How much of an operation: points it earned and redeemed, and money of its receipt."""

    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int
    total_minor: int

    @property
    def paid_minor(self) -> int:
        """What was paid for it with money."""
        return self.total_minor - self.discount_minor - self.redeemed_minor


_NOTHING: Final = Part(0, 0, 0, 0, 0)


def whole_of(original: Original) -> Part:
    """All of it."""
    return Part(
        original.earned_points,
        original.redeemed_points,
        original.redeemed_minor,
        original.discount_minor,
        original.total_minor,
    )


def part_of(original: Original, effects: Effects, quantities_milli: Mapping[int, int]) -> Part:
    """What belongs to the quantities, by line number, that have come back: never more than the whole."""
    lines = lines_from_text(original.receipt_lines)
    shares = [LineShare(*share) for share in effects.shares] or _plain_shares(original, lines)
    part = _NOTHING
    for number, quantity_milli in quantities_milli.items():
        part = _plus(part, _part_of_line(lines[number - 1], shares[number - 1], quantity_milli))
    return part


def _part_of_line(line: LineItem, share: LineShare, quantity_milli: int) -> Part:
    """Rounded down one by one; the total is the sum of what was paid in every way, so none of it shrinks."""
    paid_minor = line.amount_minor - share.redeemed_minor - share.discount_minor
    *parts, paid = [amount * quantity_milli // line.quantity_milli for amount in (*share, paid_minor)]
    earned, redeemed, by_points, discount = parts
    return Part(earned, redeemed, by_points, discount, by_points + discount + paid)


def _plus(part: Part, other: Part) -> Part:
    return Part._make(a + b for a, b in zip(part, other, strict=True))


def minus(part: Part, other: Part) -> Part:
    """What is more in a part than in another."""
    return Part._make(a - b for a, b in zip(part, other, strict=True))


def _plain_shares(original: Original, lines: Sequence[LineItem]) -> Sequence[LineShare]:
    """Of a receipt that only met one rate, rounded once, and one redemption: no shares are kept for it."""
    if not lines:
        return ()
    amounts = [line.amount_minor for line in lines]
    redeemed_minor = apportion(original.redeemed_minor, amounts, lines)
    paid = [amount - redeemed for amount, redeemed in zip(amounts, redeemed_minor, strict=True)]
    columns = zip(
        apportion(original.earned_points, paid if any(paid) else amounts, lines),
        apportion(original.redeemed_points, redeemed_minor if any(redeemed_minor) else amounts, lines),
        redeemed_minor,
        [0] * len(lines),
        strict=True,
    )
    return [LineShare(*share) for share in columns]
