"""How large the ledgers are that are compared, and what that takes on disk."""

import re
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.compare.client import BenchmarkError

_TEXT: Final = re.compile(r"(\d+)/(\d+)")
_GB: Final = 10**9
# Measured, indexes included.
_ROW_BYTES: Final = 520
_MEMBER_BYTES: Final = 160
# The write-ahead log at its largest, and what the load adds.
_MORE_BYTES: Final = 6 * _GB


class Size(NamedTuple):
    """Of one ledger."""

    rows: int
    members: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.members:,} members"


def parse_size(text: str) -> Size:
    """ROWS/MEMBERS. Raises ValueError."""
    found = _TEXT.fullmatch(text)
    if not found or not int(found[2]):
        raise ValueError(f"{text!r} is no ROWS/MEMBERS, such as 1000000/100000")
    return Size(int(found[1]), int(found[2]))


def check_disk(sizes: list[Size], directory: Path) -> None:
    """Raises BenchmarkError if the ledgers do not fit."""
    needed = sum(size.rows * _ROW_BYTES + size.members * _MEMBER_BYTES for size in sizes) + _MORE_BYTES
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise BenchmarkError(
            f"{directory} has {free / _GB:.0f} GB free and this needs {needed / _GB:.0f}:"
            " name another place by --directory, or smaller ledgers by --size"
        )
