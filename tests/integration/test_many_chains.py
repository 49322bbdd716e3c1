"""Many chains in one transaction: nothing of one reaches another, and each gets what it would get alone."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from time import time_ns
from typing import Any, Final, NamedTuple
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY

from processor import metrics
from processor.batch import Batch, Share
from processor.batcher import Batcher
from processor.call import Call, CallGroup
from processor.card_book import CardBook
from processor.commit_journal import CommitJournal
from processor.domain.command import NO_RECEIPT, Command, Kind
from processor.domain.failures import OutcomeUnknown
from processor.domain.outcomes import Outcome
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument
from processor.labels import CHAINS_MAX, BoundedLabels
from processor.ledger import Ledger
from processor.metrics import BatcherMetrics, LedgerMetrics
from processor.ports import Reply
from processor.rpc.encoder import ProtobufEncoder
from storage import ledger as storage_ledger
from storage.cards import PostgresCards
from storage.directory import PostgresDirectory, create_chain
from storage.ledger import PostgresLedger
from storage.partitions import Partitions
from storage.pool import connect, open_pool
from storage.verify import verify
from tests.chains import query
from tests.history import DAY_US, accrual, redemption

NOW_US: Final = time_ns() // 1_000
MEMBERS: Final = range(1, 6)
CHAINS: Final = 50
STORE_LIMIT: Final[ProgramDocument] = {
    **DEFAULT_PROGRAM,
    "limits": [{"scope": "store", "period": "day", "operations": 100, "action": "refuse"}],
}
ENROLLING: Final[ProgramDocument] = {**DEFAULT_PROGRAM, "members": {"enrol_on_first_use": True}}


class Watched(Ledger):
    """Remembers which chains each batch had."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.batches: list[dict[int, int]] = []

    async def apply(self, batch: Batch) -> None:
        self.batches.append({share.chain_id: len(share.calls) for share in batch.shares})
        await super().apply(batch)


class World(NamedTuple):
    """A database with some chains, and what a worker has on it; `commits` has the seconds of each COMMIT."""

    dsn: str
    pool: asyncpg.Pool
    partitions: Partitions
    commits: list[float]

    async def ledger(self) -> Watched:
        """As a worker that has just started."""
        directory = PostgresDirectory(self.pool)
        await directory.refresh()
        return Watched(
            PostgresLedger(self.pool, self.partitions, self.commits.append),
            directory,
            ProtobufEncoder(),
            LedgerMetrics(),
            CommitJournal(None, 2),
            retry_seconds=5,
        )

    async def chains(self, count: int, document: ProgramDocument = DEFAULT_PROGRAM) -> list[int]:
        """New chains with MEMBERS, at home in the present."""
        home = await self.partitions.home()
        connection = await connect(self.dsn)
        names = [f"chain-{uuid4()}" for _ in range(count)]
        made = [await create_chain(connection, name, document=document) for name in names]
        await connection.execute(
            "INSERT INTO account (chain_id, member_id)"
            " SELECT * FROM unnest($1::integer []) CROSS JOIN unnest($2::bigint []) AS member_id",
            made,
            MEMBERS,
        )
        await connection.execute("INSERT INTO chain_home SELECT unnest($1::integer []), $2", made, home.name)
        await connection.close()
        return made

    async def settled(self, operations: int) -> bool:
        """Whether the ledger has so many operations, and nothing in it contradicts anything."""
        report = await verify(self.dsn)
        return (report.differences, report.unchecked, report.operations) == ([], 0, operations)


