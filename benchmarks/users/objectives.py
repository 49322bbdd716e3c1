"""What the service is to reach; the exit status says whether it did."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from flask import Response, jsonify, request
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from benchmarks.users.percentiles import Percentiles
from benchmarks.users.workers import Workers

_FAILED: Final = 1


class _Objective(NamedTuple):
    """A figure that must not be above its limit, or not below it."""

    figure: Callable[[Environment, Percentiles], float]
    is_ceiling: bool
    help: str

    def is_met(self, reached: float, limit: float) -> bool:
        return reached <= limit if self.is_ceiling else reached >= limit


def _latency_ms(percentile: float) -> Callable[[Environment, Percentiles], float]:
    return lambda _environment, percentiles: percentiles.all.at_ms(percentile)


_OBJECTIVES: Final[Mapping[str, _Objective]] = {
    "p50_ms": _Objective(_latency_ms(50), True, "Latency that half of the calls must not exceed"),
    "p99_ms": _Objective(_latency_ms(99), True, "Latency that 99 %% of the calls must not exceed"),
    "p999_ms": _Objective(_latency_ms(99.9), True, "Latency that 99.9 %% of the calls must not exceed"),
    "failure_percent": _Objective(
        lambda environment, _: environment.stats.total.fail_ratio * 100,
        True,
        "Share of the calls that may fail; with it, failures alone do not decide the exit status",
    ),
    "calls_per_second": _Objective(
        lambda environment, _: environment.stats.total.total_rps, False, "Calls a second, at least"
    ),
}


class Objectives:
    """The options `--slo-...`, and the gate that they are."""

    def __init__(self, percentiles: Percentiles, workers: Workers) -> None:
        self._percentiles = percentiles
        self._workers = workers
        self._has_run = False

    def register(self) -> None:
        """Have Locust know the options, and end as they say."""
        events.init_command_line_parser.add_listener(_add_options)  # type: ignore[no-untyped-call]
        events.init.add_listener(_set_up)  # type: ignore[no-untyped-call]
        events.test_start.add_listener(self._note_run)  # type: ignore[no-untyped-call]
        events.quitting.add_listener(self._judge)  # type: ignore[no-untyped-call]

    def _note_run(self, **_: object) -> None:
        self._has_run = True

    def _judge(self, environment: Environment, **_: object) -> None:
        if isinstance(environment.runner, WorkerRunner) or not self._has_run:
            return
        limits = _limits(environment)
        faults = [*self._gaps(environment), *self._missed(environment, limits)]
        for line in faults:
            sys.stderr.write(f"locust: {line}\n")
        if faults:
            environment.process_exit_code = _FAILED
        elif "failure_percent" in limits:
            environment.process_exit_code = 0

    def _gaps(self, environment: Environment) -> Iterator[str]:
        """Why the figures are not those of the load that was meant, whatever they are."""
        if lost := self._workers.lost(environment):
            yield f"workers went missing: {lost}"
        if not environment.stats.total.num_requests:
            yield "no call was answered"

    def _missed(self, environment: Environment, limits: Mapping[str, float]) -> Iterator[str]:
        if not environment.stats.total.num_requests:
            return
        for name, limit in limits.items():
            objective = _OBJECTIVES[name]
            reached = objective.figure(environment, self._percentiles)
            if not objective.is_met(reached, limit):
                bound = "at most" if objective.is_ceiling else "at least"
                yield f"objective missed: {name} is {reached:,.3f}, and must be {bound} {limit:,g}"


def _set_up(environment: Environment, **_: object) -> None:
    if environment.web_ui and environment.web_ui.app:
        environment.web_ui.app.before_request(_check_form)


def _check_form() -> Response | None:
    """The answer to a form of the web page with a limit that is none, before a run is in vain."""
    for name in _OBJECTIVES:
        limit = request.form.get(f"slo_{name}", "")
        try:
            float(limit or 0)
        except ValueError:
            return jsonify(success=False, message=f"{name} must be a number, not {limit!r}")
    return None


def _limits(environment: Environment) -> Mapping[str, float]:
    """Those that were given. The web page gives all of them, as text."""
    given = {name: getattr(environment.parsed_options, f"slo_{name}", None) for name in _OBJECTIVES}
    return {name: float(limit) for name, limit in given.items() if limit not in {None, ""}}


def _add_options(parser: LocustArgumentParser) -> None:
    for name, objective in _OBJECTIVES.items():
        parser.add_argument(
            f"--slo-{name.replace('_', '-')}",
            env_var=f"LOYALTY_SLO_{name.upper()}",
            type=float,
            default=None,
            help=objective.help,
        )
