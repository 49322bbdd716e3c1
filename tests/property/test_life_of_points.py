"""What holds of a member's points whatever they do, under any program."""

from hypothesis import assume, given
from hypothesis import strategies as st

from processor.domain.command import NO_RECEIPT, Command, Kind, Receipt
from processor.domain.decide import decide
from processor.domain.effects_bytes import decode_effects
from processor.domain.maturity import matured
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome
from processor.domain.program import Program, ShortfallPolicy
from processor.domain.quote import quote
from processor.domain.situation import Situation
from tests.book import DAY_US, START_US, Book
from tests.property.rich import Intent, intents, lines, rich_programs, rich_receipts

histories = st.lists(intents(), min_size=1, max_size=12)
SEGMENTS = st.sampled_from(["", "staff"])
# Of any lines, and of lines that have the same amount and count for different parts of it.
ALIKE = rich_receipts() | st.lists(lines, min_size=2, max_size=4).map(
    lambda items: Receipt("", 150 * len(items), tuple(item._replace(amount_minor=150) for item in items))
)


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


@given(rich_programs(), SEGMENTS, histories)
def test_entries_add_up_to_the_balance_and_lots_to_it(
    program: Program, segments: str, history: list[Intent]
) -> None:
    player = Player(program, segments)
    for intent in history:
        before = len(player.book.operations)
        player.play(intent)
        check_account(player, program)
        check_draws(player.book.operations[before:], player.now_us)


def check_draws(operations: list[Operation], now_us: int) -> None:
    """Nothing is spent from a lot that has expired."""
    for operation in operations:
        if operation.kind in (Kind.EXPIRE, Kind.CAPTURE):
            continue
        for change in decode_effects(operation.effects).lots:
            if change.points < 0 and not change.active_at_us and change.expires_at_us:
                assert change.expires_at_us > now_us


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


@given(rich_programs(), SEGMENTS, histories)
def test_undoing_everything_gives_the_first_state_back(
    program: Program, segments: str, history: list[Intent]
) -> None:
    """In the opposite order, before anything expires, where active points may be taken back."""
    assume(program.returns.shortfall is not ShortfallPolicy.PENDING_ONLY)
    player = Player(program, segments)
    sales = [
        intent
        for intent in history
        if intent.command.kind in (Kind.ACCRUE, Kind.CHECKOUT, Kind.REDEEM, Kind.ADJUST)
        and not intent.command.offline
    ]
    for intent in sales:
        intent.days = 0
        player.play(intent)
    for done in reversed(player.applied):
        key = f"undo-{done.idempotency_key}"
        undo = Command(Kind.REVERSE, key, 1, "", player.now_us, "s", "", NO_RECEIPT, 0)
        undo = undo._replace(original_key=done.idempotency_key)
        assert player.book.apply(undo, player.now_us).outcome is Outcome.APPLIED
    account, state = player.book.accounts[1], player.book.state(1)
    qualification = state.qualification
    assert account.balance_points == 0
    assert (state.lots, state.pending, state.holds) == ((), (), ())
    assert (qualification.base_level, qualification.life_points, qualification.life_minor) == (0, 0, 0)
    assert qualification.months == ()


@given(rich_programs(), SEGMENTS, histories, st.integers(0, 400))
def test_what_is_due_can_wait(program: Program, segments: str, history: list[Intent], days: int) -> None:
    """Late or in time, in one go or day by day: what is due ends in the same balance."""
    player = Player(program, segments)
    for intent in history:
        player.play(intent)
    account = player.book.accounts[1]
    late = matured(account, program, player.now_us + days * DAY_US)
    in_time = account
    for day in range(days + 1):
        in_time = matured(in_time, program, player.now_us + day * DAY_US)
    assert in_time.balance_points == late.balance_points
