"""The service config for clients, in a real channel."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from loyalty.v1 import member_service_pb2, transaction_service_pb2
from processor.domain.command import Command
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from tests.unit.rpc_harness import AUTHORIZATION, Harness, applied, failure, refused, running
from tests.unit.rpc_requests import accrue_request

pytestmark = pytest.mark.usefixtures("rpc_transport")

CONFIG = Path(__file__).parents[2] / "docs/client-service-config.json"
AUTH = (AUTHORIZATION,)


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    """A harness whose channel has the config."""
    options = [("grpc.service_config", CONFIG.read_text())]
    async with running() as harness:
        target = f"127.0.0.1:{harness.server.port}"
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            yield harness._replace(channel=channel)


def answer_in_turn(harness: Harness, *replies: Outcome) -> None:
    """Refuse with these outcomes, then apply."""
    turns: Iterator[Outcome] = iter(replies)

    def answer(command: Command) -> Reply:
        outcome = next(turns, Outcome.APPLIED)
        return applied(command) if outcome is Outcome.APPLIED else refused(outcome)

    harness.queue.answer = answer


def test_every_method_but_the_stream_has_a_policy_and_a_timeout() -> None:
    services = (
        transaction_service_pb2.DESCRIPTOR.services_by_name["TransactionService"],
        member_service_pb2.DESCRIPTOR.services_by_name["MemberService"],
    )
    configured: list[tuple[str, str]] = []
    for method_config in json.loads(CONFIG.read_text())["methodConfig"]:
        assert {"timeout", "retryPolicy"} <= set(method_config)
        configured += [(name["service"], name["method"]) for name in method_config["name"]]
    unary = [
        (service.full_name, method.name)
        for service in services
        for method in service.methods
        if not method.client_streaming
    ]
    assert sorted(configured) == sorted(unary)


@pytest.mark.parametrize(
    "outcome", [Outcome.STORAGE_UNAVAILABLE, Outcome.OUTCOME_UNKNOWN, Outcome.SHUTTING_DOWN]
)
async def test_an_unavailable_service_is_called_again(rpc: Harness, outcome: Outcome) -> None:
    answer_in_turn(rpc, outcome, outcome)
    operation = await rpc.stub.Accrue(accrue_request("again"), metadata=AUTH)
    assert operation.idempotency_key == "again"
    assert [command.idempotency_key for command in rpc.queue.submitted] == ["again"] * 3


async def test_the_attempts_come_to_an_end_and_the_status_is_kept(rpc: Harness) -> None:
    answer_in_turn(rpc, *[Outcome.STORAGE_UNAVAILABLE] * 10)
    failed = await failure(rpc.stub.Accrue(accrue_request(), metadata=AUTH))
    assert (failed.reason, failed.code) == ("STORAGE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)
    assert failed.retry_ms
    assert len(rpc.queue.submitted) == 5


@pytest.mark.parametrize("outcome", [Outcome.QUEUE_FULL, Outcome.DEADLINE_PASSED, Outcome.INTERNAL_ERROR])
async def test_other_failures_are_left_to_the_till(rpc: Harness, outcome: Outcome) -> None:
    answer_in_turn(rpc, outcome)
    failed = await failure(rpc.stub.Accrue(accrue_request(), metadata=AUTH))
    assert failed.reason == outcome.name
    assert len(rpc.queue.submitted) == 1
