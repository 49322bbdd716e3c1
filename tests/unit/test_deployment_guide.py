"""What the documents say of settings and of connections to PostgreSQL is what the code has."""

import re
from pathlib import Path
from typing import Final

import pytest

from processor import supervisor
from processor.app.parts import CONNECTIONS_BESIDE_LANES, READ_CONNECTIONS
from processor.config import ENVIRONMENT_PREFIX

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = (ROOT / "docs/deployment.md").read_text()
POOLED_BESIDE_LANES: Final = CONNECTIONS_BESIDE_LANES + READ_CONNECTIONS
HEALTH: Final = 1


def paragraph(begin: str) -> str:
    """The item of a list that begins so."""
    [found] = re.findall(rf"^- \*\*{begin}\*\*(.+?)(?=^- |^$)", GUIDE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_settings_that_need_a_restart_are_those_that_sighup_keeps() -> None:
    named = re.findall(rf"{ENVIRONMENT_PREFIX}(\w+)", paragraph("What needs a restart"))

    assert {name.lower() for name in named} == set(supervisor._FIXED)


@pytest.mark.parametrize("document", ["docs/deployment.md", "helm/loyalty-processor/README.md"])
def test_a_workers_connections_are_those_of_its_pools_and_one_for_its_health(document: str) -> None:
    text = (ROOT / document).read_text()
    [beside] = re.findall(r"`(?:settings\.)?lanes` \+ (\d+)", text)

    assert int(beside) == POOLED_BESIDE_LANES
    assert "for its health" in text


@pytest.mark.parametrize(
    "document", ["docs/deployment.md", "docs/scaling.md", "docs/runbooks/LoyaltyDatabaseDown.md"]
)
def test_what_postgresql_must_allow_is_all_connections_of_a_worker(document: str) -> None:
    found = re.findall(r"\(lanes \+ (\d+)\)", (ROOT / document).read_text())

    assert {int(beside) for beside in found} == {POOLED_BESIDE_LANES + HEALTH}
