"""What a call must have before it is looked at, and how many may be under way at a time."""

from processor.domain.chain import ApiKey
from processor.domain.outcomes import Outcome
from processor.rpc.authentication import Authenticator, Metadata
from processor.rpc.places import Places
from processor.rpc.status import Refused, Violation


class Admission:
    """Credentials, sizes and places, for all methods of a server together."""

    def __init__(self, authenticator: Authenticator, *, message_bytes_max: int, calls_max: int) -> None:
        self._authenticator = authenticator
        self._message_bytes_max = message_bytes_max
        self.places = Places(calls_max)

    async def caller(self, metadata: Metadata) -> ApiKey:
        """Who calls. Raises Refused."""
        return await self._authenticator.caller(metadata)

    def known_caller(self, metadata: Metadata) -> ApiKey | None:
        """The same without waiting; None if `caller` would have to wait, or refuse."""
        return self._authenticator.known_caller(metadata)

    def chain_name(self, caller: ApiKey) -> str:
        """The name of the caller's chain."""
        return self._authenticator.chain_name(caller.chain_id)

    def check(self, data: bytes) -> None:
        """Raises Refused if a message is too large."""
        if len(data) > self._message_bytes_max:
            problem = Violation("", f"must have at most {self._message_bytes_max} bytes, not {len(data)}")
            raise Refused(Outcome.INVALID_REQUEST, violations=[problem])
