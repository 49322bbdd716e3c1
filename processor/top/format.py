"""Figures as people read them: three digits that count, and a unit."""

from collections.abc import Sequence
from typing import Final

UNKNOWN: Final = "-"
_COUNTS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_BYTES: Final = ((2**40, " TiB"), (2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B"))
_SECONDS: Final = ((86_400, " d"), (3_600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"))


def count(value: float | None) -> str:
    """1234567 -> 1.23M."""
    return _scaled(value, _COUNTS)


def size(value: float | None) -> str:
    """Of bytes."""
    return _scaled(value, _BYTES)


def seconds(value: float | None) -> str:
    """0.00123 -> 1.23 ms."""
    return _scaled(value, _SECONDS)


def share(value: float | None) -> str:
    """0.123 -> 12.3%."""
    return UNKNOWN if value is None else f"{100 * value:.3g}%"


def _scaled(value: float | None, scales: Sequence[tuple[float, str]]) -> str:
    if value is None:
        return UNKNOWN
    factor, suffix = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    scaled = value / factor
    return f"{scaled:.0f}{suffix}" if abs(scaled) >= 100 else f"{scaled:.3g}{suffix}"
