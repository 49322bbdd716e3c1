"""The clock of a server under test, which goes by a file."""

from pathlib import Path


class Clock:
    """A time that stands still until it is set."""

    def __init__(self, file: Path, at_us: int) -> None:
        self.file = file
        self.set(at_us)

    def set(self, at_us: int) -> None:
        """Replaced as a whole: the server may be reading it."""
        new = self.file.with_suffix(".new")
        new.write_text(str(at_us))
        new.replace(self.file)
