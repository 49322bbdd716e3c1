"""What holds of a member's points whatever they do, under any program."""

from random import Random
from typing import NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from processor.domain.account import Account
from processor.domain.command import NO_RECEIPT, Command, Kind, Receipt
from processor.domain.dating import sliding_expiry_us
from processor.domain.decide import decide
from processor.domain.effects_bytes import decode_effects
from processor.domain.lots import drawn_slices, last_of
from processor.domain.maturity import is_due, matured
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.domain.program import LotRules, Program, ShortfallPolicy
from processor.domain.quote import quote
from processor.domain.rules import steps_for
from processor.domain.situation import Situation
from processor.domain.state import Hold, PendingLot, decode_state
from tests.book import DAY_US, START_US, Book
from tests.property.rich import Intent, intents, lines, rich_programs, rich_receipts

histories = st.lists(intents(), min_size=1, max_size=12)
SEGMENTS = st.sampled_from(["", "staff"])
# Of any lines, and of lines that have the same amount and count for different parts of it.
ALIKE = rich_receipts() | st.lists(lines, min_size=2, max_size=4).map(
    lambda items: Receipt("", 150 * len(items), tuple(item._replace(amount_minor=150) for item in items))
)
# What gives a member points, some of which wait where a program lets them wait.
BOUGHT = Command(Kind.ACCRUE, "", 1, "", 0, "store-1", "till", Receipt("receipt", 30_000, ()), 0)
GIVEN = Command(Kind.ADJUST, "", 1, "", 0, "store-1", "till", NO_RECEIPT, 0, points=100, reason="SURVEY")
# Kinds of calls that follow upon no other one.
OF_ITS_OWN = (Kind.ACCRUE, Kind.CHECKOUT, Kind.REDEEM, Kind.ADJUST, Kind.HOLD)
# Kinds of calls that spend points, which an undoing gives back.
SPENDING = (Kind.CHECKOUT, Kind.REDEEM, Kind.ADJUST, Kind.CAPTURE)


def with_points(history: list[Intent]) -> list[Intent]:
    """The same of a member who has points to begin with."""
    return [Intent(BOUGHT, 0, 1), Intent(GIVEN, 0, 1), *history]


class Points(NamedTuple):
    """All of a member's points, as they can be spent."""

    available_points: int
    lots: tuple[tuple[int, int], ...]
    pending: tuple[PendingLot, ...]
    holds: tuple[Hold, ...]


class Player:
    """Plays intents in a book, each under a key of its own."""

    def __init__(self, program: Program, segments: str) -> None:
        self.book = Book([program], [1], segments)
        self.now_us = START_US
        self.applied: list[Command] = []

    def play(self, intent: Intent) -> Outcome:
        self.now_us += intent.days * DAY_US
        command = self._complete(intent)
        reply = self.book.apply(command, self.now_us)
        if reply.outcome is Outcome.APPLIED:
            self.applied.append(command)
        return reply.outcome

    def undo(self, done: Command) -> Outcome:
        """Void a hold, reverse anything else."""
        kind = Kind.VOID if done.kind is Kind.HOLD else Kind.REVERSE
        command = Command(kind, f"undo-{done.idempotency_key}", 1, "", self.now_us, "s", "", NO_RECEIPT, 0)
        command = command._replace(original_key=done.idempotency_key)
        return self.book.apply(command, self.now_us).outcome

    def points(self) -> Points:
        """What the member has now."""
        account = matured(self.book.accounts[1], self.book.chain.programs[0], self.now_us)
        state = decode_state(account.state)
        return Points(available_points(account), state.lots, state.pending, state.holds)

    def _complete(self, intent: Intent) -> Command:
        command = intent.command
        key = f"key-{len(self.book.operations)}-{self.now_us}-{len(self.applied)}"
        occurred_at_us = self.now_us - 2 * DAY_US if command.offline else self.now_us
        original_key = ""
        if command.kind in (Kind.CAPTURE, Kind.VOID, Kind.REVERSE, Kind.RETURN):
            wanted = (Kind.HOLD,) if command.kind in (Kind.CAPTURE, Kind.VOID) else tuple(Kind)
            candidates = [each for each in self.applied if each.kind in wanted]
            original_key = candidates[-intent.original :][0].idempotency_key if candidates else "nothing"
        return command._replace(idempotency_key=key, occurred_at_us=occurred_at_us, original_key=original_key)


def check_account(player: Player, program: Program) -> None:
    book = player.book
    account, state = book.accounts[1], book.state(1)
    assert account.balance_points == sum(row.earned_points - row.redeemed_points for row in book.operations)
    assert book.rebuilt() == book.accounts
    assert all(points > 0 for _, points in state.lots)
    assert all(lot.points > 0 for lot in state.pending)
    assert all(hold.points > 0 for hold in state.holds)
    may_owe = program.returns.shortfall is ShortfallPolicy.ALLOW_NEGATIVE or program.offline.allow_negative
    undated = state.undated_points(account.balance_points)
    assert undated >= 0 or (may_owe and not state.lots)


