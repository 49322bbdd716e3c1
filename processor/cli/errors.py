"""From what went wrong to one clear line and an exit status."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import typer

from processor.config import ConfigError
from processor.domain.failures import StorageFailure, StorageUnavailable
from storage.directory import ChainNameError, DirectoryError
from storage.embedded import EmbeddedPostgresError
from storage.members import MemberError
from storage.migrate import MigrationError
from storage.owner import SchemaMissingError
from storage.partitions import PartitionError
from storage.rebuild import RebuildError

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


_STATUS_OF: Final[Mapping[type[Exception], ExitStatus]] = MappingProxyType(
    {
        ConfigError: ExitStatus.USAGE,
        typer.TyperException: ExitStatus.USAGE,
        StorageUnavailable: ExitStatus.NO_POSTGRESQL,
        EmbeddedPostgresError: ExitStatus.NO_POSTGRESQL,
        StorageFailure: ExitStatus.REFUSED,
        ChainNameError: ExitStatus.USAGE,
        DirectoryError: ExitStatus.REFUSED,
        MemberError: ExitStatus.REFUSED,
        MigrationError: ExitStatus.REFUSED,
        PartitionError: ExitStatus.REFUSED,
        RebuildError: ExitStatus.REFUSED,
        SchemaMissingError: ExitStatus.REFUSED,
    }
)


def describe(error: Exception) -> tuple[ExitStatus, list[str]]:
    """The exit status of an error, and the lines to show for it."""
    if isinstance(error, InputFileError):
        return ExitStatus.USAGE, list(error.lines)
    return _status(error), [f"{PROGRAM}: {text}" for text in _texts(error)]


def _status(error: Exception) -> ExitStatus:
    if isinstance(error, CommandError):
        return error.status
    known = (status for kind, status in _STATUS_OF.items() if isinstance(error, kind))
    return next(known, ExitStatus.DEFECT)


def _texts(error: Exception) -> list[str]:
    if isinstance(error, ConfigError):
        return error.lines
    if isinstance(error, typer.TyperException):
        message = error.format_message()
        return [f"{message} (--help shows the usage)"] if message else []
    if isinstance(error, StorageUnavailable):
        return [f"PostgreSQL cannot be used: {error}; check that --dsn or LOYALTY_DSN names it"]
    if _status(error) is ExitStatus.DEFECT:
        text = f"{type(error).__name__}: {error}".partition("\n")[0]
        return [f"unexpected {text} ({PROGRAM} --debug ... shows where)"]
    return [str(error)]
