"""A program file as an argument."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from processor.cli.errors import InputFileError
from processor.program_file import ProgramFile, ProgramFileError, parse_program

ProgramPath = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A YAML or JSON file, or - for standard input; see docs/programs.md.",
        show_default=False,
    ),
]


def read_program(file: Path) -> ProgramFile:
    """Raises InputFileError with every problem of the file."""
    name = "<stdin>" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return parse_program(content.decode())
    except OSError as error:
        raise InputFileError([f"{name}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputFileError([f"{name}: is not UTF-8 text: {error}"]) from error
    except ProgramFileError as error:
        raise InputFileError(error.lines(name)) from error
