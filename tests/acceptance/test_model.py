"""A model predicts every reply of a real server to random mixtures of calls from several clients at once."""

import asyncio
import itertools
import json
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, ClassVar, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from loyalty.v1.transaction_service_pb2 import OperationRequest
from storage.verify import verify
from tests.acceptance.check import check
from tests.acceptance.composer import changed, names_of
from tests.acceptance.intents import (
    FIELDS,
    LONG_AGO,
    RECENT,
    FollowUp,
    New,
    Sale,
    Step,
    follow_ups,
    members,
    news,
    sales,
    scripts,
    tales,
)
from tests.acceptance.player import Player, calm, send
from tests.acceptance.programs import all_programs
from tests.acceptance.reckoning.chain import Model, Version
from tests.acceptance.reckoning.desk import CardState
from tests.chains import Chain, new_chain
from tests.client import Answer, Till, write_of
from tests.postgres import run
from tests.server import serving

CLIENTS: Final = 4
CONNECTIONS: Final = 3
PROGRAMS: Final = len(all_programs())
# The service's own entries are then made by the next call of a member alone, so their order is known.
DUE_INTERVAL_SECONDS: Final = 3_600
# Members as the model knows them, of each client: two as any, one closed; and one that does not exist.
KNOWN: Final = 3
MEMBERS: Final = KNOWN + 1
STAFF: Final = "staff"
# Changes that leave a call valid, within the window and about a known member: any of them may win a race.
RACING: Final = [field for field in FIELDS if field != "out of window"]


