"""The log: one line an event on stderr, for people on a terminal and as JSON everywhere else."""

import logging
import re
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# The log says what happened to the service; what happened to whom stands in the ledger alone.
_NEVER_LOGGED: Final = frozenset(
    {"api_key", "authorization", "card", "dsn", "idempotency_key", "member_id", "password", "receipt_id"}
)
# A phone's or a card's number may stand in a text that comes from elsewhere: a till's key, a traceback. Cards
# that machines read have 13 digits (EAN-13) to 19 (ISO/IEC 7812), of which the last four may be shown.
_PHONE_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_CARD_NUMBER: Final = re.compile(r"(?<![0-9])(?:[0-9]{9,}|(?:[0-9]{4}[ -]){3})(?=[0-9]{4}(?![0-9]))")


def configure_log(level: str, form: str, **fields: object) -> None:
    """Send structlog's and the standard library's events to stderr; `fields` stand in each.

    `level` and `form` are as the settings log_level and log_format.
    """
    is_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared = _processors(is_json=is_json)
    renderer = structlog.processors.JSONRenderer(default=str) if is_json else _console()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # It warns with a traceback each second of an outage, of which the health check tells in a line.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**fields)


def _processors(*, is_json: bool) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper("iso" if is_json else "%H:%M:%S", utc=is_json),
        structlog.processors.format_exc_info,
        _hide_personal_data,
    ]


def _console() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _hide_personal_data(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in _NEVER_LOGGED & event.keys():
        event[name] = "***"
    if "exception" in event:
        event["exception"] = _without_row_contents(event["exception"])
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _CARD_NUMBER.sub("***", _PHONE_NUMBER.sub("***", value))
    return event


def _without_row_contents(traceback: str) -> str:
    """PostgreSQL puts the offending row into the DETAIL of an error."""
    return "\n".join(line for line in traceback.splitlines() if not line.startswith("DETAIL:"))
