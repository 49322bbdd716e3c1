"""What a till may want, in small numbers that Hypothesis can draw and shrink."""

from typing import Final, Literal, NamedTuple

from hypothesis import strategies as st

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
)

Kind = Literal["accrue", "redeem", "checkout"]


class New(NamedTuple):
    """A sale under a key of its own. `member` counts the client's members, the last of which does not exist.

    `cuts` are where the receipt is cut into lines, in thousandths of it.
    """

    kind: Kind
    member: int
    by_card: bool
    total_minor: int
    cuts: list[int]
    redeem_points: int
    age_seconds: int


class Repeat(NamedTuple):
    """An earlier call again, counted from the last one back."""

    target: int


class Change(NamedTuple):
    """The key of an earlier call, with another value in one field."""

    target: int
    field: str


class Invalid(NamedTuple):
    """An earlier call again, without its store."""

    target: int


Intent = New | Repeat | Change | Invalid


class Batch(NamedTuple):
    intents: list[Intent]


class Stream(NamedTuple):
    messages: list[list[Intent]]


class LookUp(NamedTuple):
    target: int


class ReadBalance(NamedTuple):
    member: int
    by_card: bool


class ReadHistory(NamedTuple):
    member: int
    page_size: int


Step = Intent | Batch | Stream | LookUp | ReadBalance | ReadHistory

kinds: Final = st.sampled_from(["accrue", "redeem", "checkout"])
totals: Final = (
    st.integers(1, 3_000)
    | st.sampled_from([100_000, 3_500_000, 700_000_000])
    | st.integers(1, 100_000_000_000)
)
redemptions: Final = st.integers(1, 40) | st.sampled_from([99, 100, 1_000]) | st.integers(1, 10**12)
members: Final = st.integers(0, 1)
targets: Final = st.integers(0, 5)


def news(
    *, member: st.SearchStrategy[int] = members, ages: tuple[int, ...] = (*RECENT, *LONG_AGO)
) -> st.SearchStrategy[New]:
    return st.builds(
        New,
        kind=kinds,
        member=member,
        by_card=st.booleans(),
        total_minor=totals,
        cuts=st.lists(st.integers(0, 1_000), max_size=3),
        redeem_points=redemptions,
        age_seconds=st.sampled_from(ages),
    )


strange_news: Final = news(member=st.just(2)) | news(ages=OUT_OF_WINDOW)
intents: Final = st.one_of(
    news(),
    news(),
    st.builds(Repeat, targets),
    st.builds(Change, targets, st.sampled_from(FIELDS)),
    st.one_of(strange_news, st.builds(Invalid, targets)),
)
steps: Final = st.one_of(
    intents,
    intents,
    st.builds(Batch, st.lists(intents, min_size=1, max_size=12)),
    st.builds(Stream, st.lists(st.lists(intents, min_size=1, max_size=5), min_size=1, max_size=4)),
    st.one_of(
        st.builds(LookUp, targets),
        st.builds(ReadBalance, members, st.booleans()),
        st.builds(ReadHistory, members, st.integers(1, 4)),
    ),
)
scripts: Final = st.lists(steps, min_size=1, max_size=6)