@pytest.fixture(autouse=True)
def _labels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lest these chains take the labels that other tests in this process count by."""
    monkeypatch.setattr(metrics, "CHAINS", BoundedLabels(CHAINS_MAX))


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    async with await open_pool(database, connections=6, statement_timeout_seconds=10) as pool:
        yield World(database, pool, Partitions(pool), [])


def calls_of(commands: Sequence[Command]) -> list[Call]:
    return CallGroup(commands, math.inf).calls


def batch_of(commands: dict[int, Sequence[Command]]) -> Batch:
    return Batch([Share(chain_id, calls_of(each)) for chain_id, each in commands.items()])


def replies(batch: Batch) -> dict[int, list[Reply]]:
    """Of all that are not set aside; each call must have one."""
    found = {share.chain_id: [call.reply for call in share.calls if call.reply] for share in batch.shares}
    assert sum(map(len, found.values())) == len(batch.calls)
    return found


def sale(key: str, member_id: int, **changes: Any) -> Command:
    return accrual(key, member_id, occurred_at_us=NOW_US)._replace(**changes)


async def apply_all(ledger: Ledger, batch: Batch) -> None:
    """As a lane does: what is set aside goes alone."""
    await ledger.apply(batch)
    for share in batch.set_aside:
        await ledger.apply(Batch([share]))


def some_sales(chain_ids: Iterable[int], prefix: str = "") -> dict[int, Sequence[Command]]:
    """Equal keys and equal members in each chain, and amounts by which the chains can be told apart."""
    return {
        chain_id: [
            sale(f"{prefix}key-{number}", number, receipt=accrual("x", 1, total_minor=chain_id * 10_000)[7])
            for number in (1, 2, 1)
        ]
        + [redemption(f"{prefix}key-3", 2, 1_000, occurred_at_us=NOW_US)]
        for chain_id in chain_ids
    }


def outcomes(batch: Batch) -> set[tuple[Outcome, ...]]:
    return {tuple(reply.outcome for reply in each) for each in replies(batch).values()}


# --- one transaction ------------------------------------------------------------------------------


async def test_50_chains_with_equal_keys_and_members_share_one_transaction(world: World) -> None:
    chain_ids = await world.chains(CHAINS)
    ledger = await world.ledger()
    first = batch_of(some_sales(reversed(chain_ids)))
    await ledger.apply(first)
    assert (first.set_aside, len(world.commits)) == ([], 1)
    assert outcomes(first) == {
        (Outcome.APPLIED, Outcome.APPLIED, Outcome.APPLIED, Outcome.REDEMPTION_ABOVE_LIMIT)
    }
    for each in replies(first).values():
        assert [reply.replayed for reply in each] == [False, False, True, False]
        assert each[0].body == each[2].body
    balances = await query(world.dsn, "SELECT chain_id, sum(balance_points) FROM account GROUP BY 1")
    assert dict(map(tuple, balances)) == {chain_id: 2 * chain_id for chain_id in chain_ids}
    assert await world.settled(3 * CHAINS)


async def test_repeats_get_the_first_replies_whichever_way_they_come(world: World) -> None:
    chain_ids = await world.chains(CHAINS)
    ledger = await world.ledger()
    first, again = batch_of(some_sales(chain_ids)), batch_of(some_sales(chain_ids))
    await ledger.apply(first)
    await ledger.apply(again)
    alone = [batch_of(some_sales([chain_id])) for chain_id in chain_ids]
    for batch in alone:
        await ledger.apply(batch)
    original = replies(first)
    for repeated in (replies(again), *map(replies, alone)):
        for chain_id, each in repeated.items():
            assert [reply.body for reply in each] == [reply.body for reply in original[chain_id]]
            assert all(reply.replayed for reply in each)
    assert await world.settled(3 * CHAINS)


async def test_a_key_with_another_payload_is_refused_in_its_chain_alone(world: World) -> None:
    one, two = await world.chains(2)
    ledger = await world.ledger()
    await ledger.apply(batch_of({one: [sale("key", 1)], two: [sale("other", 1)]}))
    batch = batch_of({one: [sale("key", 2)], two: [sale("key", 2)]})
    await ledger.apply(batch)
    assert replies(batch)[one][0].outcome is Outcome.IDEMPOTENCY_KEY_REUSED
    assert replies(batch)[two][0].outcome is Outcome.APPLIED
    assert await world.settled(3)


async def test_a_return_finds_its_sale_in_its_own_chain(world: World) -> None:
    one, two = await world.chains(2)
    ledger = await world.ledger()
    await ledger.apply(batch_of({one: [sale("sale", 1)], two: [sale("other", 1)]}))
    undo = Command(Kind.REVERSE, "undo", 1, "", NOW_US, "", "", NO_RECEIPT, 0, original_key="sale")
    batch = batch_of({one: [undo], two: [undo]})
    await ledger.apply(batch)
    assert batch.set_aside == []
    assert replies(batch)[one][0].outcome is Outcome.APPLIED
    assert replies(batch)[two][0].outcome is not Outcome.APPLIED
    again = batch_of({one: [undo._replace(idempotency_key="undo-2")], two: [sale("more", 1)]})
    await ledger.apply(again)
    assert replies(again)[one][0].outcome is not Outcome.APPLIED
    report = await verify(world.dsn)
    assert report.differences == []


# --- others in the way -----------------------------------------------------------------------------


async def test_two_workers_with_the_same_members_undo_nothing_of_each_other(world: World) -> None:
    chain_ids = await world.chains(8)
    choice = random.Random(5)

    async def work(worker: int) -> int:
        ledger = await world.ledger()
        for turn in range(15):
            some = choice.sample(chain_ids, choice.choice([1, 4, 8]))
            batch = batch_of(
                {each: [sale(f"{worker}-{turn}", member) for member in MEMBERS[:1]] for each in some}
            )
            await apply_all(ledger, batch)
            assert outcomes(batch) == {(Outcome.APPLIED,)}
        return sum(len(each) for each in ledger.batches)

    done = await asyncio.gather(*(work(worker) for worker in range(3)))
    assert await world.settled(sum(done))


async def test_a_poisoned_row_of_one_chain_fails_that_call_alone(world: World) -> None:
    chain_ids = await world.chains(20)
    ledger = await world.ledger()
    commands = some_sales(chain_ids)
    poisoned = chain_ids[7]
    commands[poisoned] = [sale("key-1", 1), sale("poison", 2, store_id="\x00"), sale("key-2", 3)]
    batch = batch_of(commands)
    await ledger.apply(batch)
    assert [reply.outcome for reply in replies(batch)[poisoned]] == [
        Outcome.APPLIED,
        Outcome.INTERNAL_ERROR,
        Outcome.APPLIED,
    ]
    others = [
        reply.outcome for chain_id, each in replies(batch).items() for reply in each if chain_id != poisoned
    ]
    assert set(others) == {Outcome.APPLIED, Outcome.REDEMPTION_ABOVE_LIMIT}
    assert await world.settled(3 * 19 + 2)


async def test_a_commit_of_unknown_outcome_is_run_again_and_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain_ids = await world.chains(10)
    ledger = await world.ledger()
    commit = storage_ledger._commit
    failures = iter([OutcomeUnknown("the connection broke")])

    async def commit_and_break(connection: Any) -> None:
        await commit(connection)
        for failure in failures:
            raise failure

    monkeypatch.setattr(storage_ledger, "_commit", commit_and_break)
    before = counted()
    batch = batch_of(some_sales(chain_ids))
    await ledger.apply(batch)
    for each in replies(batch).values():
        assert [reply.replayed for reply in each] == [False, False, True, False]
    assert counted() - before == 3 * 10
    assert await world.settled(3 * 10)


def counted() -> float:
    """Operations that the counters have of all chains, among those that the ledger records."""
    [family] = [family for family in REGISTRY.collect() if family.name == "loyalty_operations"]
    recorded = {Outcome.APPLIED.name, Outcome.REDEMPTION_ABOVE_LIMIT.name}
    return sum(
        sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] in recorded
    )


# --- what goes alone -------------------------------------------------------------------------------


async def test_a_chain_whose_home_has_moved_makes_each_go_its_own_way(world: World) -> None:
    chain_ids = await world.chains(5)
    await query(
        world.dsn,
        "UPDATE chain_home SET partition_name = 'operation_19990101' WHERE chain_id = $1",
        chain_ids[3],
    )
    ledger = await world.ledger()
    batch = batch_of(some_sales(chain_ids))
    await ledger.apply(batch)
    assert (batch.shares, [share.chain_id for share in batch.set_aside]) == ([], chain_ids)
    for share in batch.set_aside:
        await ledger.apply(Batch([share]))
    again = batch_of(some_sales(chain_ids, "again-"))
    await ledger.apply(again)
    assert (again.set_aside, len(world.commits)) == ([], 6)
    assert await world.settled(2 * 3 * 5)


@pytest.mark.parametrize(
    "document, command",
    [
        (STORE_LIMIT, sale("alone", 1)),
        (ENROLLING, sale("alone", 0, card="new-card")),
        (DEFAULT_PROGRAM, sale("alone", 1, occurred_at_us=NOW_US - 40 * DAY_US)),
        (DEFAULT_PROGRAM, sale("alone", 1, occurred_at_us=NOW_US - 400 * DAY_US)),
    ],
    ids=["store limit", "stranger", "other partition", "before the window"],
)
async def test_what_needs_a_transaction_of_its_own_is_set_aside(
    world: World, document: ProgramDocument, command: Command
) -> None:
    [special] = await world.chains(1, document)
    others = await world.chains(3)
    ledger = await world.ledger()
    commands = some_sales(others)
    batch = batch_of({others[0]: commands[others[0]], special: [command], **commands})
    await ledger.apply(batch)
    assert [share.chain_id for share in batch.set_aside] == [special]
    assert len(outcomes(batch)) == 1
    [share] = batch.set_aside
    assert share.calls[0].reply is None
    await ledger.apply(Batch([share]))
    assert share.calls[0].reply
    is_in_window = command.occurred_at_us > NOW_US - 45 * DAY_US
    expected = Outcome.APPLIED if is_in_window else Outcome.OCCURRED_AT_OUT_OF_WINDOW
    assert share.calls[0].reply.outcome is expected
    assert len(world.commits) == 2
    assert await world.settled(3 * 3 + is_in_window)


# --- the lane --------------------------------------------------------------------------------------


@pytest.fixture
async def watched(world: World) -> AsyncIterator[tuple[Batcher, Watched, list[int]]]:
    """A batcher of one lane, its ledger and four chains; two of them have a store's limit."""
    chains = [*await world.chains(2), *await world.chains(2, STORE_LIMIT)]
    ledger = await world.ledger()
    batcher = Batcher(
        ledger,
        BatcherMetrics(),
        CardBook(PostgresCards(world.pool)),
        lanes=1,
        batch_ops_max=100,
        batch_chains_max=3,
        queue_ops_max=1_000,
        queue_bytes_max=2**28,
    )
    batcher.start()
    yield batcher, ledger, chains
    await batcher.drain()


