"""Where the service is, and how a till proves that it is the right one, and itself."""

from argparse import Namespace
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import grpc
from locust import events
from locust.argument_parser import LocustArgumentParser

_IS_ENCRYPTED: Final[Mapping[str, bool]] = {"http": False, "https": True}


class AccessError(Exception):
    """One line: why the options contradict each other."""


def register() -> None:
    """Have Locust know the options of TLS."""
    events.init_command_line_parser.add_listener(_add_options)  # type: ignore[no-untyped-call]


def check(host: str, options: Namespace) -> None:
    """Whether `channel` can make one. Raises AccessError, or OSError of a file."""
    _address(host, options)
    for file in _files(options):
        _read(file)


def channel(host: str, number: int, options: Namespace) -> grpc.Channel:
    """The connection with this number, which is shared."""
    target, is_encrypted = _address(host, options)
    return _channel(target, number, _credentials(*_files(options)) if is_encrypted else None)


def _files(options: Namespace) -> tuple[str, str, str]:
    """In the order that gRPC takes them in."""
    return options.ca_file, options.client_key_file, options.client_cert_file


def _read(file: str) -> bytes | None:
    return Path(file).read_bytes() if file else None


def _address(host: str, options: Namespace) -> tuple[str, bool]:
    """HOST:PORT, and whether by TLS; `host` may begin with http:// or https://. Raises AccessError."""
    scheme, _, rest = host.rpartition("://")
    if scheme and scheme not in _IS_ENCRYPTED:
        raise AccessError(f"{host} is neither HOST:PORT, nor http://HOST:PORT, nor https://HOST:PORT")
    is_encrypted = _IS_ENCRYPTED.get(scheme, options.tls)
    if options.tls and not is_encrypted:
        raise AccessError(f"--tls and {host} contradict each other")
    _check_files(options, is_encrypted=is_encrypted)
    return rest.rstrip("/"), is_encrypted


def _check_files(options: Namespace, *, is_encrypted: bool) -> None:
    if any(_files(options)) and not is_encrypted:
        raise AccessError("certificates are given, but no --tls")
    if bool(options.client_key_file) != bool(options.client_cert_file):
        raise AccessError("--client-cert-file and --client-key-file need each other")


@cache
def _channel(target: str, number: int, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    # An argument of its own keeps gRPC from sharing one connection among the channels.
    arguments = [("loyalty.connection", number)]
    if credentials:
        return grpc.secure_channel(target, credentials, arguments)
    return grpc.insecure_channel(target, arguments)


@cache
def _credentials(*files: str) -> grpc.ChannelCredentials:
    """By the authorities, the key and the certificate of these files; "" for none."""
    return grpc.ssl_channel_credentials(*map(_read, files))


def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--tls",
        env_var="LOYALTY_TLS",
        action="store_true",
        help="Connect by TLS, as an address https://HOST:PORT says too",
    )
    parser.add_argument(
        "--ca-file",
        env_var="LOYALTY_CA_FILE",
        default="",
        help="Certificates (PEM) of the authorities to trust, instead of those that gRPC knows;"
        " this file and the next two are read by each worker, where it runs",
    )
    parser.add_argument(
        "--client-cert-file",
        env_var="LOYALTY_CLIENT_CERT_FILE",
        default="",
        help="Certificate (PEM) that the tills show, for mutual TLS",
    )
    parser.add_argument(
        "--client-key-file",
        env_var="LOYALTY_CLIENT_KEY_FILE",
        default="",
        help="Private key (PEM) of that certificate",
    )
