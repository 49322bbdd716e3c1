"""The migrations are those of the list of checksums, so that none is edited unnoticed once it is applied."""

from pathlib import Path

from storage.migrate import migrations

SUMS = Path(__file__).parents[2] / "storage" / "migrations" / "SHA256SUMS"


def test_every_migration_has_the_checksum_of_the_list() -> None:
    pairs = (line.split() for line in SUMS.read_text().splitlines())
    listed = {name: digest for digest, name in pairs}
    assert {f"{step}.sql": step.sha256 for step in migrations()} == listed
