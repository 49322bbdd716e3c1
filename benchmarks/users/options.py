"""What the load test is told on the command line or by the environment, beside Locust's own options."""

import argparse
import sys

import gevent  # type: ignore[import-untyped] # published without types
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from benchmarks.users import access


def register() -> None:
    """Have Locust read the options, and check them before it starts."""
    # Locust's hooks are untyped.
    events.init_command_line_parser.add_listener(_add_options)  # type: ignore[no-untyped-call]
    events.init.add_listener(_check)  # type: ignore[no-untyped-call]
    events.init.add_listener(_set_clock)  # type: ignore[no-untyped-call]


def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--api-key",
        env_var="LOYALTY_API_KEY",
        default="",
        is_secret=True,
        help="API key of the chain that the tills belong to",
    )
    parser.add_argument(
        "--members",
        env_var="LOYALTY_MEMBERS",
        type=_positive,
        default=200_000,
        help="Members of the chain: those numbered 1 to this",
    )
    parser.add_argument(
        "--zipf", env_var="LOYALTY_ZIPF", type=float, default=1.0, help="Exponent of Zipf's law for members"
    )
    parser.add_argument(
        "--message-ops",
        env_var="LOYALTY_MESSAGE_OPS",
        type=_positive,
        default=100,
        help="Operations of one batch, and of one message of a stream",
    )
    parser.add_argument(
        "--rate",
        env_var="LOYALTY_RATE",
        type=float,
        default=0.0,
        help="Operations a second that arrive when all users are there, answered or not (open loop);"
        " 0: a user sends its next call when the last one is answered",
    )
    parser.add_argument(
        "--connections",
        env_var="LOYALTY_CONNECTIONS",
        type=_positive,
        default=4,
        help="TCP connections of each Locust process, which its users share",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def _check(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    if not options:
        return
    if options.worker:  # it is told by its master, which alone has the figures of all
        options.json, options.json_file = False, None
        return
    if not environment.host:
        sys.exit("locust: no address: give --host HOST:PORT of the service")
    if not options.api_key:
        sys.exit("locust: no API key: give --api-key or set LOYALTY_API_KEY")
    try:
        access.check(environment.host, options)
    except (access.AccessError, OSError) as error:
        sys.exit(f"locust: {error}")


def _set_clock(**_: object) -> None:
    """Let --run-time count from now: gevent's clock stood still while everything was imported."""
    gevent.get_hub().loop.update_now()
