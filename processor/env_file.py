"""A file of `LOYALTY_*` variables, a line each, read so that no line is passed over in silence."""

import re
from pathlib import Path
from typing import Final, NamedTuple

# `export` is for files that a shell reads too. Between quotes everything counts as it is, a `#` too.
_SETTING: Final = re.compile(
    r"""
    \s* (?:export\s+)? LOYALTY_(?P<name>[A-Z][A-Z0-9_]*) \s*=\s*
    (?: "(?P<double>[^"\0]*)" | '(?P<single>[^'\0]*)' | (?P<bare>[^\s"'#\0][^\0]*?)? )
    (?: \s+ \#.* )? \s*
    """,
    re.VERBOSE,
)
_NOTHING: Final = re.compile(r"\s*(?:#.*)?")


class EnvFile(NamedTuple):
    """What a file says: values by the names of `Settings`, and by their number the lines that say nothing."""

    values: dict[str, str]
    unread: dict[int, str]


def read_env_file(path: Path) -> EnvFile:
    """Read a file; of two lines for one setting the last counts. Raises OSError and UnicodeDecodeError."""
    values: dict[str, str] = {}
    unread: dict[int, str] = {}
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), start=1):
        if setting := _SETTING.fullmatch(line):
            values[setting["name"].lower()] = setting["double"] or setting["single"] or setting["bare"] or ""
        elif not _NOTHING.fullmatch(line):
            unread[number] = line.strip()
    return EnvFile(values, unread)
