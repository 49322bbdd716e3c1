"""A PostgreSQL server of one's own in a directory, for `run`, `dev` and the tests. Linux only.

Needs the package's extra `embedded`, whose PostgreSQL it runs.
"""

from storage.embedded.launch import EmbeddedPostgresError
from storage.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
