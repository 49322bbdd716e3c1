"""The fingerprint tells a repeat from a reuse of the key, and names what differs."""

from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.domain.command import Command, Receipt, ReturnedLine
from processor.domain.fingerprint import FIELDS, differing_fields, fingerprint
from tests.property.strategies import commands, identifiers

PAYLOAD: Final[dict[str, Callable[[Command], object]]] = {
    "kind": lambda command: command.kind,
    "member": lambda command: (command.member_id, command.card),
    "occurred_at": lambda command: command.occurred_at_us,
    "store_id": lambda command: command.store_id,
    "terminal_id": lambda command: command.terminal_id,
    "receipt.receipt_id": lambda command: command.receipt.receipt_id,
    "receipt.total_minor": lambda command: command.receipt.total_minor,
    "receipt.lines": lambda command: command.receipt.lines,
    "redeem_points": lambda command: command.redeem_points,
}


def changed(first: Command, second: Command) -> list[str]:
    return [field for field, value in PAYLOAD.items() if value(first) != value(second)]


@st.composite
def relatives(draw: st.DrawFn) -> tuple[Command, Command]:
    """Two commands that share some of their fields."""
    first, second = draw(commands()), draw(commands())
    if draw(st.booleans()):
        second = second._replace(member_id=first.member_id, card=first.card)
    for field in draw(st.sets(st.sampled_from(sorted({*Command._fields} - {"member_id", "card"})))):
        second = second._replace(**{field: getattr(first, field)})
    for field in draw(st.sets(st.sampled_from(Receipt._fields))):
        shared = {field: getattr(first.receipt, field)}
        second = second._replace(receipt=second.receipt._replace(**shared))
    return first, second


def test_the_payload_is_every_field_but_the_key() -> None:
    assert tuple(PAYLOAD) == FIELDS


@given(relatives())
def test_the_fields_that_differ_are_named_exactly(pair: tuple[Command, Command]) -> None:
    first, second = pair
    assert differing_fields(fingerprint(first), fingerprint(second)) == changed(first, second)


@given(relatives())
def test_fingerprints_are_equal_if_and_only_if_payloads_are(pair: tuple[Command, Command]) -> None:
    first, second = pair
    assert (fingerprint(first) == fingerprint(second)) == (not changed(first, second))


@given(commands(), identifiers)
def test_the_key_is_not_part_of_the_payload(command: Command, another_key: str) -> None:
    assert fingerprint(command) == fingerprint(command._replace(idempotency_key=another_key))


@given(commands(), st.integers(1, 2**63 - 1))
def test_a_card_that_looks_like_a_number_is_not_that_member(command: Command, number: int) -> None:
    by_number = command._replace(member_id=number, card="")
    by_card = command._replace(member_id=0, card=str(number))
    assert differing_fields(fingerprint(by_number), fingerprint(by_card)) == ["member"]


@pytest.fixture(scope="module")
def colliding_identifiers() -> tuple[str, str]:
    """Two identifiers of one CRC-32."""
    seen: dict[int, str] = {}
    number = 0
    while True:
        identifier = f"store-{number * 2_654_435_761 % 2**64:x}"
        checksum = crc32(identifier.encode())
        if seen.setdefault(checksum, identifier) != identifier:
            return seen[checksum], identifier
        number += 1


@given(command=commands())
def test_equal_checksums_do_not_make_a_repeat(
    colliding_identifiers: tuple[str, str], command: Command
) -> None:
    stores = [command._replace(store_id=store) for store in colliding_identifiers]
    assert differing_fields(*map(fingerprint, stores))


@pytest.mark.parametrize(
    "field, value, name",
    [
        ("offline", True, "offline"),
        ("reward_ids", ("ten", "mug"), "reward_ids"),
        ("quote_token", "token", "quote_token"),
        ("original_key", "key", "original_idempotency_key"),
        ("returned", (ReturnedLine(1, 1_000),), "lines"),
        ("points", -5, "points"),
        ("hold_seconds", 60, "hold_seconds"),
        ("reason", "SURVEY", "reason"),
    ],
)
@given(command=commands())
def test_what_only_some_calls_have_is_named_as_in_their_requests(
    command: Command, field: str, value: Any, name: str
) -> None:
    other = fingerprint(command._replace(**{field: value}))
    assert differing_fields(fingerprint(command), other) == [name]
    assert differing_fields(other, fingerprint(command)) == [name]
