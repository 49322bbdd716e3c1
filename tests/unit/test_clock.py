"""The clock that tests may set."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor import clock
from processor.config import ConfigError


@pytest.fixture(autouse=True)
def _machine_clock_afterwards() -> Iterator[None]:
    yield
    clock.set_by("")


def test_it_goes_by_the_machine() -> None:
    before_us = time.time_ns() // 1_000
    assert before_us <= clock.now_us() <= time.time_ns() // 1_000


def test_it_goes_by_a_file_that_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "now"
    file.write_text("1767225600000000\n")
    clock.set_by(str(file))
    assert clock.now_us() == 1_767_225_600_000_000
    file.write_text("1767225600000001")
    assert clock.now_us() == 1_767_225_600_000_001


def test_a_file_without_a_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LOYALTY_TEST_CLOCK"):
        clock.set_by(str(tmp_path / "nothing"))
