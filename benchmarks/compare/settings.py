"""What one comparison is to do."""

from typing import Final, NamedTuple

CONNECTIONS: Final = 4
UNARY_IN_FLIGHT: Final = 512
BATCHES_IN_FLIGHT: Final = 8
BATCH_OPS: Final = 500
MESSAGE_OPS: Final = 100
CHAINS_COUNT: Final = 200


class Settings(NamedTuple):
    """`seconds` are those of one run of one subject.

    In the overload, `overload_times` as much is in flight as a worker takes on.
    """

    members: int
    zipf: float
    rounds: int
    seconds: float
    workers: int
    is_quick: bool
    overload_times: int
