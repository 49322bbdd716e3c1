"""Keys as they are pressed, without Enter and without an echo."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager


class Keyboard:
    """The terminal on standard input; where there is none, only time passes."""

    def __init__(self, *, is_there: bool) -> None:
        self._is_there = is_there

    def wait_for(self, key: str, seconds: float) -> bool:
        """Whether the key was pressed within so many seconds; ends with the press."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([sys.stdin] if self._is_there else [], [], [], remaining)
            if ready:
                # Not sys.stdin.read: what that reads ahead, select does not see.
                pressed = os.read(sys.stdin.fileno(), 1).decode(errors="replace")
                self._is_there = bool(pressed)  # at its end, it would be ready for ever
                if pressed == key:
                    return True
        return False


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The keyboard, in order again at the end."""
    if not sys.stdin.isatty():
        yield Keyboard(is_there=False)
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield Keyboard(is_there=True)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
