"""From what went wrong to one clear line and an exit status."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import typer

from processor.config import ConfigError
from processor.domain.failures import StorageFailure, StorageUnavailable
from storage.directory import DirectoryError
from storage.embedded import EmbeddedPostgresError
from storage.migrate import MigrationError
from storage.owner import SchemaMissingError

PROGRAM: Final = "loyalty-processor"


class ExitStatus(IntEnum):
    """What the commands end with; `EXIT_STATUSES` says it to people."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NO_POSTGRESQL = 3
    DEFECT = 4


EXIT_STATUSES: Final = (
    "Exit status: 0 done; 1 refused, or differences found; 2 wrong usage, settings or file; "
    "3 PostgreSQL cannot be reached; 4 a defect of this program; 130 interrupted."
)

_STATUS_OF: Final[tuple[tuple[type[Exception], ExitStatus], ...]] = (
    (EmbeddedPostgresError, ExitStatus.NO_POSTGRESQL),
    (StorageFailure, ExitStatus.REFUSED),
    (DirectoryError, ExitStatus.REFUSED),
    (MigrationError, ExitStatus.REFUSED),
    (SchemaMissingError, ExitStatus.REFUSED),
)


class CommandError(Exception):
    """A command cannot do what it was asked; one line says why and what to change."""

    def __init__(self, line: str, status: ExitStatus = ExitStatus.REFUSED) -> None:
        super().__init__(line)
        self.status = status


class InputFileError(Exception):
    """A file that a command was given cannot be used; `lines` begin with its name, and the place in it."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(f"{len(lines)} problems")
        self.lines = lines


def describe(error: Exception) -> tuple[ExitStatus, list[str]]:
    """The exit status of an error, and the lines to show for it."""
    match error:
        case InputFileError():
            return ExitStatus.USAGE, list(error.lines)
        case ConfigError():
            return ExitStatus.USAGE, [f"{PROGRAM}: {line}" for line in error.lines]
        case typer.TyperException():
            message = error.format_message()
            return ExitStatus.USAGE, [f"{PROGRAM}: {message} (--help shows the usage)"] if message else []
        case CommandError():
            return error.status, [f"{PROGRAM}: {error}"]
        case StorageUnavailable():
            return ExitStatus.NO_POSTGRESQL, [f"{PROGRAM}: PostgreSQL cannot be used: {error}"]
    for kind, status in _STATUS_OF:
        if isinstance(error, kind):
            return status, [f"{PROGRAM}: {error}"]
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    return ExitStatus.DEFECT, [f"{PROGRAM}: unexpected {text} ({PROGRAM} --debug ... shows where)"]
