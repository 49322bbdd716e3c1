"""Named places where a test may stop or kill the process; out of action unless the environment says so.

`LOYALTY_FAILPOINTS` holds `name=action` pairs, separated by commas. Actions: `kill:PROBABILITY` kills this
process as kill -9 does, with that probability at each hit; `pause:FILE` writes the name and the process id
into the file and waits until the file is gone, at the first hit alone.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from processor.config import ConfigError

VARIABLE: Final = "LOYALTY_FAILPOINTS"
NAMES: Final = ("before_commit", "after_commit", "between_batches")

_armed: dict[str, Callable[[], None]] = {}


def hit(name: str) -> None:
    """Do what the failpoint is armed with."""
    if _armed:
        _armed.get(name, _pass)()


def arm(text: str) -> None:
    """Arm what `text`, in the form of the variable, says, and disarm all else. Raises ConfigError."""
    pairs = [pair.strip().partition("=") for pair in text.split(",") if pair.strip()]
    actions = {name: _action(name, action) for name, _, action in pairs}
    _armed.clear()
    _armed.update(actions)


def _action(name: str, text: str) -> Callable[[], None]:
    if name not in NAMES:
        raise _refusal(name, f"there is no such failpoint; it must be one of {', '.join(NAMES)}")
    action, _, argument = text.partition(":")
    if action == "kill":
        return partial(_kill, _probability(name, argument))
    if action == "pause" and argument:
        return partial(_pause, name, Path(argument))
    raise _refusal(f"{name}={text}", "the action must be kill:PROBABILITY or pause:FILE")


def _probability(name: str, text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = -1
    if not 0 <= probability <= 1:
        raise _refusal(f"{name}=kill:{text}", "the probability must be a number from 0 to 1")
    return probability


def _refusal(given: str, complaint: str) -> ConfigError:
    return ConfigError([f"{VARIABLE} has {given!r}; {complaint}"])


def _kill(probability: float) -> None:
    if random.random() < probability:
        os.kill(os.getpid(), signal.SIGKILL)


def _pause(name: str, file: Path) -> None:
    file.write_text(f"{name} {os.getpid()}\n")
    while file.exists():
        time.sleep(0.005)
    del _armed[name]


def _pass() -> None:
    """Do nothing: other failpoints are armed, this one is not."""
