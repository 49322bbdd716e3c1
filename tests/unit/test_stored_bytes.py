"""What is stored and sent has the bytes that it has always had, by the compiled code as by the sources."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from processor.domain.command import Command, Kind, LineItem, Receipt
from processor.domain.fingerprint import fingerprint

ROOT: Final = Path(__file__).parents[2]
TOLD: Final = Path(__file__).with_name("stored_bytes.py")
NOW_US: Final = 1_760_000_000_123_456
SOLD: Final = Receipt("receipt-9", 12_345, (LineItem("sku", 1_000, 12_345, "wine"),))
FINGERPRINTS: Final = {
    Command(
        *(Kind.CHECKOUT, "key", 0, "карта-7", NOW_US, "магазин-7", "till-1", SOLD, 50),
        offline=True,
        reward_ids=("free-coffee",),
    ): "c5f52732092a2883872d4390c2674f039b8ed26dc79fc157de689f5f446b0293"
    "62db9af4783efa911c3af5cb5a390d1ee5e031c5b3e3ce5d4a0288e3",
    Command(
        Kind.ACCRUE, "key", 2**63 - 1, "", NOW_US, "s", "", Receipt("r", 1, ()), 0
    ): "a5f338da65e9797eab0de37a912cea86b7efdc83b1e72880de689f5f0bcf0e1b"
    "000000009dff096cb7efdc830000000021dfdbf4",
}


@pytest.mark.parametrize("command", FINGERPRINTS, ids=lambda command: command.kind.name)
def test_fingerprints(command: Command) -> None:
    assert fingerprint(command).hex() == FINGERPRINTS[command]


def test_the_compiled_code_writes_what_the_sources_write(pytestconfig: pytest.Config) -> None:
    compiled = pytestconfig.getoption("--compiled")
    if not compiled:
        pytest.skip("nothing is compiled: no --compiled")
    sources = told(ROOT)
    assert sources.startswith("processor.settlement of sources")
    assert told(Path(compiled).resolve(), ROOT) == sources.replace("of sources", "compiled")


def told(*path: Path) -> str:
    """What the code on this path writes of a fixed set of operations, in hexadecimal."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
    ended = subprocess.run(
        [sys.executable, str(TOLD)], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout
