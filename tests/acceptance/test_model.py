"""A model predicts every reply of a real server to random mixtures of calls from several clients at once."""

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from tests.acceptance.check import check
from tests.acceptance.intents import FIELDS, LONG_AGO, RECENT, New, Step, members, news, scripts
from tests.acceptance.model import Model, Write
from tests.acceptance.player import Player, changed
from tests.chains import new_chain
from tests.client import Answer, Till
from tests.postgres import run
from tests.server import serving

CLIENTS: Final = 4
CONNECTIONS: Final = 3
PROGRAMS: Final[tuple[ProgramDocument, ...]] = (
    DEFAULT_PROGRAM,
    {
        "earning": {"points_per_step": 3, "step_minor": 70, "rounding": "half_up", "rounding_scope": "line"},
        "redemption": {"value_points": 3, "value_minor": 7, "minimum_points": 2, "maximum_share_percent": 30},
    },
    {
        "earning": {
            "points_per_step": 100,
            "step_minor": 1_000,
            "rounding": "half_even",
            "rounding_scope": "receipt",
        },
        "redemption": {
            "value_points": 10,
            "value_minor": 1,
            "minimum_points": 90,
            "maximum_share_percent": 100,
        },
    },
    {
        "earning": {
            "points_per_step": 999_999,
            "step_minor": 1,
            "rounding": "down",
            "rounding_scope": "line",
        },
        "redemption": {
            "value_points": 1,
            "value_minor": 1,
            "minimum_points": 1,
            "maximum_share_percent": 100,
        },
    },
)
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
        self.chains = [run(new_chain(dsn, document=document)) for document in PROGRAMS]
        self.tills = [
            [Till(address, chain.api_key, CONNECTIONS) for _ in range(CLIENTS)] for chain in self.chains
        ]
        self.run = runner.run
        self.numbers = itertools.count(1)
        self.sent = 0

    async def close(self) -> None:
        for till in itertools.chain.from_iterable(self.tills):
            await till.close()


class Clients(RuleBasedStateMachine):
    """Several clients with members and keys of their own, and moments when they get in each other's way."""

    world: ClassVar[World]

    @initialize(program=st.integers(0, len(PROGRAMS) - 1))
    def enrol(self, program: int) -> None:
        number = next(self.world.numbers)
        groups = [range(first, first + 3) for first in range(number * 100, number * 100 + 3 * CLIENTS, 3)]
        known = [member_id for group in groups for member_id in group[:2]]
        cards = {member_id: f"card-{member_id}" for member_id in known}
        members_by_card = {card: member_id for member_id, card in cards.items()}
        run(self.world.chains[program].add_members(known, members_by_card))
        self.tills = self.world.tills[program]
        self.model = Model(PROGRAMS[program], known, members_by_card)
        self.players = [
            Player(self.model, f"{number}-{client}", group, cards) for client, group in enumerate(groups)
        ]

    @rule(scripts=st.lists(scripts, min_size=CLIENTS, max_size=CLIENTS))
    def go_about_their_business(self, scripts: Sequence[Sequence[Step]]) -> None:
        """Each client its own calls, all clients at once."""
        self._together(
            *(
                player.play(till, script)
                for player, till, script in zip(self.players, self.tills, scripts, strict=True)
            )
        )

    @rule(client=st.integers(0, CLIENTS - 1), want=news(), senders=st.integers(2, 8))
    def send_one_call_at_once(self, client: int, want: New, senders: int) -> None:
        """One of them is the first; the others are repeats of it, byte for byte."""
        [request] = self.players[client].resolve([want])
        self._race([request] * senders)

    @rule(
        client=st.integers(0, CLIENTS - 1),
        want=news(ages=(*RECENT, *LONG_AGO)),
        fields=st.lists(st.sampled_from(RACING), min_size=1, max_size=4),
    )
    def send_different_calls_under_one_key_at_once(self, client: int, want: New, fields: list[str]) -> None:
        """One of them wins and is the call; the others reuse its key."""
        player = self.players[client]
        [request] = player.resolve([want])
        another = player.member_ids[1 - want.member]
        rivals = [changed(request, field, another, f"card-{another}") for field in fields]
        self._race([request, *rivals] * 2)

    def _race(self, requests: list[Write]) -> None:
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
    )
    def crowd_around_a_member(self, client: int, member: int, wants: list[New]) -> None:
        """The ledger tells in which order the calls applied; in that order the model must agree with all."""
        player = self.players[client]
        requests = player.resolve([want._replace(member=member) for want in wants])
        replies = dict(zip([r.idempotency_key for r in requests], self._send_all(requests), strict=True))
        history = self.world.run(self.tills[0].operations(player.member_ids[member]))
        order = [key for key, _ in reversed(history) if key in replies]
        by_key = {request.idempotency_key: request for request in requests}
        assert sorted(order) == sorted(replies)
        for key in order:
            check(self.model.apply(by_key[key]), replies[key])

    @rule()
    def compare_everything(self) -> None:
        """Every member's history, and with it the balance after each operation, as any client reads it."""
        self._together(
            *(
                player.read_history(till, member_id)
                for player, till in zip(self.players, self.tills, strict=True)
                for member_id in player.member_ids[:2]
            )
        )

    def teardown(self) -> None:
        self.world.sent += sum(player.sent for player in self.players)

    def _send_all(self, requests: Sequence[Write]) -> list[Answer]:
        self.world.sent += len(requests)
        tills = itertools.cycle(self.tills)
        return self.world.run(
            _gather([till.write(request) for till, request in zip(tills, requests, strict=False)])
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
    with serving(database, workers=2, batch_ops_max=7) as server, asyncio.Runner() as runner:
        Clients.world = world = World(database, server.address, runner)
        while world.sent < wanted:
            run_state_machine_as_test(Clients, settings=EXAMPLES)
        assert all(server.connections().values())
        runner.run(world.close())
    print(f"{world.sent} operations, each with the reply that the model predicted")  # noqa: T201
