"""What serves: its version, and whether the modules that every operation goes through are compiled."""

from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple


class Build(NamedTuple):
    """The version of the package, and whether it ships compiled."""

    version: str
    is_compiled: bool


@cache
def this_build() -> Build:
    """Look where the modules come from."""
    settling = find_spec("processor.settlement")
    is_compiled = bool(settling and (settling.origin or "").endswith(tuple(EXTENSION_SUFFIXES)))
    return Build(version("loyalty-processor"), is_compiled)
