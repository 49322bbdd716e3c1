"""The migrations are those of the list of checksums, so that none is edited unnoticed once it is applied."""

from pathlib import Path

from storage.migrate import migrations

SUMS = Path(__file__).parents[2] / "storage" / "migrations" / "SHA256SUMS"


def test_every_migration_has_the_checksum_of_the_list() -> None:
    assert [f"{step.sha256}  {step}.sql" for step in migrations()] == SUMS.read_text().splitlines()
