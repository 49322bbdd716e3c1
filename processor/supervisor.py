"""The supervisor: workers that share one port, and one place over HTTP that answers for them all.

It serves no gRPC and never imports it, so nothing of it is ever forked.
"""

import asyncio
import math
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from processor import failpoints
from processor.build import this_build
from processor.config import ConfigError, Settings
from processor.fleet import Fleet, Reload
from processor.http import HttpServer
from processor.log import configure_log
from processor.place import Worker

WORKER_COMMAND: Final = (sys.executable, "-m", "processor.worker")

# The sockets are bound and the places of the fleet made before the first worker starts.
_NEED_A_RESTART: Final = ("http_host", "http_port", "workers", "stop_seconds", "worker_silence_seconds_max")
_FIXED: Final = ("host", "port", *_NEED_A_RESTART)

log = structlog.get_logger()


def serve(
    settings: Settings, reload: Reload | None = None, worker_command: Sequence[str] = WORKER_COMMAND
) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Raises ConfigError if a port can't be had.

    At SIGHUP the workers are replaced, with the settings that `reload` gives then.
    """
    configure_log(settings.log_level, settings.log_format)
    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))  # only to refuse nonsense before a worker does
    with (
        _reserve_address(settings) as reserved,
        TemporaryDirectory(prefix="loyalty-metrics-", ignore_cleanup_errors=True) as metrics_dir,
    ):
        host, port, *_ = reserved.getsockname()
        fixed = {"host": host, "port": port}
        settings = settings.model_copy(update=fixed)
        fleet = Fleet(settings, metrics_dir, worker_command)
        with _http_server(settings, fleet, metrics_dir) as http:
            where = {
                "address": _format_address(host, port),
                "http": _format_address(settings.http_host, http.port),
            }
            build = this_build()
            log.info("starting", **build._asdict(), workers=settings.workers, **where)
            return asyncio.run(fleet.run(where, partial(_reloaded, settings, reload)))


def _reloaded(settings: Settings, reload: Reload | None) -> Settings:
    """The settings as they are now, but for those that the supervisor itself stands on."""
    if reload is None:
        return settings
    fresh = reload()
    kept = {name: getattr(settings, name) for name in _FIXED}
    changed = [name for name in _NEED_A_RESTART if getattr(fresh, name) != getattr(settings, name)]
    if changed:
        log.warning("settings not changed, they need a restart", settings=changed)
    return fresh.model_copy(update=kept)


def _reserve_address(settings: Settings) -> socket.socket:
    """Hold the gRPC address without listening; the workers join it."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Sockets that share their port refuse nobody, so only one that does not share notices a stranger.
        _bound_socket(family, address, socket.SO_REUSEADDR).close()
        return _bound_socket(family, address, socket.SO_REUSEPORT)
    except OSError as error:
        raise _no_address("host", settings.host, "port", settings.port, error) from None


def _bound_socket(family: int, address: tuple[Any, ...], option: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _http_server(settings: Settings, fleet: Fleet, metrics_dir: str) -> HttpServer:
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(metrics_dir))
    registry.register(FleetMetrics(fleet.workers))
    try:
        return HttpServer(settings.http_host, settings.http_port, registry, fleet.health)
    except OSError as error:
        raise _no_address("http_host", settings.http_host, "http_port", settings.http_port, error) from None


def _no_address(host_name: str, host: str, port_name: str, port: int, error: OSError) -> ConfigError:
    given = f"LOYALTY_{host_name.upper()} {host} and LOYALTY_{port_name.upper()} {port}"
    return ConfigError(
        [f"{given} can't be listened on: {error.strerror}; choose another port (0 takes a free one)"]
    )


def _format_address(host: str, port: int) -> str:
    """HOST:PORT, or [HOST]:PORT if the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class WorkerMetrics(Collector):
    """What the workers have to tell, summed up."""

    def __init__(self, metrics_dir: str) -> None:
        self._files = MultiProcessCollector(None, metrics_dir)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Read it off their files, without the gauges of what has gone."""
        for metric in self._files.collect():  # type: ignore[no-untyped-call]
            metric.samples = [sample for sample in metric.samples if not math.isnan(sample.value)]
            yield metric


class FleetMetrics(Collector):
    """What the supervisor itself has to tell."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    def collect(self) -> Iterable[Metric]:
        """Read it off the workers."""
        yield self._restarts()
        yield self._hangs()
        yield self._build_info()
        yield GaugeMetricFamily(
            "loyalty_workers",
            "Workers that should serve. Absent: there is no server to scrape.",
            len(self._workers),
        )
        yield GaugeMetricFamily(
            "loyalty_workers_serving",
            "Workers that serve. Fewer than loyalty_workers: some can't start, or have no PostgreSQL.",
            sum(worker.state == "serving" for worker in self._workers),
        )

    def _build_info(self) -> Metric:
        info = GaugeMetricFamily(
            "loyalty_build_info",
            "1, with the version as its label, and whether it is compiled. Which build serves.",
            labels=["version", "compiled"],
        )
        build = this_build()
        info.add_metric([build.version, str(build.is_compiled).lower()], 1)
        return info

    def _restarts(self) -> Metric:
        restarts = CounterMetricFamily(
            "loyalty_worker_restarts",
            "Restarts of a worker after a death. More than a few: the log says what it dies of.",
            labels=["worker"],
        )
        for worker in self._workers:
            restarts.add_metric([str(worker.index)], worker.restarts)
        return restarts

    def _hangs(self) -> Metric:
        hangs = CounterMetricFamily(
            "loyalty_worker_hangs",
            "Kills of a worker that gave no sign of life. Any: the log says which; look for what blocks it.",
            labels=["worker"],
        )
        for worker in self._workers:
            hangs.add_metric([str(worker.index)], worker.hangs)
        return hangs
