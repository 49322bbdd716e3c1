"""Failpoints: what is refused, and that they stop and kill a real process."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processor.config import ConfigError
from processor.failpoints import arm, hit

PROGRAM = """
import sys
from processor.failpoints import arm, hit
arm(sys.argv[1])
hit('after_commit')
hit('after_commit')
print('on')
"""


@pytest.mark.parametrize(
    "text, complaint",
    [
        (
            "before_comit=kill:1",
            "'before_comit'; there is no such failpoint; it must be one of before_commit, ",
        ),
        ("after_commit=explode", "the action must be kill:PROBABILITY or pause:FILE"),
        ("after_commit=pause:", "the action must be kill:PROBABILITY or pause:FILE"),
        ("after_commit=kill", "the probability must be a number from 0 to 1"),
        ("after_commit=kill:2", "the probability must be a number from 0 to 1"),
        ("before_commit=kill:0,after_commit=kill:nan", "the probability must be a number from 0 to 1"),
    ],
)
def test_nonsense_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        arm(text)
    (line,) = caught.value.lines
    assert line.startswith("LOYALTY_FAILPOINTS has ")
    assert complaint in line


def test_unarmed_and_improbable_failpoints_do_nothing() -> None:
    hit("before_commit")
    arm("before_commit=kill:0, after_commit=kill:0")
    hit("before_commit")
    hit("between_batches")
    arm("")


@pytest.mark.parametrize(
    "text, status, output",
    [
        ("before_commit=kill:1,after_commit=kill:1", -signal.SIGKILL, ""),
        ("before_commit=kill:1", 0, "on\n"),
    ],
)
def test_kill_ends_the_process_at_that_failpoint_alone(text: str, status: int, output: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, text], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (status, output)


def test_pause_waits_once_until_its_file_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "paused"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, f"after_commit=pause:{file}"], stdout=subprocess.PIPE, text=True
    ) as process:
        while not (file.exists() and file.read_text()):
            assert process.poll() is None
            time.sleep(0.01)
        assert file.read_text() == f"after_commit {process.pid}\n"
        file.unlink()
        assert process.communicate()[0] == "on\n"
