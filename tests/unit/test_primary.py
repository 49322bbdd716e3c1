"""Taking a DSN of several hosts apart."""

import pytest

from storage.primary import dsn_per_host


@pytest.mark.parametrize(
    "dsn, dsns",
    [
        ("postgresql://u:p@a/db", ["postgresql://u:p@a/db"]),
        ("postgresql:///db?host=/run/pg", ["postgresql:///db?host=/run/pg"]),
        (
            "postgresql://u:p,w@a:1,[::1]:2,b/db?sslmode=require",
            [
                "postgresql://u:p,w@a:1/db?sslmode=require",
                "postgresql://u:p,w@[::1]:2/db?sslmode=require",
                "postgresql://u:p,w@b/db?sslmode=require",
            ],
        ),
        ("postgres://a,b", ["postgres://a", "postgres://b"]),
    ],
)
def test_each_host_gets_a_dsn_of_its_own(dsn: str, dsns: list[str]) -> None:
    assert dsn_per_host(dsn) == dsns