@given(rich_programs(), SEGMENTS, histories.map(with_points))
def test_entries_add_up_to_the_balance_and_lots_to_it(
    program: Program, segments: str, history: list[Intent]
) -> None:
    player = Player(program, segments)
    for intent in history:
        before = player.book.accounts[1]
        done = len(player.book.operations)
        player.play(intent)
        check_account(player, program)
        check_draws(player.book.operations[done:], player.now_us)
        if player.book.operations[done:] and not intent.command.offline:
            there = matured(before, program, player.now_us)
            check_spending(player.book.operations[-1], available_points(there))


def check_draws(operations: list[Operation], now_us: int) -> None:
    """Nothing is taken from a lot that has expired, and nothing spent from one that is pending."""
    for operation in operations:
        for change in decode_effects(operation.effects).lots:
            if change.points < 0 and not change.active_at_us and change.expires_at_us:
                assert change.expires_at_us > now_us or operation.kind in (Kind.EXPIRE, Kind.CAPTURE)
            if change.points < 0 and change.active_at_us:
                assert operation.kind in (Kind.ACTIVATE, Kind.REVERSE, Kind.RETURN)


def check_spending(operation: Operation, there: int) -> None:
    """What is spent or held was there to be spent: neither held, nor pending, nor owed."""
    if operation.kind in (Kind.REDEEM, Kind.CHECKOUT, Kind.ADJUST):
        assert operation.redeemed_points <= max(there, 0)
    if operation.kind is Kind.HOLD:
        assert sum(hold.points for hold in decode_effects(operation.effects).opened_holds) <= max(there, 0)


@given(
    rich_programs(),
    st.sampled_from(
        [LotRules(pending_days=3), LotRules(pending_days=3, after_days=40), LotRules(after_days=5)]
    ),
    st.sampled_from([Kind.REDEEM, Kind.CHECKOUT, Kind.HOLD, Kind.ADJUST]),
    st.integers(10, 300),
    st.sampled_from([0, 2, 3, 5, 6, 40, 41]),
)
def test_nothing_is_spent_of_what_waits_or_has_expired(
    program: Program, lots: LotRules, kind: Kind, points: int, days: int
) -> None:
    """However large the receipt."""
    program = program._replace(lots=lots, limits=(), steps=())
    program = program._replace(steps=steps_for(program))
    player = Player(program, "")
    for intent in with_points([]):
        player.play(intent)
    player.now_us += days * DAY_US
    before = player.points()
    if kind in (Kind.REDEEM, Kind.CHECKOUT):
        command = BOUGHT._replace(kind=kind, receipt=Receipt("large", 1_000_000, ()), redeem_points=points)
    else:
        command = GIVEN._replace(kind=kind, points=points if kind is Kind.HOLD else -points)
    outcome = player.play(Intent(command, 0, 1))
    assert outcome is not Outcome.APPLIED or points <= before.available_points
    assert sum(lot.points for lot in before.pending) <= sum(lot.points for lot in player.points().pending)
    check_account(player, program)


def available_points(account: Account) -> int:
    return decode_state(account.state).available_points(account.balance_points)


@given(rich_programs(), SEGMENTS, histories, rich_receipts(), st.integers(0, 300))
def test_a_checkout_right_after_a_quote_gives_exactly_that(
    program: Program, segments: str, history: list[Intent], receipt: Receipt, points: int
) -> None:
    player = Player(program, segments)
    for intent in history:
        player.play(intent)
    now_us = player.now_us + DAY_US
    command = Command(Kind.CHECKOUT, "checkout", 1, "", now_us, "store-1", "till", receipt, points)
    quoted = quote(player.book.accounts[1], command, program, Situation(now_us, None, player.book.tallies))
    reply = player.book.apply(command._replace(quote_token=quoted.quote_token), now_us)
    assert reply.outcome is quoted.decision.outcome
    if reply.outcome is Outcome.APPLIED:
        assert player.book.answer.decision == quoted.decision
    else:
        assert player.book.answer.details == quoted.decision.details


