"""gRPC in a process of Locust, whose threads are gevent's."""

from typing import Final

import gevent  # type: ignore[import-untyped] # published without types
from grpc.experimental.gevent import init_gevent
from locust import events

# gRPC waits for each answer in one of gevent's threads: with the usual ten, it would take note of the others
# late, and their calls would seem to be slow.
_THREADS_MAX: Final = 2_000


def register_gevent() -> None:
    """Prepare gRPC before the first channel, or its threads would block Locust's.

    Not before Locust is set up: `--processes` forks until then, and gRPC does not survive a fork.
    """
    events.init.add_listener(_prepare)  # type: ignore[no-untyped-call]


def _prepare(**_: object) -> None:
    gevent.get_hub().threadpool.maxsize = _THREADS_MAX
    init_gevent()
