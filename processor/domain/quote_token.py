"""What a till was promised by a quote, in a form that it can pass on."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from processor.domain.command import Command, lines_text
from processor.domain.decision import NO_DETAILS, Decision
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


def held_to_quote(command: Command, program_version: int, decision: Decision) -> Decision:
    """The decision if it is what was quoted, else a refusal that says what has changed."""
    promise = read_quote_token(command.quote_token)
    if promise is None:
        return _outdated({"quote_token": ("unreadable", "unreadable")})
    if promise.subject != _subject(command):
        return _outdated({"request": ("another receipt, member or redemption", "this one")})
    changed = _changed(promise, decision)
    if not changed:
        return decision
    if promise.program_version != program_version:
        changed["program_version"] = (promise.program_version, program_version)
    return _outdated(changed, _refused_details(promise, decision))


def _changed(promise: Promise, decision: Decision) -> dict[str, tuple[object, object]]:
    """By name, what was quoted and what is given now; empty if nothing has changed that matters.

    A new version of the program or another balance do not matter by themselves: their figures do.
    """
    if decision.outcome is not Outcome.APPLIED:
        return {"outcome": (Outcome.APPLIED.name, decision.outcome.name)}
    return {
        name: (getattr(promise, name), getattr(decision, name))
        for name in _FIGURES
        if getattr(promise, name) != getattr(decision, name)
    }


def _refused_details(promise: Promise, decision: Decision) -> dict[str, object]:
    """What was quoted of what is refused now, and why it is; nothing of what is not refused."""
    if decision.outcome is Outcome.APPLIED:
        return {}
    return {f"quoted_{name}": getattr(promise, name) for name in _FIGURES} | {**decision.details}


def _outdated(
    changed: Mapping[str, tuple[object, object]], details: Mapping[str, object] = NO_DETAILS
) -> Decision:
    told: dict[str, object] = {"changed": ",".join(changed)}
    for name, (quoted, now) in changed.items():
        told |= {f"quoted_{name}": quoted, name: now}
    return Decision(Outcome.QUOTE_OUTDATED, details={**told, **details})


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
