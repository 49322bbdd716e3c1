"""Predicted replies, and what can only be known once they have come."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from loyalty.v1.operation_pb2 import Operation, OperationKind


class Learned:
    """A value that the service chooses, such as the number of a new member: the first reply tells it."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def settle(self, found: int) -> int:
        """The value, which is what was found if nothing is known yet."""
        self.value = self.value or found
        return self.value

    def __repr__(self) -> str:
        return f"Learned({self.value})"


class AfterRecord(NamedTuple):
    """A time so many seconds after the record of the operation, which the service chooses."""

    seconds: int = 0


KINDS: Final = {name.removeprefix("OPERATION_KIND_"): number for name, number in OperationKind.items()}
# Every field of an Operation as it is if nothing is said of it.
_UNSET: Final[Mapping[str, object]] = {
    field.name: getattr(Operation(), field.name) for field in Operation.DESCRIPTOR.fields
} | {
    "recorded_at": AfterRecord(),
    "tier": None,
    "applied_rules": [],
    "flags": [],
    "offline_differences": [],
    "hold_expires_at": None,
}


class Rule(NamedTuple):
    """An applied rule."""

    rule: str
    points: int = 0
    minor: int = 0


class Outcome(NamedTuple):
    """`content` has every field of the operation if `reason` is "", else the metadata of the error."""

    reason: str
    content: Mapping[str, object]


class Refused(Exception):
    """Ends the reckoning of a call."""

    def __init__(self, reason: str, **metadata: object) -> None:
        super().__init__(reason)
        self.outcome = Outcome(reason, {name: _text(value) for name, value in metadata.items()})


def _text(value: object) -> object:
    """As metadata tells it; a time, in seconds, is compared as such."""
    return value if isinstance(value, float) else str(value)


class Entry:
    """What the model has under a key; `reply` is the first reply's bytes, once they have been seen.

    The service's own entries have no payload: nobody called them.
    """

    def __init__(self, outcome: Outcome, payload: Mapping[str, object] | None = None) -> None:
        self.payload = payload or {}
        self.outcome = outcome
        self.reply: bytes | None = None


class Expected(NamedTuple):
    """A predicted reply; `entry` is what it is recorded as, None if it is not."""

    outcome: Outcome
    replayed: bool = False
    entry: Entry | None = None


def operation(**fields: object) -> Outcome:
    """An applied operation with these fields; the others are unset."""
    assert fields.keys() <= _UNSET.keys(), fields
    return Outcome("", {**_UNSET, **fields})