async def test_chains_take_turns_in_equal_shares(
    world: World, watched: tuple[Batcher, Watched, list[int]]
) -> None:
    batcher, ledger, chains = watched
    waiting = dict(zip(chains, (150, 4, 30, 1), strict=True))
    commands = {
        chain_id: [
            sale(f"key-{number}", 1 + number % 5, store_id=f"store-{number}") for number in range(count)
        ]
        for chain_id, count in waiting.items()
    }
    answers = await asyncio.gather(
        *(batcher.submit(chain_id, each, math.inf) for chain_id, each in commands.items())
    )
    assert {reply.outcome for each in answers for reply in each} == {Outcome.APPLIED}
    big, small, limited, single = waiting
    assert ledger.batches == [
        {big: 66, small: 4, limited: 30},
        {limited: 30},
        {single: 1, big: 84},
        {single: 1},
    ]
    assert [batcher._backlog.ops(chain_id) for chain_id in waiting] == [0] * 4
    assert await world.settled(185)


async def test_who_must_be_told_something_is_told_what_is_known(
    world: World, watched: tuple[Batcher, Watched, list[int]]
) -> None:
    batcher, _, (held, other, limited, waiting) = watched
    holder = await connect(world.dsn)
    async with holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(hashtext('loyalty.chain'), $1)", held)
        deadline = asyncio.get_running_loop().time() + 0.5
        # There is no room for the last one in a batch of three chains.
        answers = await asyncio.gather(
            *(
                batcher.submit(chain_id, [sale("key", 1, store_id="store")], deadline)
                for chain_id in (held, other, limited, waiting)
            )
        )
        assert [reply.outcome for [reply] in answers] == [
            Outcome.OUTCOME_UNKNOWN,
            Outcome.OUTCOME_UNKNOWN,
            Outcome.STORAGE_UNAVAILABLE,
            Outcome.STORAGE_UNAVAILABLE,
        ]
    await holder.close()
    again = [sale("key", 1, store_id="store")]
    later = await asyncio.gather(*(batcher.submit(each, again, math.inf) for each in (held, other, limited)))
    assert {(reply.outcome, reply.replayed) for [reply] in later} == {(Outcome.APPLIED, False)}
    assert await world.settled(3)
