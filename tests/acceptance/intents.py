"""What a till may want, in small numbers that Hypothesis can draw and shrink."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from hypothesis import strategies as st

from tests.acceptance.programs import REWARDS

DAY_SECONDS: Final = 86_400
RECENT: Final = (0, 60, DAY_SECONDS)
# Some 32 and 44 days ago: always in another month than now, and within the window.
LONG_AGO: Final = (32 * DAY_SECONDS, 44 * DAY_SECONDS)
OUT_OF_WINDOW: Final = (46 * DAY_SECONDS, 400 * DAY_SECONDS, -DAY_SECONDS)
FIELDS: Final = (
    "kind",
    "member",
    "card",
    "occurred_at",
    "another month",
    "out of window",
    "store_id",
    "terminal_id",
    "receipt_id",
    "total_minor",
    "lines",
    "spelled out",
    "redeem_points",
    "reward_ids",
    "offline",
    "points",
    "original",
)

Name = Literal["member_id", "card", "phone", "blocked card", "replaced card", "spare card"]
SaleKind = Literal["accrue", "redeem", "checkout"]
Alteration = Literal["", "token", "request"]
DeskCall = Literal["enrol", "get", "add", "replace", "block", "unblock"]
FollowUpKind = Literal["capture", "void", "reverse", "return"]


class Who(NamedTuple):
    """`member` counts the client's members, the last two of which are closed and do not exist yet."""

    member: int
    name: Name


class Sale(NamedTuple):
    """A sale under a key of its own.

    `cuts` are where the receipt is cut into lines, in thousandths of it.
    """

    kind: SaleKind
    who: Who
    total_minor: int
    cuts: list[int]
    redeem_points: int
    rewards: list[str]
    is_offline: bool
    age_seconds: int


class Hold(NamedTuple):
    who: Who
    points: int
    hold_seconds: int
    age_seconds: int


class Adjust(NamedTuple):
    who: Who
    points: int
    reason: int
    age_seconds: int


class FollowUp(NamedTuple):
    """Of an earlier call that it suits, counted from the last one back and round; `is_astray`: of any call.

    `back` are lines and quantities of a return, `points` those of a capture.
    """

    kind: FollowUpKind
    target: int
    is_astray: bool
    points: int
    back: list[tuple[int, int]]
    age_seconds: int


New = Sale | Hold | Adjust


class Repeat(NamedTuple):
    """An earlier call again, counted from the last one back."""

    target: int


class Change(NamedTuple):
    """The key of an earlier call, with another value in one field."""

    target: int
    field: str


class Invalid(NamedTuple):
    """An earlier call again, without its store or reason."""

    target: int


Intent = New | FollowUp | Repeat | Change | Invalid


class Batch(NamedTuple):
    intents: list[Intent]


class Stream(NamedTuple):
    messages: list[list[Intent]]


class Quote(NamedTuple):
    """A preview of a sale."""

    sale: Sale


class Agreement(NamedTuple):
    """A quote of a checkout, whatever else meanwhile, and the checkout with the token of the quote.

    `altered` says what of the checkout is not as quoted.
    """

    sale: Sale
    meanwhile: list[Intent]
    altered: Alteration


class AtDesk(NamedTuple):
    """A call of MemberService; `new` counts the member whose spare card is added or takes another's place."""

    call: DeskCall
    who: Who
    new: int


class LetRunOut(NamedTuple):
    """A hold, and then nothing until its time is over."""

    who: Who
    points: int


class Presume(NamedTuple):
    """An adjustment by a till, which may not."""

    adjust: Adjust


class LookUp(NamedTuple):
    target: int


class ReadBalance(NamedTuple):
    member: int
    name: Name


class ReadHistory(NamedTuple):
    member: int
    page_size: int


Step = (
    Intent
    | Batch
    | Stream
    | Quote
    | Agreement
    | AtDesk
    | LetRunOut
    | Presume
    | LookUp
    | ReadBalance
    | ReadHistory
)

members: Final = st.integers(0, 1)
# The last two are closed and unknown.
any_members: Final = st.integers(0, 3)
targets: Final = st.integers(0, 5)
ages: Final = st.sampled_from((*RECENT, *LONG_AGO))
good_names: Final[st.SearchStrategy[Name]] = st.sampled_from(["member_id", "member_id", "card", "phone"])
# What the others are called by stays as it is, so that calls that race are all recorded.
bad_names: Final[st.SearchStrategy[Name]] = st.sampled_from(["blocked card", "replaced card", "spare card"])
any_names: Final[st.SearchStrategy[Name]] = good_names | bad_names
desk_calls: Final[st.SearchStrategy[DeskCall]] = st.sampled_from(
    ["enrol", "get", "add", "add", "replace", "replace", "block", "unblock"]
)
good: Final = st.builds(Who, members, good_names)
strange: Final = st.builds(Who, any_members, good_names) | st.builds(Who, members, bad_names)

totals: Final = (
    st.integers(1, 3_000)
    | st.integers(1, 100_000)
    | st.sampled_from([100_000, 3_500_000, 700_000_000])
    | st.integers(1, 100_000_000_000)
)
redemptions: Final = st.one_of(
    st.just(0),
    st.just(0),
    st.integers(1, 40),
    st.sampled_from([99, 100, 500, 1_000]) | st.integers(1, 10**12),
)
some_points: Final = st.integers(1, 40) | st.sampled_from([100, 1_000, 2_500, 50_000])
some_offline: Final = st.integers(0, 3).map(lambda number: number == 3)
no_rewards: Final[st.SearchStrategy[list[str]]] = st.just([])
rewards: Final = st.one_of(
    no_rewards, no_rewards, no_rewards, st.lists(st.sampled_from(REWARDS), max_size=2, unique=True)
)
returned: Final = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([1, 333, 500, 1_000])),
    min_size=1,
    max_size=3,
    unique_by=lambda line: line[0],
)


