"""Taking a DSN of several hosts apart."""

import pytest

from storage.primary import dsn_per_host, server_of


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


@pytest.mark.parametrize(
    "dsn, server",
    [
        ("postgresql://u:p@db.example/shop", "db.example:5432"),
        ("postgresql://u:p@[::1]:6000/shop", "[::1]:6000"),
        ("postgresql://u:p@/shop?host=%2Frun%2Fpg&port=6001", "/run/pg:6001"),
        ("postgresql:///shop", "localhost:5432"),
    ],
)
def test_a_server_is_named_by_host_and_port(dsn: str, server: str) -> None:
    assert server_of(dsn) == server
