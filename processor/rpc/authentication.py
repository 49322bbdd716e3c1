"""API keys: from the metadata of a call to its caller, without a round trip to the database."""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from processor.domain.api_key import parse_api_key, secret_matches
from processor.domain.chain import ApiKey, Chain
from processor.domain.failures import StorageUnavailable
from processor.domain.outcomes import Outcome
from processor.rpc.status import Refused

Metadata = Iterable[tuple[str, str | bytes]]

# The name in the metadata; of several values the first counts.
AUTHORIZATION: Final = "authorization"

_SCHEME: Final = "bearer "
_VERIFIED_MAX: Final = 10_000
_REFRESH_SECONDS_MIN: Final = 1.0


class KeyDirectory(Protocol):
    """The API keys in force as this process knows them."""

    def key(self, key_id: str) -> ApiKey | None:
        """The key, unless it is unknown or revoked."""
        ...

    def chain(self, chain_id: int) -> Chain:
        """The chain of a key; KeyError if there is none."""
        ...

    async def refresh(self) -> None:
        """Read anew what has changed. Raises StorageUnavailable."""
        ...


class Authenticator:
    """Tells who makes a call, and of which chain, by the API key."""

    def __init__(self, directory: KeyDirectory) -> None:
        self._directory = directory
        # A header that was verified once needs no hashing again while its very key is in force.
        self._verified: dict[str, ApiKey] = {}
        self._refresh_after = 0.0
        self._refreshing: asyncio.Task[bool] | None = None

    async def caller(self, metadata: Metadata) -> ApiKey:
        """The key that a call's metadata presents. Raises Refused."""
        return self.known_caller(metadata) or await self._verify(authorization_of(metadata))

    def known_caller(self, metadata: Metadata) -> ApiKey | None:
        """The same if it was verified before and is in force: that takes no waiting."""
        known = self._verified.get(authorization_of(metadata))
        return known if known and self._directory.key(known.key_id) is known else None

    def chain_name(self, chain_id: int) -> str:
        """The name of a chain that a key was found for."""
        return self._directory.chain(chain_id).name

    async def _verify(self, header: str) -> ApiKey:
        parsed = parse_api_key(header[len(_SCHEME) :].strip())
        if not parsed or not header.lower().startswith(_SCHEME):
            raise Refused(Outcome.API_KEY_INVALID if header else Outcome.API_KEY_MISSING)
        key_id, secret = parsed
        key = self._directory.key(key_id) or await self._look_again(key_id)
        if not key or not secret_matches(secret, key.secret_sha256):
            raise Refused(Outcome.API_KEY_INVALID)
        self._remember(header, key)
        return key

    async def _look_again(self, key_id: str) -> ApiKey | None:
        """Find a key that was made a moment ago; all who wait for such keys share one refresh."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        if not await asyncio.shield(self._refreshing):
            raise Refused(Outcome.STORAGE_UNAVAILABLE)
        return self._directory.key(key_id)

    async def _refresh(self) -> bool:
        """Refresh, but not too soon after the last time: guessed keys cost one query a second."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._refresh_after - loop.time())
        self._refresh_after = loop.time() + _REFRESH_SECONDS_MIN
        try:
            await self._directory.refresh()
        except StorageUnavailable:
            return False
        return True

    def _remember(self, header: str, key: ApiKey) -> None:
        if len(self._verified) >= _VERIFIED_MAX:
            self._verified.clear()
        self._verified[header] = key


def authorization_of(metadata: Metadata) -> str:
    """The credentials as they were sent; "" if there are none."""
    for name, value in metadata:
        if name == AUTHORIZATION:
            return value if isinstance(value, str) else ""
    return ""
