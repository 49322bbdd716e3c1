"""The methods that apply one operation: each differs by the request that it reads, and by nothing else."""

from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from processor.call import Call, CallGroup
from processor.domain.chain import ApiKey, Role
from processor.domain.command import Command, Kind
from processor.domain.outcomes import Outcome
from processor.ports import Reply
from processor.rpc.decode import decode
from processor.rpc.status import Refused

M = TypeVar("M", bound=Message)

_ADJUST: Final = Kind.ADJUST


class CommandQueue(Protocol):
    """Where commands are applied: the batcher."""

    async def submit(self, chain_id: int, commands: Sequence[Command], deadline: float) -> list[Reply]:
        """Apply commands of one chain and return their replies, in order."""
        ...

    def offer(self, chain_id: int, call: Call) -> bool:
        """Queue a call at once; False if that can't be: then its command is to be submitted."""
        ...


class WriteMethod(Generic[M]):
    """Calls of one method; the request is bytes, the reply's body too."""

    def __init__(self, queue: CommandQueue, request_type: type[M], convert: Callable[[M], Command]) -> None:
        self.queue = queue
        self._request_type = request_type
        self._convert = convert

    async def __call__(self, caller: ApiKey, data: bytes, deadline: float) -> Reply:
        """Apply the operation. Raises Refused."""
        group = CallGroup((self.read(caller, data),), deadline)
        [call] = group.calls
        # Nearly always there is room and nothing to look up, and then it is queued with less around it.
        replies = await (
            group.replies()
            if self.queue.offer(caller.chain_id, call)
            else self.queue.submit(caller.chain_id, (call.command,), deadline)
        )
        return replies[0]

    def read(self, caller: ApiKey, data: bytes) -> Command:
        """The command of a request. Raises Refused."""
        command = self._convert(decode(self._request_type, data))
        check_role(caller, command)
        return command


def check_role(caller: ApiKey, command: Command) -> None:
    """Raises Refused."""
    if command.kind is _ADJUST and caller.role is not Role.OPERATOR:
        raise Refused(Outcome.CALLER_NOT_ALLOWED)
