"""The settings of the service, from flags and `LOYALTY_*` variables, checked before anything starts."""

import re
import ssl
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, cast, get_args
from urllib.parse import parse_qs, urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, FilePath, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from processor.env_file import read_env_file

ENVIRONMENT_PREFIX: Final = "LOYALTY_"
HIDDEN: Final = "***"

Source = Literal["default", "env file", "environment", "flag"]


class ConfigError(Exception):
    """The settings can't be used; `lines` holds one problem each, with what to change."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class EffectiveValue(NamedTuple):
    """One setting as it is in force, fit to be shown; its type is one that JSON has."""

    name: str
    value: str | int | float | None
    source: Source


def _check_dsn(dsn: SecretStr) -> SecretStr:
    """Raises ValueError for what no server can be named by, such as a password with a bare `?` or `#`."""
    text = dsn.get_secret_value()
    url = urlsplit(text)
    hosts = url.netloc.rpartition("@")[2].split(",")
    ports = [urlsplit(f"//{host}").port for host in hosts]  # to read a port is to check it
    is_complete = len(ports) == 1 or all(hosts)
    if not re.match(r"postgres(ql)?://", text) or not is_complete:
        raise ValueError
    parse_qs(url.query, strict_parsing=bool(url.query))
    return dsn


Dsn = Annotated[SecretStr, AfterValidator(_check_dsn)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every option of `serve`; made by `load_settings`, which also refuses contradictions."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    dsn: Dsn = Field(
        description="PostgreSQL: postgresql://user:password@host:port/database, several hosts by commas"
    )

    host: str = Field("127.0.0.1", description="Address on which gRPC is served")
    port: Port = Field(50_051, description="Port on which gRPC is served; 0 takes a free one")
    http_host: str = Field("127.0.0.1", description="Address of /metrics, /healthz and /livez")
    http_port: Port = Field(9_464, description="Port of /metrics, /healthz and /livez; 0 takes a free one")

    workers: int = Field(1, ge=1, le=256, description="Processes that share the port")
    lanes: int = Field(2, ge=1, le=64, description="Batches that one worker writes at the same time")
    batch_ops_max: int = Field(500, ge=1, le=1_000, description="Operations in one batch, at most")
    batch_chains_max: int = Field(
        256, ge=1, le=256, description="Chains that share one batch, at most; 1 on Citus"
    )
    queue_ops_max: int = Field(
        10_000, ge=1_000, le=10_000_000, description="Operations of one chain that may wait in one worker"
    )

    queue_bytes_max: int = Field(
        256 * 1_024 * 1_024,
        ge=1_024 * 1_024,
        le=64 * 1_024 * 1_024 * 1_024,
        description="Memory that operations may take while they wait in one worker, judged by their lines",
    )
    reads_max: int = Field(
        100, ge=1, le=100_000, description="Reads of one chain that may wait or be under way in one worker"
    )
    calls_max: int = Field(
        1_250, ge=10, le=1_000_000, description="Calls and streams that may be under way in one worker"
    )

    statement_timeout_seconds: Seconds = Field(
        10, ge=0.1, le=300, description="Time that PostgreSQL has for one statement"
    )
    retry_seconds: Seconds = Field(
        5, ge=0, le=300, description="Time for which a failed batch is run again before its calls are refused"
    )

    transport: Literal["grpcio", "native"] = Field(
        "grpcio", description="The gRPC server to use; native (extra `native`) is faster and has no TLS"
    )
    tls_cert_file: FilePath | None = Field(None, description="Certificate chain (PEM); turns TLS on")
    tls_key_file: FilePath | None = Field(None, description="Private key of the certificate (PEM)")
    tls_client_ca_file: FilePath | None = Field(
        None, description="Authorities (PEM) that sign clients' certificates; turns mTLS on"
    )
    message_bytes_max: int = Field(
        4 * 1_024 * 1_024, ge=1_024, le=64 * 1_024 * 1_024, description="Size of one request, at most"
    )
    connection_age_seconds_max: Seconds = Field(
        300, ge=1, le=86_400, description="Age at which a connection is asked to reconnect, to spread load"
    )
    connection_age_grace_seconds: Seconds = Field(
        30, ge=0, le=86_400, description="Time that the calls of such a connection have to finish"
    )

    worker_silence_seconds_max: Seconds = Field(
        15, ge=3, le=3_600, description="Time without a sign of life after which a worker is killed"
    )
    drain_seconds: Seconds = Field(
        2, ge=0, le=600, description="Time between NOT_SERVING and refusing calls, for balancers to notice"
    )
    stop_seconds: Seconds = Field(
        30, ge=1, le=3_600, description="Time that workers have to stop before they are killed"
    )

    directory_refresh_seconds: Seconds = Field(
        1, ge=0.1, le=60, description="Age at which changed chains, keys and programs are read again"
    )
    partitions_ahead: int = Field(
        3, ge=0, le=120, description="Partitions of the ledger kept ready after the present one"
    )
    partition_check_seconds: Seconds = Field(
        3_600, ge=1, le=86_400, description="Time between two checks of the partitions"
    )

    due_interval_seconds: Seconds = Field(
        5, ge=0.1, le=3_600, description="Time between two looks for points and holds whose time has come"
    )
    measure_seconds: Seconds = Field(
        60,
        ge=1,
        le=86_400,
        description="Time between two measurements of the database; one process reads every account for all",
    )

    trace: Literal["off", "otlp"] = Field(
        "off", description="Send spans by OTLP (extra `tracing`; OTEL_EXPORTER_OTLP_ENDPOINT says where to)"
    )
    trace_sample_ratio: float = Field(
        0.01, ge=0, le=1, description="Share of the calls traced, beside those that their caller traces"
    )
    log_calls: Literal["none", "failures", "all"] = Field(
        "failures", description="Calls that get a line in the log"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Form of the log; auto is console on a terminal, else json"
    )

    _of_file: frozenset[str] = frozenset()
    _flags: frozenset[str] = frozenset()

    def __init__(self, file_values: Mapping[str, str] | None = None, /, **flags: Any) -> None:
        of_environment = EnvSettingsSource(Settings)()
        of_file = {
            name: value
            for name, value in (file_values or {}).items()
            if value and name not in of_environment and name not in flags
        }
        super().__init__(**{**of_file, **flags})
        self._of_file = frozenset(of_file)
        self._flags = frozenset(flags)

    def source(self, name: str) -> Source:
        """Where the value of `name` came from."""
        if name in self._flags:
            return "flag"
        if name in self._of_file:
            return "env file"
        return "environment" if name in self.model_fields_set else "default"


def load_settings(env_file: Path | None = None, /, **overrides: Any) -> Settings:
    """Read the environment; `overrides` (the flags) win, those that are None count as not given.

    `env_file` has lines like LOYALTY_LANES=4; variables of the environment win over it. Raises ConfigError
    with every problem found, of a file that can't be read as one with the file's alone.
    """
    file_values = _values_of(env_file) if env_file else {}
    flags = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(file_values, **flags)
    except ValidationError as error:
        raise ConfigError([_problem(detail, flags) for detail in error.errors()]) from None
    if contradictions := list(_contradictions(settings)):
        raise ConfigError(contradictions)
    return settings


def _values_of(path: Path) -> dict[str, str]:
    try:
        if not path.is_file():  # to read a pipe could take for ever
            raise ConfigError([f"{path} is not there; it must be a file of variables, a line each"])
        file = read_env_file(path)
    except OSError as error:
        raise ConfigError([f"{path} can't be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path} must be in UTF-8; its byte {error.start + 1} is not"]) from None
    if file.unread:
        raise ConfigError([_problem_of_line(path, number, text) for number, text in file.unread.items()])
    return file.values


def effective(settings: Settings) -> list[EffectiveValue]:
    """The settings in force, in the order of `Settings`, with secrets hidden."""
    shown = {name: _shown(value) for name, value in settings}
    return [EffectiveValue(name, value, settings.source(name)) for name, value in shown.items()]


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables from which a child process loads equal settings; they hold the secrets."""
    return {_variable(name): _plain(value) for name, value in settings}


