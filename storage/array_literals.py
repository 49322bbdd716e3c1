"""Arrays as PostgreSQL reads them from texts: `{1,2}`, for statements that cast `$1::text::bigint[]`.

asyncpg asks of each element of an array by two abstract classes whether it is an array itself, which is most
of what an array costs it. PostgreSQL reads these texts as fast as arrays in binary.
Format: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
"""

from collections.abc import Iterable


def integers(numbers: Iterable[int]) -> str:
    """For any kind of integers."""
    return "{" + ",".join(map(str, numbers)) + "}"


def texts(values: Iterable[str]) -> str:
    """For text[], whatever the texts hold."""
    escaped = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(escaped) + '"}' if escaped else "{}"


def binaries(values: Iterable[bytes]) -> str:
    """For bytea[]."""
    digits = list(map(bytes.hex, values))
    return '{"\\\\x' + '","\\\\x'.join(digits) + '"}' if digits else "{}"
