"""What a household does at the till: it buys, and brings some of it back."""

from typing import NamedTuple


class Header(NamedTuple):
    """A receipt without its lines, which are the rows from `first_line` to before `end_line`."""

    basket_id: int
    household_id: int
    store_id: int
    occurred_at_us: int
    total_minor: int
    first_line: int
    end_line: int

    @property
    def name(self) -> str:
        """What tells it from all other calls."""
        return str(self.basket_id)

    @property
    def return_number(self) -> int:
        """As in the log."""
        return 0


class Comeback(NamedTuple):
    """Goods of an earlier receipt: line numbers from 1 with quantities in thousandths."""

    basket_id: int
    household_id: int
    store_id: int
    occurred_at_us: int
    return_number: int
    lines: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """What tells it from all other calls."""
        return f"{self.basket_id}-{self.return_number}"


Event = Header | Comeback