def mask_dsn(dsn: str) -> str:
    """Hide the passwords of a DSN, be it a URL (with any number of hosts) or `key=value` pairs."""
    dsn = re.sub(r"(?<=://)([^:@/?]*):(?!\d+[,/?]).*@", rf"\1:{HIDDEN}@", dsn)
    return re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", rf"\1{HIDDEN}", dsn, flags=re.IGNORECASE)


def _problem(detail: ErrorDetails, flags: dict[str, Any]) -> str:
    name = str(detail["loc"][0])
    if name not in Settings.model_fields:
        given = _flag(name) if name in flags else _variable(name)
        return f"{given} is not an option; `loyalty-processor config` lists those there are"
    label = _flag(name) if name in flags else _variable(name)
    must = f"must be {_requirement(Settings.model_fields[name])}"
    if detail["type"] == "missing":
        return f"{label} (or {_flag(name)}) is not set; it {must}"
    return f"{label} is {_shown_input(detail['input'])}; it {must}"


def _problem_of_line(path: Path, number: int, text: str) -> str:
    must = f"it must be {ENVIRONMENT_PREFIX}NAME=value, a comment or blank"
    return f"line {number} of {path} is {_shown_line(text)!r}; {must}"


def _shown_line(text: str) -> str:
    """A mistyped line, without what follows its name unless that is of a setting that is no secret."""
    found = re.match(rf"(?:export\s+)?({ENVIRONMENT_PREFIX}\w*|[A-Z_]+(?=\s*=))", text)
    name = found[1] if found else ""
    is_known = name in {_variable(known) for known in Settings.model_fields} - {_variable("dsn")}
    return mask_dsn(text) if is_known else f"{name} {HIDDEN}".strip()


