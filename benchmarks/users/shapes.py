"""How many tills there are, as the time goes by."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from flask import Response, jsonify, request
from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_STOPPED

_RUN_SECONDS: Final = 60.0

# The share of --users at a time of 0 to 1.
_Curve = Callable[[float], float]


def _ramp(time: float) -> float:
    return time


def _spike(time: float) -> float:
    """A fifth of the time everybody, before and after it a tenth of them."""
    return 1.0 if 0.4 <= time < 0.6 else 0.1


def _soak(time: float) -> float:
    """Everybody, after a twentieth of the time to come."""
    return min(1.0, time * 20)


def _constant(_time: float) -> float:
    return 1.0


_CURVES: Final[Mapping[str, _Curve]] = {
    "ramp": _ramp,
    "spike": _spike,
    "soak": _soak,
    "rate": _constant,
}


def register() -> None:
    """Have Locust know `--shape`."""
    events.init_command_line_parser.add_listener(_add_option)  # type: ignore[no-untyped-call]
    events.init.add_listener(_set_up)  # type: ignore[no-untyped-call]


def _add_option(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        env_var="LOYALTY_SHAPE",
        choices=["", *_CURVES],
        default="",
        help="ramp: up to --users over --run-time; spike: a tenth of them, all for a fifth of the time;"
        " soak: all but at once, to the end; rate: all at once, with --rate",
    )


def _set_up(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    if not options or options.worker:
        return
    if fault := _choose(environment, options.shape, options.rate):
        sys.exit(f"locust: {fault}")
    if environment.web_ui and environment.web_ui.app:
        environment.web_ui.app.before_request(partial(_choose_by_form, environment))


def _choose_by_form(environment: Environment) -> Response | None:
    """Set the shape when the web page starts a run; the answer if there can be none."""
    options, runner = environment.parsed_options, environment.runner
    assert options
    assert runner
    if not request.path.endswith("/swarm") or runner.state not in {STATE_INIT, STATE_STOPPED}:
        return None
    name, rate = request.form.get("shape", options.shape), request.form.get("rate", options.rate)
    fault = _choose(environment, name, float(rate or 0))
    return jsonify(success=False, message=fault, host=environment.host) if fault else None


def _choose(environment: Environment, name: str, rate: float) -> str:
    """Set the shape of the next run; returns why it cannot be, or nothing."""
    if name == "rate" and not rate:
        return "--shape rate needs --rate"
    environment.shape_class = _Shape(environment, _CURVES[name]) if name else None
    if environment.shape_class:
        environment.shape_class.runner = environment.runner
    return ""


class _Shape(LoadTestShape):
    """A curve between nobody and --users, over --run-time."""

    abstract = True  # not for Locust to find
    use_common_options = True

    def __init__(self, environment: Environment, curve: _Curve) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._options = environment.parsed_options
        self._curve = curve

    def tick(self) -> tuple[int, float] | None:
        """As `LoadTestShape.tick`."""
        assert self._options
        run_seconds = float(self._options.run_time or _RUN_SECONDS)
        users = int(self._options.num_users or 1)
        time = self.get_run_time() / run_seconds  # type: ignore[no-untyped-call]
        if time >= 1:
            return None
        return max(1, round(users * self._curve(time))), users
