"""What the subjects of a comparison are called in its figures."""

from typing import Final

FLOOR: Final = "floor"
PGBENCH: Final = "pgbench -N"
EMPTY: Final = "empty handler"
ROW: Final = "row at a time"
UNARY: Final = "unary"
NATIVE: Final = "unary, native"
TRACED: Final = "unary, 1 % traced"
RICH: Final = "unary, rich program"
BASKET: Final = "checkout, 30 lines, rich"
HOT_UNARY: Final = "unary, one member"
CHAINS: Final = "unary, 200 chains"
BATCH: Final = "batch of 500"
HOT_BATCH: Final = "batch of 500, one member"
STREAM: Final = "stream, 100 a message"

# What the service is measured by.
BASELINES: Final = frozenset({FLOOR, PGBENCH, EMPTY, ROW})

# What is measured after the rounds.
IDLE: Final = "one call at a time"
IDLE_NATIVE: Final = "one call at a time, native"
HALF_PEAK: Final = "half of the peak"
HALF_PEAK_NATIVE: Final = "half of the peak, native"
OVERLOAD_BATCH: Final = "overload, batches"
OVERLOAD_UNARY: Final = "overload, unary"
OVERLOAD_NATIVE: Final = "overload, native"
GROWTH: Final = "growth"
