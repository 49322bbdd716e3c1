"""A chain's program as a YAML or JSON file: every problem told with its line and column."""

from processor.program_file.file import (
    ProgramFile,
    ProgramFileError,
    format_program,
    format_time,
    parse_program,
)
from processor.program_file.model import program_schema

__all__ = [
    "ProgramFile",
    "ProgramFileError",
    "format_program",
    "format_time",
    "parse_program",
    "program_schema",
]
