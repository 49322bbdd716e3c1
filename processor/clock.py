"""The service's one clock.

For tests alone, `LOYALTY_TEST_CLOCK` may name a file that holds the time to go by, in microseconds since the
Unix epoch; whoever writes the file moves the clock.
"""

from pathlib import Path
from time import time_ns
from typing import Final

from processor.config import ConfigError

VARIABLE: Final = "LOYALTY_TEST_CLOCK"

_file: Path | None = None


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return int(_file.read_text()) if _file else time_ns() // 1_000


def set_by(file_name: str) -> None:
    """Go by this file from now on, or by the machine's clock if it is empty. Raises ConfigError."""
    global _file  # noqa: PLW0603 - there is one clock
    _file = Path(file_name) if file_name else None
    try:
        now_us()
    except (OSError, ValueError) as error:
        raise ConfigError([f"{VARIABLE}: {file_name} holds no time: {error}"]) from error
