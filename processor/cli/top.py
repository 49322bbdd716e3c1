"""`top`: what a running server does, live."""

import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from processor.cli.errors import CommandError, ExitStatus
from processor.cli.output import print_json
from processor.top.figures import Figures, compute
from processor.top.keyboard import keyboard
from processor.top.scrape import Scrape, ScrapeError, fetch
from processor.top.view import view

_LINES: Final = 24
_COLUMNS: Final = 80
_HINT: Final = Text("q quits", "dim")


def top(
    *,
    url: Annotated[
        str, typer.Option(help="A running server's metrics.", metavar="URL")
    ] = "http://127.0.0.1:9464/metrics",
    interval: Annotated[
        float, typer.Option(min=0.1, max=3_600, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, print, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print JSON, for machines.")] = False,
) -> None:
    """Show rates, latency, batches, refusals, workers, PostgreSQL and chains of a running server, live.

    Needs nothing but the server's /metrics. q or Ctrl-C ends it.
    """
    if as_json and not once:
        raise CommandError("--json needs --once", ExitStatus.USAGE)
    if not once and not sys.stdout.isatty():
        raise CommandError("top needs a terminal; --once prints to anything", ExitStatus.USAGE)
    first = _first(url)
    if not once:
        _watch(url, interval, first)
        return
    figures = _next(url, interval, first)
    if as_json:
        print_json(asdict(figures))
    else:
        _print(figures, url)


def _first(url: str) -> Scrape:
    try:
        return fetch(url)
    except ScrapeError as error:
        raise CommandError(str(error)) from None


def _next(url: str, interval: float, first: Scrape) -> Figures:
    time.sleep(interval)
    return compute(first, _first(url))


def _print(figures: Figures, url: str) -> None:
    console = Console(highlight=False, emoji=False)
    height = _LINES + max(len(figures.chains) - 4, 0)
    width = console.width if console.is_terminal else _COLUMNS
    console.print(view(figures, url, Text(), height), width=width, height=height)


def _watch(url: str, interval: float, before: Scrape) -> None:
    """Until q or Ctrl-C; a server that is away is told, and waited for."""
    figures, notice = compute(before, before._replace(at_seconds=before.at_seconds + interval)), _HINT
    with suppress(KeyboardInterrupt), keyboard() as keys, Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(view(figures, url, notice, live.console.height), refresh=True)
            if keys.wait_for("q", interval):
                return
            try:
                after = fetch(url)
            except ScrapeError as error:
                notice = Text(str(error), "bold red")
            else:
                figures, notice, before = compute(before, after), _HINT, after
