"""Prometheus and its promtool: the machine's own, else those of Debian's package, unpacked into a cache."""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import pytest

CACHE: Final = Path(__file__).parents[1] / ".cache" / "prometheus"
_COMMAND_SECONDS_MAX: Final = 120


def prometheus_binary(name: Literal["prometheus", "promtool"]) -> str:
    """The program's path. Skips the test that asks for it if it can't be had here."""
    return shutil.which(name) or str(_unpacked_package() / "usr/bin" / name)


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool; both of its outputs are in `stdout`. Skips the test if it can't be had here."""
    return subprocess.run(
        [prometheus_binary("promtool"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS_MAX,
    )


def _unpacked_package() -> Path:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("there is no Prometheus here, and no apt-get to fetch it with: install Prometheus")
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE.parent / ".gitignore").write_text("*\n")
    root = CACHE / "root"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # every process of the test run may want it at once
        if not root.exists():
            _unpack_package(root)
    return root


def _unpack_package(root: Path) -> None:
    """Fetch the package and unpack it: needs no rights and changes nothing on the machine."""
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        scratch = Path(directory)
        if error := _download(scratch):
            pytest.skip(f"there is no Prometheus here, and apt-get can't fetch it: install it ({error})")
        [package] = scratch.glob("prometheus_*.deb")
        subprocess.run(
            ["dpkg-deb", "-x", package, scratch / "root"], check=True, timeout=_COMMAND_SECONDS_MAX
        )
        (scratch / "root").rename(root)


def _download(scratch: Path) -> str:
    """Put the package into `scratch`; what went wrong, or "". The machine's lists may be absent or old."""
    if not _apt_get(["download", "prometheus"], scratch):
        return ""
    (scratch / "lists").mkdir()
    own_state = ["-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
    _apt_get([*own_state, "update"], scratch)
    return _apt_get([*own_state, "download", "prometheus"], scratch)


def _apt_get(arguments: Sequence[str], directory: Path) -> str:
    """The last line that it complains in, or "" if all went well."""
    try:
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return "apt-get did not end in time"
    return (done.stderr.strip().splitlines() or ["failed"])[-1] if done.returncode else ""
