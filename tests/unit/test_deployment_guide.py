"""docs/deployment.md says of settings and connections what the code has."""

import re
from pathlib import Path
from typing import Final

from processor import supervisor
from processor.config import ENVIRONMENT_PREFIX

GUIDE: Final = (Path(__file__).parents[2] / "docs/deployment.md").read_text()


def paragraph(begin: str) -> str:
    """The item of a list that begins so."""
    [found] = re.findall(rf"^- \*\*{begin}\*\*(.+?)(?=^- |^$)", GUIDE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_settings_that_need_a_restart_are_those_that_sighup_keeps() -> None:
    named = re.findall(rf"{ENVIRONMENT_PREFIX}(\w+)", paragraph("What needs a restart"))

    assert {name.lower() for name in named} == set(supervisor._FIXED)
