"""What a lane applies at a time: the calls of one chain or of several."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from processor.call import Call
from processor.domain.operation import Operation
from processor.domain.outcomes import Outcome


class Share:
    """The calls of one chain in a batch, in order.

    `uncertain` holds, by key, their operations whose commit had an unknown outcome.
    """

    __slots__ = ("calls", "chain_id", "uncertain")

    def __init__(self, chain_id: int, calls: Sequence[Call]) -> None:
        self.chain_id = chain_id
        self.calls = calls
        self.uncertain: dict[str, Operation] = {}

    @property
    def waited_since(self) -> float:
        """When the first of the calls arrived, in the event loop's seconds."""
        return self.calls[0].arrived

    def doubt(self, operations: Iterable[Operation]) -> None:
        """Note that these may be committed."""
        self.uncertain.update((operation.idempotency_key, operation) for operation in operations)

    @property
    def if_given_up(self) -> Outcome:
        """What the calls are to be told if it is not run again."""
        return Outcome.OUTCOME_UNKNOWN if self.uncertain else Outcome.STORAGE_UNAVAILABLE

    def halves(self) -> Iterator["Share"]:
        """The same calls in two."""
        middle = len(self.calls) // 2
        for calls in (self.calls[:middle], self.calls[middle:]):
            half = Share(self.chain_id, calls)
            keys = {call.command.idempotency_key for call in calls}
            half.doubt(operation for key, operation in self.uncertain.items() if key in keys)
            yield half


class Batch:
    """Shares of different chains, to be applied in one transaction.

    What can't be applied in one with others is `set_aside`, to become a batch of its own.
    """

    __slots__ = ("set_aside", "shares")

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = shares
        self.set_aside: list[Share] = []

    @property
    def calls(self) -> list[Call]:
        """The calls of all shares but those that are set aside."""
        return [call for share in self.shares for call in share.calls]

    @property
    def ops(self) -> int:
        """How many those are."""
        return sum([len(share.calls) for share in self.shares])

    @property
    def chain_ids(self) -> list[int]:
        """The chains of those shares."""
        return [share.chain_id for share in self.shares]

    @property
    def is_uncertain(self) -> bool:
        """Whether some of it may be committed."""
        return any(share.uncertain for share in self.shares)

    def put_aside(self, chain_ids: Collection[int]) -> None:
        """Go on without these chains."""
        self.set_aside += [share for share in self.shares if share.chain_id in chain_ids]
        self.shares = [share for share in self.shares if share.chain_id not in chain_ids]

    def halves(self) -> list["Batch"]:
        """The same calls in two batches; of one chain's, each has half."""
        if len(self.shares) == 1:
            return [Batch([half]) for half in self.shares[0].halves()]
        middle = len(self.shares) // 2
        return [Batch(self.shares[:middle]), Batch(self.shares[middle:])]
