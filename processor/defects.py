"""Defects met on the way of a call: logged with an id that the till gets too."""

from secrets import token_hex

import structlog

log = structlog.get_logger()


def report_defect(event: str, defect: Exception, **context: object) -> str:
    """Log a defect with its traceback, and return the `request_id` that it is logged under."""
    request_id = token_hex(8)
    log.error(event, exc_info=defect, request_id=request_id, **context)
    return request_id