def _requirement(field: FieldInfo) -> str:
    low, high = _bound(field, Ge, "ge"), _bound(field, Le, "le")
    if field.annotation is int:
        return f"a whole number from {low:,} to {high:,}"
    if field.annotation is float:
        return f"a number from {low:,} to {high:,}"
    if field.annotation == FilePath | None:
        return "the path of a file that exists"
    if field.annotation is SecretStr:
        return "a URL such as postgresql://user:password@localhost:5432/loyalty"
    return " or ".join(map(repr, get_args(field.annotation))) or "a text"


def _bound(field: FieldInfo, kind: type[Ge | Le], name: str) -> Any:
    return next((getattr(item, name) for item in field.metadata if isinstance(item, kind)), None)


def _contradictions(settings: Settings) -> Iterator[str]:
    """Options that are fine by themselves and not together."""
    given = partial(_given, settings)
    yield from _contradictions_of_tls(settings)
    yield from _missing_extras(settings)
    if settings.batch_ops_max > settings.queue_ops_max:
        yield f"{given('batch_ops_max')} and {given('queue_ops_max')}; a batch can't be larger than the queue"
    if settings.drain_seconds >= settings.stop_seconds:
        yield f"{given('drain_seconds')} and {given('stop_seconds')}; stopping must take longer than draining"
    if settings.port and (settings.host, settings.port) == (settings.http_host, settings.http_port):
        yield f"{given('port')} and {given('http_port')}; gRPC and HTTP need a port each"


def _contradictions_of_tls(settings: Settings) -> Iterator[str]:
    given = partial(_given, settings)
    if settings.tls_cert_file and not settings.tls_key_file:
        yield f"{given('tls_cert_file')} but there is no key; set {_variable('tls_key_file')} too"
    if settings.tls_key_file and not settings.tls_cert_file:
        yield f"{given('tls_key_file')} but there is no certificate; set {_variable('tls_cert_file')} too"
    if settings.tls_client_ca_file and not settings.tls_cert_file:
        yield (
            f"{given('tls_client_ca_file')} but TLS is off, so clients' certificates can't be checked; "
            f"set {_variable('tls_cert_file')} and {_variable('tls_key_file')} too"
        )
    if settings.tls_cert_file and settings.tls_key_file:
        yield from _unusable_tls(settings)
    if settings.tls_cert_file and settings.transport == "native":
        yield (
            f"{given('tls_cert_file')} and {given('transport')}, which has no TLS; "
            f"end TLS in a proxy before it, or choose the transport grpcio"
        )


def _missing_extras(settings: Settings) -> Iterator[str]:
    if settings.transport == "native" and find_spec("pygrpc_native") is None:
        given = _given(settings, "transport")
        yield f"{given} but pygrpc-native is not installed; install loyalty-processor[native]"
    if settings.trace == "otlp" and find_spec("opentelemetry") is None:
        given = _given(settings, "trace")
        yield f"{given} but OpenTelemetry is not installed; install loyalty-processor[tracing]"


def _given(settings: Settings, name: str) -> str:
    label = _flag(name) if settings.source(name) == "flag" else _variable(name)
    return f"{label} is {_shown(getattr(settings, name))}"


def _unusable_tls(settings: Settings) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password, lest an encrypted key asks the terminal for one.
        context.load_cert_chain(settings.tls_cert_file or "", settings.tls_key_file, password="")
    except OSError as error:
        files = f"{_given(settings, 'tls_cert_file')} and {_given(settings, 'tls_key_file')}"
        yield f"{files}; they must be a certificate and its unencrypted key in PEM ({_ssl_reason(error)})"
    try:
        if settings.tls_client_ca_file:
            context.load_verify_locations(settings.tls_client_ca_file)
    except OSError as error:
        file = _given(settings, "tls_client_ca_file")
        yield f"{file}; it must be one or more certificates in PEM ({_ssl_reason(error)})"


def _ssl_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "unreadable").replace("_", " ").lower()
    return error.strerror or str(error)


def _shown(value: object) -> str | int | float | None:
    if isinstance(value, SecretStr):
        return mask_dsn(value.get_secret_value())
    return str(value) if isinstance(value, Path) else cast("str | int | float | None", value)


def _shown_input(value: object) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return repr(mask_dsn(text))


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()
