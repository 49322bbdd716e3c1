"""The figures of two commits: which changes are told, which of them fail, and what cannot be compared."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from benchmarks.regression import main

ROOT = Path(__file__).parents[2]


def figure(median: float) -> dict[str, Any]:
    return {"median": median, "low": median, "high": median, "rounds": [median]}


def report() -> dict[str, Any]:
    return {
        "kind": "comparison",
        "machine": {"cpu": "one", "cores": 2, "load_average": 1.0},
        "postgres": {"fsync": "on", "synchronous_commit": "on", "server_version": "18.6"},
        "settings": {"members": 1_000},
        "figures": {
            "floor": {"postgres_us": figure(20.0)},
            "unary": {
                "operations_per_second": figure(5_000),
                "throughput_to_floor": figure(0.1),
                "server_us": figure(300.0),
                "batch_ops": figure(30.0),
            },
        },
    }


def written(folder: Path, *values: object) -> list[str]:
    files = [folder / f"{number}.json" for number, _ in enumerate(values)]
    for file, value in zip(files, values, strict=True):
        file.write_text(json.dumps(value))
    return list(map(str, files))


def status(folder: Path, new: object, *options: str) -> int:
    """The exit status that the change from `report()` to `new` has."""
    return compared(folder, report(), new, *options)


def compared(folder: Path, old: object, new: object, *options: str) -> int:
    arguments = [*written(folder, old, new), *options]
    with patch.object(sys, "argv", ["regression", *arguments]), pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def changed(subject: str, name: str, median: float) -> dict[str, Any]:
    value = copy.deepcopy(report())
    value["figures"][subject][name] = figure(median)
    return value


def test_equal_figures_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path, report()) == 0
    assert "0 of 3 figures are worse" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, median, change", [("server_us", 333.0, "+11.0%"), ("throughput_to_floor", 0.089, "-11.0%")]
)
def test_a_change_for_the_worse_beyond_the_tolerance_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, median: float, change: str
) -> None:
    new = changed("unary", name, median)

    assert status(tmp_path, new) == 1
    assert re.search(rf"{re.escape(change)} +worse", capsys.readouterr().out)
    assert status(tmp_path, new, "--tolerance-percent", "12") == 0


def test_a_change_for_the_better_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path, changed("unary", "server_us", 200.0)) == 0
    assert "better" in capsys.readouterr().out


def test_a_figure_that_is_gone_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without = copy.deepcopy(report())
    del without["figures"]["unary"]["server_us"]

    assert status(tmp_path, without) == 1
    assert "gone" in capsys.readouterr().out


def test_what_a_round_of_the_old_run_came_to_varies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = report(), changed("unary", "server_us", 350.0)
    old["figures"]["unary"]["server_us"] |= {"high": 360.0}

    assert compared(tmp_path, old, new) == 0
    assert re.search(r"\+16.7% +varies", capsys.readouterr().out)
    old["figures"]["unary"]["server_us"] |= {"high": 340.0}
    assert compared(tmp_path, old, new) == 1


@pytest.mark.parametrize(
    "old, new, ended", [(-0.3, 0.05, 0), (-0.05, -0.3, 0), (-0.3, 0.2, 1), (0.05, 0.2, 1), (0.2, -0.1, 0)]
)
def test_memory_that_grows_is_worse_and_memory_that_shrinks_no_matter(
    tmp_path: Path, old: float, new: float, ended: int
) -> None:
    before, after = (changed("unary", "resident_growth", growth) for growth in (old, new))
    assert compared(tmp_path, before, after) == ended


def test_what_was_nothing_fails_by_any_growth(tmp_path: Path) -> None:
    assert status(tmp_path, changed("unary", "failed_calls", 3)) == 0
    assert compared(tmp_path, changed("unary", "failed_calls", 0), changed("unary", "failed_calls", 3)) == 1


def test_what_the_service_is_measured_by_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(tmp_path, changed("floor", "postgres_us", 40.0)) == 0
    assert "reference" in capsys.readouterr().out


def test_the_clock_counts_only_if_told_so(tmp_path: Path) -> None:
    slower = changed("unary", "operations_per_second", 2_500)

    assert status(tmp_path, slower) == 0
    assert status(tmp_path, slower, "--wall-time") == 1


@pytest.mark.parametrize(
    "new, told",
    [
        ({**report(), "settings": {"members": 2_000}}, "settings: members was 1000 and is 2000"),
        ({**report(), "machine": {"cpu": "another", "cores": 2}}, "machine cpu was one and is another"),
        ({**report(), "machine": {**report()["machine"], "compiled": True}}, "machine compiled was None"),
        ({"figures": {}}, "is no report"),
        ([], "is no report"),
    ],
)
def test_files_of_different_runs_cannot_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], new: object, told: str
) -> None:
    assert status(tmp_path, new) == 2
    assert told in capsys.readouterr().err


def test_a_file_that_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    [there] = written(tmp_path, report())
    command = [sys.executable, "-m", "benchmarks.regression", there, "none.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("regression: cannot read none.json")
    assert done.stderr.count("\n") == 1
