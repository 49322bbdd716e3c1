"""Values in Grafana's units, as people read them."""

from collections.abc import Sequence
from typing import Final

_SHORT: Final = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
_BYTES: Final = ((1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB"))
_SECONDS: Final = ((86_400, " d"), (3_600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"))


def format_value(value: float, unit: str) -> str:
    """With two or three digits that count."""
    match unit:
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "s":
            return _scaled(value, _SECONDS, " s")
        case "bytes":
            return _scaled(value, _BYTES, " B")
        case "Bps":
            return _scaled(value, _BYTES, " B") + "/s"
        case "ops" | "reqps":
            return _scaled(value, _SHORT, "") + "/s"
    return _scaled(value, _SHORT, "")


def _scaled(value: float, scales: Sequence[tuple[float, str]], plain: str) -> str:
    for factor, suffix in scales:
        if abs(value) >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}{plain}"
