"""From what went wrong to one clear line and an exit status."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import typer

from processor.config import ConfigError
from processor.domain.failures import StorageFailure, StorageUnavailable
from storage.directory import DirectoryError
from storage.embedded import EmbeddedPostgresError
from storage.migrate import MigrationError
from storage.owner import SchemaMissingError


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
    (StorageUnavailable, ExitStatus.NO_POSTGRESQL),
    (EmbeddedPostgresError, ExitStatus.NO_POSTGRESQL),
    (StorageFailure, ExitStatus.REFUSED),
    (DirectoryError, ExitStatus.REFUSED),
    (MigrationError, ExitStatus.REFUSED),
    (SchemaMissingError, ExitStatus.REFUSED),
)


class CommandError(Exception):
    """A command cannot do what it was asked; `lines` say why and what to change."""

    def __init__(self, lines: str | Iterable[str], status: ExitStatus = ExitStatus.REFUSED) -> None:
        self.lines = [lines] if isinstance(lines, str) else list(lines)
        super().__init__("; ".join(self.lines))
        self.status = status


def describe(error: Exception) -> tuple[ExitStatus, list[str]]:
    """The exit status of an error, and the lines to show for it."""
    match error:
        case CommandError():
            return error.status, error.lines
        case ConfigError():
            return ExitStatus.USAGE, error.lines
        case typer.TyperException():
            return ExitStatus.USAGE, [f"{error.format_message()} (--help shows the usage)"]
        case StorageUnavailable():
            return ExitStatus.NO_POSTGRESQL, [f"PostgreSQL cannot be used: {error}"]
    for kind, status in _STATUS_OF:
        if isinstance(error, kind):
            return status, [str(error)]
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    return ExitStatus.DEFECT, [f"unexpected {text} (loyalty-processor --debug ... shows where)"]
