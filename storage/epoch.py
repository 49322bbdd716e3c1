"""PostgreSQL's time: microseconds, as the processor's, but from 2000-01-01 on and not from 1970-01-01."""

from typing import Final

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