@given(rich_programs(), SEGMENTS, ALIKE, st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_change_the_totals(
    program: Program, segments: str, receipt: Receipt, points: int, random: st.DataObject
) -> None:
    shuffled = list(receipt.lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    totals = []
    for each in (receipt, receipt._replace(lines=tuple(shuffled))):
        book = Book([program], [1], segments)
        book.apply(
            Command(Kind.ADJUST, "gift", 1, "", START_US, "s", "", Receipt("", 0, ()), 0, points=500),
            START_US,
        )
        command = Command(Kind.CHECKOUT, "key", 1, "", START_US, "s", "", each, points)
        decision = decide(book.accounts[1], command, program, Situation(START_US))
        totals.append((*decision[:5], decision.discount_minor))
    assert totals[0] == totals[1]


@given(rich_programs(), SEGMENTS, histories.map(with_points), histories)
def test_undoing_everything_gives_the_first_state_back(
    program: Program, segments: str, past: list[Intent], history: list[Intent]
) -> None:
    """In the opposite order, before anything is due, where active points may be taken back."""
    assume(program.returns.shortfall is not ShortfallPolicy.PENDING_ONLY)
    player = Player(program, segments)
    for intent in past:
        player.play(intent)
    before = player.points()
    # What has paid a debt is taken back as a debt, where there may be one.
    assume(before.available_points >= 0 or program.returns.shortfall is ShortfallPolicy.ALLOW_NEGATIVE)
    player.applied.clear()
    for intent in history:
        if intent.command.kind in OF_ITS_OWN and not intent.command.offline:
            intent.days = 0
            player.play(intent)
    for done in reversed(player.applied):
        assert player.undo(done) is Outcome.APPLIED
    assert player.points() == before


@given(rich_programs(), SEGMENTS, histories.map(with_points), st.randoms(use_true_random=False))
def test_undoing_everything_in_any_order_leaves_nothing(
    program: Program, segments: str, history: list[Intent], random: Random
) -> None:
    """Also what was undone in part, where a debt may be made in between.

    Before anything is due, and within a month: the end of a period is not gone back on. Where points of an
    expired lot are lost, also before a lot expires that was spent from: in the state there may be nothing
    left of it, but what was spent comes back too late, and is lost unless the debt that it would pay is there
    already. With days of grace nothing is lost, however late.
    """
    returns = program.returns._replace(shortfall=ShortfallPolicy.ALLOW_NEGATIVE)
    player = Player(program._replace(returns=returns), segments)
    for intent in history:
        tomorrow_us = player.now_us + DAY_US
        is_over = is_due(player.book.state(1), tomorrow_us) or loses_spent_points(player.book, tomorrow_us)
        intent.days = 0 if is_over else min(intent.days, 1)
        if not intent.command.offline:
            player.play(intent)
    random.shuffle(player.applied)
    for done in player.applied:
        if done.kind is Kind.HOLD:
            assert player.undo(done) in (Outcome.APPLIED, Outcome.HOLD_CAPTURED, Outcome.HOLD_VOID)
        elif done.kind in (*OF_ITS_OWN, Kind.CAPTURE):
            assert player.undo(done) in (Outcome.APPLIED, Outcome.ALREADY_REVERSED)
    assert player.points() == Points(0, (), (), ())
    assert player.book.state(1).undated_expires_at_us == 0
    for tally in player.book.state(1).tallies:
        assert tally.hour_earned_points == tally.hour_redeemed_points == 0
        assert tally.day_earned_points == tally.day_redeemed_points == 0
    qualification = player.book.state(1).qualification
    assert (qualification.base_level, qualification.life_points, qualification.life_minor) == (0, 0, 0)
    assert qualification.months == ()


def loses_spent_points(book: Book, now_us: int) -> bool:
    """Whether points that were spent, and have not come back, would come back too late then."""
    [program] = book.chain.programs
    if program.returns.grace_days is not None:
        return False
    return any(0 < time_us <= now_us for row in book.operations for time_us in times_spent_us(book, row))


def times_spent_us(book: Book, spending: Operation) -> list[int]:
    """When those of its points expire that have not come back; 0 if never."""
    if spending.kind not in SPENDING:
        return []
    came_back = [row.earned_points for row in book.operations if row.original_key == spending.idempotency_key]
    slices = drawn_slices(decode_effects(spending.effects).lots, spending.redeemed_points)
    left = last_of(slices, sum(came_back), spending.redeemed_points)
    undated_us = sliding_expiry_us(book.chain.programs[0], spending.recorded_at_us)
    return [piece.expires_at_us or undated_us for piece in left]


@given(rich_programs(), SEGMENTS, histories, st.integers(0, 400))
def test_what_is_due_can_wait(program: Program, segments: str, history: list[Intent], days: int) -> None:
    """Late or in time, in one go or day by day: what is due ends in the same balance and lots."""
    player = Player(program, segments)
    for intent in history:
        player.play(intent)
    account = player.book.accounts[1]
    late = matured(account, program, player.now_us + days * DAY_US)
    in_time = account
    for day in range(days + 1):
        in_time = matured(in_time, program, player.now_us + day * DAY_US)
    assert in_time == late
