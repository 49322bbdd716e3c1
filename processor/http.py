"""The HTTP side: Prometheus' metrics and the answers to an orchestrator's probes."""

import json
import socket
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_OK: Final = "200 OK"
_UNAVAILABLE: Final = "503 Service Unavailable"

# Whether the service can be used, and the JSON that says why.
Health = Callable[[], tuple[bool, object]]


class HttpServer:
    """Serves /metrics, /healthz and /livez from a thread of its own, until closed."""

    def __init__(self, host: str, port: int, metrics: Collector, health: Health) -> None:
        """Listen at once; port 0 takes a free one. Raises OSError."""
        self._server = _server_class(host)((host, port), _QuietHandler)
        self._server.set_app(_application(make_wsgi_app(metrics), health))
        self._thread = Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port, chosen or given."""
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _application(metrics: "WSGIApplication", health: Health) -> "WSGIApplication":
    def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, start)
            case "/healthz":
                is_healthy, body = health()
                return _respond(start, _OK if is_healthy else _UNAVAILABLE, body)
            case "/livez":
                return _respond(start, _OK, {"status": "alive"})
            case _:
                return _respond(start, "404 Not Found", {"paths": ["/metrics", "/healthz", "/livez"]})

    return application


def _respond(start: "StartResponse", status: str, body: object) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body).encode() + b"\n"]


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # seconds that a slow client may hold a thread

    def log_message(self, *_: object) -> None:
        """Leave the log to the service."""


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        host, self.server_port, *_ = self.server_address
        self.server_name = str(host)
        self.setup_environ()


class _ThreadingServer6(_ThreadingServer):
    address_family = socket.AF_INET6


def _server_class(host: str) -> type[_ThreadingServer]:
    return _ThreadingServer6 if ":" in host else _ThreadingServer
