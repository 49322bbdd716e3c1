"""What a till was promised by a quote, in a form that it can pass on."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import blake2b
from typing import Final, NamedTuple

from processor.domain.command import Command, lines_text
from processor.domain.decision import Decision, Refusal
from processor.domain.outcomes import Outcome

_FORM: Final = 1
_TOKEN: Final = struct.Struct("<Biqqqq16s")


class Promise(NamedTuple):
    """The figures of a quote, and a hash of what was quoted."""

    form: int
    program_version: int
    earned_points: int
    redeemed_points: int
    redeemed_minor: int
    discount_minor: int
    subject: bytes


_FIGURES: Final = ("earned_points", "redeemed_points", "redeemed_minor", "discount_minor")


def quote_token(command: Command, program_version: int, decision: Decision) -> str:
    """The token of a quote. It is no secret and proves nothing; it only says what was shown."""
    return urlsafe_b64encode(_TOKEN.pack(*_promise(command, program_version, decision))).decode()


def read_quote_token(token: str) -> Promise | None:
    """None if it is no token of ours."""
    try:
        promise = Promise._make(_TOKEN.unpack(urlsafe_b64decode(token.encode())))
    except (Error, ValueError, struct.error):
        return None
    return promise if promise.form == _FORM else None


def refuse_if_outdated(command: Command, program_version: int, decision: Decision) -> None:
    """Raises Refusal, naming what was quoted and what would be given now, if they differ."""
    changed = _changed(command, program_version, decision)
    if not changed:
        return
    details: dict[str, object] = {"changed": ",".join(changed)}
    for name, (quoted, now) in changed.items():
        details |= {f"quoted_{name}": quoted, name: now}
    raise Refusal(Outcome.QUOTE_OUTDATED, **details)


def _changed(command: Command, program_version: int, decision: Decision) -> dict[str, tuple[object, object]]:
    """By name, what was quoted and what is given now; empty if nothing has changed that matters.

    A new version of the program or another balance do not matter by themselves: their figures do.
    """
    quoted = read_quote_token(command.quote_token)
    if quoted is None:
        return {"quote_token": ("unreadable", "unreadable")}
    now = _promise(command, program_version, decision)
    if quoted.subject != now.subject:
        return {"request": ("another receipt, member or redemption", "this one")}
    changed = {
        name: (getattr(quoted, name), getattr(now, name))
        for name in _FIGURES
        if getattr(quoted, name) != getattr(now, name)
    }
    if changed and quoted.program_version != program_version:
        changed["program_version"] = (quoted.program_version, program_version)
    return changed


def _promise(command: Command, program_version: int, decision: Decision) -> Promise:
    return Promise(
        _FORM,
        program_version,
        decision.earned_points,
        decision.redeemed_points,
        decision.redeemed_minor,
        decision.discount_minor,
        _subject(command),
    )


def _subject(command: Command) -> bytes:
    """What the figures depend on of the request; the till's numbers and times may differ."""
    receipt = command.receipt
    parts = (
        command.card or str(command.member_id),
        str(receipt.total_minor),
        lines_text(receipt.lines),
        str(command.redeem_points),
        *command.reward_ids,
    )
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()
