"""What is wrong with the ledger, and where."""

from collections.abc import Iterable
from typing import NamedTuple

from storage.audit import Finding


class Located(NamedTuple):
    """A finding; `member_id` is None if it concerns the chain as a whole."""

    chain_id: int
    member_id: int | None
    finding: Finding


class Findings:
    """How many there are, and the `first` of them, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0
        self.first: list[Located] = []

    def add(self, chain_id: int, member_id: int | None, findings: Iterable[Finding]) -> None:
        """Note what was found there."""
        for finding in findings:
            self.count += 1
            if len(self.first) < self._limit:
                self.first.append(Located(chain_id, member_id, finding))