EXAMPLES: Final = settings(
    max_examples=10,
    stateful_step_count=8,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
T = TypeVar("T")


class World:
    """What all examples share: the server, for each program a chain and connections, and a count."""

    def __init__(self, dsn: str, address: str, runner: asyncio.Runner) -> None:
        self.programs = all_programs()
        self.chains = [run(_chain_of(dsn, versions)) for versions in self.programs]
        self.tills = [
            [Till(address, run(chain.operator_key()), CONNECTIONS) for _ in range(CLIENTS)]
            for chain in self.chains
        ]
        self.simple_tills = [Till(address, chain.api_key) for chain in self.chains]
        self.run = runner.run
        # Far from the numbers that the service gives to members who enrol by using a card.
        self.numbers = itertools.count(10_000)
        self.sent = 0

    async def close(self) -> None:
        for till in (*itertools.chain.from_iterable(self.tills), *self.simple_tills):
            await till.close()


async def _chain_of(dsn: str, versions: Sequence[Version]) -> Chain:
    """A chain with these programs, as if each had been set when it came into force."""
    first, *later = versions
    chain = await new_chain(dsn, document=first.program)
    await chain.query("UPDATE program SET effective_from = to_timestamp(0) WHERE chain_id = $1")
    for number, (from_us, program) in enumerate(later, 2):
        await chain.query(
            "INSERT INTO program (chain_id, version, effective_from, document)"
            " VALUES ($1, $2, to_timestamp($3), $4)",
            number,
            from_us / 1e6,
            json.dumps(program),
        )
    return chain


async def _enrol(chain: Chain, model: Model, groups: Iterable[Sequence[int]]) -> None:
    """The known members of each client: the first is of the staff, the last is closed."""
    known = [group[:KNOWN] for group in groups]
    cards = {member_id: _cards_of(member_id) for group in known for member_id in group}
    await chain.add_members(
        cards, {card: member_id for member_id, all_cards in cards.items() for card in all_cards}
    )
    for staff, member_id, closed in known:
        model.enrol(staff, cards[staff], [STAFF], is_closed=False)
        model.enrol(member_id, cards[member_id], [], is_closed=False)
        model.enrol(closed, cards[closed], [], is_closed=True)
    await chain.query(
        "UPDATE account SET segments = $2 WHERE chain_id = $1 AND member_id = ANY($3)",
        STAFF,
        [staff for staff, _, _ in known],
    )
    await chain.query(
        "UPDATE account SET status = 1 WHERE chain_id = $1 AND member_id = ANY($2)",
        [closed for _, _, closed in known],
    )
    await chain.query(
        "UPDATE card SET status = CASE split_part(card, '-', 1) WHEN 'blocked' THEN 1 WHEN 'replaced' THEN 2"
        " ELSE 0 END WHERE chain_id = $1"
    )


def _cards_of(member_id: int) -> dict[str, CardState]:
    names = names_of(member_id)
    cards = [*names["card"].values(), *names["phone"].values()]
    cards += [*names["blocked card"].values(), *names["replaced card"].values()]
    return {str(card): _state_of(str(card)) for card in cards}


def _state_of(card: str) -> CardState:
    found = card.partition("-")[0].upper()
    return CardState[found] if found in CardState.__members__ else CardState.OPEN


class Clients(RuleBasedStateMachine):
    """Several clients with members and keys of their own, and moments when they get in each other's way."""

    world: ClassVar[World]

    @initialize(program=st.integers(0, PROGRAMS - 1))
    def enrol(self, program: int) -> None:
        number = next(self.world.numbers)
        first = number * 100
        groups = [range(start, start + MEMBERS) for start in range(first, first + MEMBERS * CLIENTS, MEMBERS)]
        self.tills = self.world.tills[program]
        self.simple_till = self.world.simple_tills[program]
        self.model = Model(self.world.programs[program])
        run(_enrol(self.world.chains[program], self.model, groups))
        self.players = [
            Player(self.model, f"{number}-{client}", group) for client, group in enumerate(groups)
        ]

    @rule(scripts=st.lists(scripts, min_size=CLIENTS, max_size=CLIENTS))
    def go_about_their_business(self, scripts: Sequence[Sequence[Step]]) -> None:
        """Each client its own calls, all clients at once."""
        self._together(
            *(
                player.play(till, self.simple_till, script)
                for player, till, script in zip(self.players, self.tills, scripts, strict=True)
            )
        )

    @rule(tales=st.lists(tales, min_size=CLIENTS, max_size=CLIENTS))
    def think_better_of_it(self, tales: Sequence[Sequence[Step]]) -> None:
        """The same with calls that go together."""
        self.go_about_their_business(tales)

    @rule(client=st.integers(0, CLIENTS - 1), want=news(), senders=st.integers(2, 8))
    def send_one_call_at_once(self, client: int, want: New, senders: int) -> None:
        """One of them is the first; the others are repeats of it, byte for byte."""
        [request] = self.players[client].resolve([want])
        self._race([request] * senders)

    @rule(
        client=st.integers(0, CLIENTS - 1),
        want=sales(age=st.sampled_from((*RECENT, *LONG_AGO))),
        fields=st.lists(st.sampled_from(RACING), min_size=1, max_size=4),
    )
    def send_different_calls_under_one_key_at_once(self, client: int, want: Sale, fields: list[str]) -> None:
        """One of them wins and is the call; the others reuse its key."""
        player = self.players[client]
        [request] = player.resolve([want])
        another = player.member_ids[1 - want.who.member]
        self._race([request, *[changed(request, field, another) for field in fields]] * 2)

    def _race(self, requests: list[OperationRequest]) -> None:
        """All at once; whichever was recorded first decides what the others must have got."""
        answers = self._send_all(requests)
        replies = list(zip(requests, answers, strict=True))
        firsts = [
            reply
            for reply in replies
            if reply[1].reason != "IDEMPOTENCY_KEY_REUSED" and not reply[1].replayed
        ]
        assert len(firsts) == 1, replies
        replies.remove(firsts[0])
        for request, answer in [*firsts, *replies]:
            check(self.model.apply(request), answer)

    @rule(
        client=st.integers(0, CLIENTS - 1),
        member=members,
        wants=st.lists(news(), min_size=2, max_size=12),
        undone=st.lists(follow_ups, max_size=6),
    )
    def crowd_around_a_member(
        self, client: int, member: int, wants: list[New], undone: list[FollowUp]
    ) -> None:
        """The ledger tells in which order the calls applied; in that order the model must agree with all."""
        player = self.players[client]
        member_id = player.member_ids[member]
        # What was done before: undoing what is under way only now may find nothing, and leaves no trace then.
        undoing = player.resolve(undone)
        requests = [call for call in undoing if self.model.knows_original(member_id, call)]
        requests += player.resolve([want._replace(who=want.who._replace(member=member)) for want in wants])
        calls = {write_of(call).idempotency_key: call for call in requests}
        replies = dict(zip(calls, self._send_all(requests), strict=True))
        history = self.world.run(self.tills[0].operations(member_id))
        order = [key for key, _ in reversed(history) if key in replies]
        assert sorted(order) == sorted(replies)
        for key in order:
            check(self.model.apply(calls[key]), replies[key])

    @rule()
    def compare_everything(self) -> None:
        """Every member's points and history, as any client reads them."""
        self._together(
            *(
                player.read_everything(till, KNOWN)
                for player, till in zip(self.players, self.tills, strict=True)
            )
        )

    def teardown(self) -> None:
        self.world.sent += sum(player.sent for player in self.players)

    def _send_all(self, requests: Sequence[OperationRequest]) -> list[Answer]:
        self.world.sent += len(requests)
        self.world.run(calm())
        tills = itertools.cycle(self.tills)
        return self.world.run(
            _gather([send(till, call) for till, call in zip(tills, requests, strict=False)])
        )

    def _together(self, *plays: Coroutine[Any, Any, None]) -> None:
        self.world.run(_gather(plays))


async def _gather(plays: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once, to the end also if one fails."""
    results = await asyncio.gather(*plays, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


@pytest.mark.timeout(1_200)
@pytest.mark.xdist_group("model")
def test_the_model_predicts_every_reply(database: str, pytestconfig: pytest.Config) -> None:
    wanted = pytestconfig.getoption("--model-operations")
    # Batches so small that calls of one message fall into several.
    settings = {"workers": 2, "batch_ops_max": 7, "due_interval_seconds": DUE_INTERVAL_SECONDS}
    with serving(database, **settings) as server, asyncio.Runner() as runner:
        Clients.world = world = World(database, server.address, runner)
        while world.sent < wanted:
            run_state_machine_as_test(Clients, settings=EXAMPLES)
        assert all(server.connections().values())
        runner.run(world.close())
    report = run(verify(database))
    assert report.differences == []
    print(f"{world.sent} operations, each with the reply that the model predicted")  # noqa: T201