def sales(
    *,
    who: st.SearchStrategy[Who] = good,
    kinds: tuple[SaleKind, ...] = ("accrue", "checkout", "accrue", "checkout", "redeem"),
    age: st.SearchStrategy[int] = ages,
    offline: st.SearchStrategy[bool] = some_offline,
) -> st.SearchStrategy[Sale]:
    return st.builds(
        Sale,
        kind=st.sampled_from(kinds),
        who=who,
        total_minor=totals,
        cuts=st.lists(st.integers(0, 1_000), max_size=3),
        redeem_points=redemptions,
        rewards=rewards,
        is_offline=offline,
        age_seconds=age,
    )


def holds(who: st.SearchStrategy[Who] = good) -> st.SearchStrategy[Hold]:
    seconds = st.sampled_from([0, 3_600, 31_000_000])
    return st.builds(Hold, who=who, points=some_points, hold_seconds=seconds, age_seconds=ages)


def adjustments(who: st.SearchStrategy[Who] = good) -> st.SearchStrategy[Adjust]:
    points = st.one_of(some_points, some_points, some_points.map(lambda number: -number))
    return st.builds(Adjust, who=who, points=points, reason=st.integers(1, 6), age_seconds=ages)


def news(who: st.SearchStrategy[Who] = good) -> st.SearchStrategy[Any]:
    """Calls that stand for themselves."""
    return st.one_of(sales(who=who), sales(who=who), holds(who), adjustments(who))


follow_ups: Final = st.builds(
    FollowUp,
    kind=st.sampled_from(["capture", "void", "reverse", "return", "return"]),
    target=st.integers(0, 3),
    is_astray=st.integers(0, 9).map(lambda number: number == 9),
    points=st.just(0) | some_points,
    back=returned,
    age_seconds=ages,
)
strange_news: Final = news(strange) | sales(age=st.sampled_from(OUT_OF_WINDOW))
_intents: Final[st.SearchStrategy[Intent]] = st.one_of(
    news(),
    news(),
    follow_ups,
    follow_ups,
    st.builds(Repeat, targets),
    st.builds(Change, targets, st.sampled_from(FIELDS)),
    st.one_of(strange_news, st.builds(Invalid, targets)),
)


# Hypothesis tells of what it draws from by name: written out, the whole would be longer than a book.
@st.composite
def an_intent(draw: st.DrawFn) -> Intent:
    return draw(_intents)


intents: Final = an_intent()


@st.composite
def stories(draw: st.DrawFn) -> list[Intent]:
    """A member gets points, buys something or holds points for it, and thinks better of it."""
    who = st.just(draw(good))
    told: list[Intent] = [draw(adjustments(who))]
    told += draw(st.lists(sales(who=who) | holds(who), min_size=1, max_size=3))
    return told + draw(st.lists(follow_ups, min_size=1, max_size=4))


@st.composite
def at_desk(draw: st.DrawFn) -> AtDesk:
    call = draw(desk_calls)
    names = any_names if call in ("get", "add") else bad_names
    who = Who(draw(any_members), draw(names))
    # A card does not take its own place.
    others = [member for member in (0, 1) if who != Who(member, "spare card")]
    return AtDesk(call, who, draw(st.sampled_from(others)))


alterations: Final[st.SearchStrategy[Alteration]] = st.sampled_from(["", "", "", "token", "request"])
quoted: Final = sales(
    who=good | strange, kinds=("checkout",), age=st.sampled_from(RECENT), offline=st.just(value=False)
)
_steps: Final[st.SearchStrategy[Step]] = st.one_of(
    intents,
    intents,
    st.builds(Batch, st.lists(intents, min_size=1, max_size=12)),
    at_desk(),
    st.builds(Stream, st.lists(st.lists(intents, min_size=1, max_size=5), min_size=1, max_size=4)),
    st.one_of(
        st.builds(Quote, quoted),
        st.builds(
            Agreement,
            quoted,
            st.lists(intents, max_size=1),
            alterations,
        ),
    ),
    st.one_of(
        st.builds(LookUp, targets),
        st.builds(ReadBalance, members, good_names),
        st.builds(ReadHistory, members, st.integers(1, 4)),
        st.builds(Presume, adjustments()),
        st.builds(LetRunOut, good, st.integers(5, 40)),
    ),
)


@st.composite
def a_step(draw: st.DrawFn) -> Step:
    return draw(_steps)


scripts: Final = st.lists(a_step(), min_size=1, max_size=6)


@st.composite
def second_thoughts(draw: st.DrawFn) -> list[Step]:
    """What was agreed on may have changed before it is done, and what was held may be free again."""
    who = st.just(draw(good))
    checkouts = sales(who=who, kinds=("checkout",), age=st.just(0), offline=st.just(value=False))
    meanwhile = draw(sales(who=who) | adjustments(who))
    told: list[Step] = [draw(adjustments(who)), Agreement(draw(checkouts), [meanwhile], draw(alterations))]
    if draw(st.integers(0, 2)) == 0:
        told += [LetRunOut(draw(who), draw(st.integers(5, 40))), draw(follow_ups)]
    return told


# One after the other, all in one message, or each in a message of its own.
tales: Final[st.SearchStrategy[Sequence[Step]]] = st.one_of(
    stories(),
    stories().map(lambda story: [Batch(story)]),
    stories().map(lambda story: [Stream([[intent] for intent in story])]),
    second_thoughts(),
)
