"""Locust's workers: what keeps them from getting lost, and which of them were."""

from functools import cache
from typing import Final

import gevent  # type: ignore[import-untyped] # published without types
from locust import argument_parser, events
from locust.env import Environment
from locust.runners import MasterRunner

_WATCH_SECONDS: Final = 0.5


class Workers:
    """Those that a master has missed, even if they came back: their calls of that time are not all known."""

    def __init__(self) -> None:
        self._lost: set[str] = set()

    def register(self) -> None:
        """Have Locust read its defaults once, and watch the workers if this is their master."""
        _remember_defaults()
        events.init.add_listener(self._watch)  # type: ignore[no-untyped-call]

    def lost(self, environment: Environment) -> int:
        """How many were missed so far."""
        if isinstance(environment.runner, MasterRunner):
            self._lost.update(worker.id for worker in environment.runner.clients.missing)
        return len(self._lost)

    def _watch(self, environment: Environment, **_: object) -> None:
        if isinstance(environment.runner, MasterRunner):
            gevent.spawn(self._keep_watching, environment)

    def _keep_watching(self, environment: Environment) -> None:
        while True:
            self.lost(environment)
            gevent.sleep(_WATCH_SECONDS)


def _remember_defaults() -> None:
    """Keep a worker alive while users come.

    For each of its master's options a worker reads all of Locust's own, with every message of users to spawn:
    0.2 s of CPU time in every second of a slow spawn rate, and no heartbeat before the last message is read.
    """
    argument_parser.default_args_dict = cache(argument_parser.default_args_dict)
