"""A quote is what the checkout right after it gives, also where stores are limited."""

from typing import Any

import pytest

from loyalty.v1.operation_pb2 import LineItem, Receipt
from loyalty.v1.transaction_service_pb2 import QuoteRequest, QuoteResponse
from processor.domain.program_document import ProgramDocument
from tests.chains import new_chain
from tests.client import Answer, Till
from tests.requests import accrue, checkout
from tests.server import Server

pytestmark = pytest.mark.xdist_group("server")

DOCUMENT: ProgramDocument = {
    "earning": {"points_per_step": 1, "step_minor": 100, "rounding": "down", "rounding_scope": "receipt"},
    "redemption": {"value_points": 1, "value_minor": 1, "minimum_points": 10, "maximum_share_percent": 50},
    "rewards": [{"id": "ten-percent", "points": 50, "discount_percent": 10}],
    "discount": {"percent": 3},
    "limits": [{"scope": "store", "period": "day", "operations": 3, "action": "refuse"}],
    "members": {"enrol_on_first_use": True},
}
LINES = [
    LineItem(sku="milk", amount_minor=7_000, category="dairy"),
    LineItem(sku="bread", amount_minor=3_000),
]
RECEIPT = Receipt(receipt_id="r", total_minor=10_000, lines=LINES)
FIELDS = ("earned_points", "redeemed_points", "redeemed_minor", "discount_minor", "payable_minor")


async def quote(till: Till, **fields: Any) -> Answer:
    given = {"card": "card-1", "store_id": "store-1", "receipt": RECEIPT, **fields}
    return await till.call("Quote", QuoteRequest(**given).SerializeToString())


async def test_a_checkout_gives_what_was_quoted_until_something_changes(
    server: Server, server_dsn: str
) -> None:
    chain = await new_chain(server_dsn, document=DOCUMENT)
    async with Till(server.address, chain.api_key) as till:
        first = QuoteResponse.FromString((await quote(till)).body)
        assert (first.member_id, first.discount_minor, first.earned_points) == (0, 300, 97)
        enrolled = (await till.write(accrue(0, 30_000, card="card-1"))).operation
        assert enrolled.earned_points == 291
        rewards = ["ten-percent"]
        quoted = QuoteResponse.FromString((await quote(till, redeem_points=100, reward_ids=rewards)).body)
        assert (quoted.member_id, quoted.available_points) == (enrolled.member_id, 291)
        sale: dict[str, Any] = {"card": "card-1", "reward_ids": rewards, "quote_token": quoted.quote_token}
        done = (await till.write(checkout(0, 100, receipt=RECEIPT, **sale))).operation
        assert [getattr(done, name) for name in FIELDS] == [getattr(quoted, name) for name in FIELDS]
        assert list(done.applied_rules) == list(quoted.applied_rules)
        refused = await till.write(checkout(0, 100, 9_000, **sale))
        assert (refused.reason, refused.metadata["changed"]) == ("QUOTE_OUTDATED", "request")
        assert not (await till.write(accrue(0, card="card-1"))).reason
        assert (await quote(till)).reason == "LIMIT_EXCEEDED"
        assert not (await quote(till, store_id="store-2")).reason
