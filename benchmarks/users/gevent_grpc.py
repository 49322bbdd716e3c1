"""gRPC in a process of Locust, whose threads are gevent's."""

from grpc.experimental.gevent import init_gevent
from locust import events


def register_gevent() -> None:
    """Prepare gRPC before the first channel, or its threads would block Locust's.

    Not before Locust is set up: `--processes` forks until then, and gRPC does not survive a fork.
    """
    events.init.add_listener(_prepare)  # type: ignore[no-untyped-call]


def _prepare(**_: object) -> None:
    init_gevent()
