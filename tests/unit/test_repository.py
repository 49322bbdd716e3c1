"""The repository's own promises: what is in it, what is not, and what the domain may import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
# Bracketed, so that the pattern does not match its own line.
REGISTRY_HOST = re.compile(rb"python[h]osted\.org|pypi\.(python\.)?[o]rg|npm[j]s\.org")


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def requirements(lock: Path) -> list[str]:
    """One string per pinned package, with the lines that continue it."""
    return re.split(r"\n(?=\S)", lock.read_text().strip())


def imported_modules(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_file_names_a_registry_host() -> None:
    offenders = [path for path in tracked_files() if REGISTRY_HOST.search(path.read_bytes())]

    assert offenders == []


def test_no_lock_that_records_where_files_came_from() -> None:
    assert not {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock"} & {
        path.name for path in tracked_files()
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_is_pinned_and_hashed(lock: Path) -> None:
    pinned = re.compile(r"[a-z0-9][a-z0-9.-]*==\S+( ; .+)?( \\\n +--hash=sha256:[0-9a-f]{64})+")

    assert [entry for entry in requirements(lock) if not pinned.fullmatch(entry)] == []


def test_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for entry in (entry for lock in LOCKS for entry in requirements(lock)):
        name, version = entry.split()[0].split("==")
        versions.setdefault(name, set()).add(version)

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    "folder", ["benchmarks", "helm", "processor", "processor/domain", "protos", "storage", "tests"]
)
def test_the_layout_has(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize(
    "source", sorted((ROOT / "processor/domain").rglob("*.py")), ids=lambda path: path.name
)
def test_the_domain_imports_the_standard_library_alone(source: Path) -> None:
    foreign = {
        name
        for name in imported_modules(source)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("processor.domain")
    }

    assert foreign == set()
