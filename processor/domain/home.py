"""Where the operations of the present go."""

from typing import NamedTuple


class Home(NamedTuple):
    """A partition of the ledger: occurred_at from `from_us` to before `to_us`, in unix microseconds."""

    name: str
    from_us: int
    to_us: int
