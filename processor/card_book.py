"""Whose card is whose, as far as this process has seen: what brings all calls of a member into one lane.

A guess, for the order of calls alone: who a card belongs to is decided within the transaction.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

from processor.domain.command import Command
from processor.domain.failures import StorageFailure
from processor.ports import CardReader

_CARDS_MAX: Final = 200_000
# A card of nobody's is looked up again after this time: its member may have been enrolled.
STRANGER_SECONDS: Final = 1.0


class CardBook:
    """Remembers up to 200,000 cards, and begins anew when there are more."""

    def __init__(self, reader: CardReader, stranger_seconds: float = STRANGER_SECONDS) -> None:
        self._reader = reader
        self._stranger_seconds = stranger_seconds
        self._members: dict[tuple[int, str], int] = {}
        self._strangers_until: dict[tuple[int, str], float] = {}
        # How many requests wait for cards to be looked up.
        self.learning = 0
        self._one_learns = asyncio.Lock()

    def must_learn(self, chain_id: int, commands: Sequence[Command]) -> bool:
        """Whether a card is new, or somebody before is still learning: nobody overtakes."""
        return self.learning > 0 or bool(self._unknown(chain_id, commands))

    async def learn(self, chain_id: int, commands: Sequence[Command]) -> None:
        """Look up the cards that are new, one request after another."""
        # The lock itself is free for a moment when it goes from one to the next.
        self.learning += 1
        try:
            async with self._one_learns:
                await self._look_up(chain_id, self._unknown(chain_id, commands))
        finally:
            self.learning -= 1

    async def _look_up(self, chain_id: int, unknown: Sequence[str]) -> None:
        if not unknown:
            return
        try:
            found = await self._reader.members_by_card(chain_id, unknown)
        except StorageFailure:
            return  # the batch itself will meet it, and tell
        self._note(chain_id, unknown, found)

    def _note(self, chain_id: int, looked_up: Sequence[str], found: Mapping[str, int]) -> None:
        if len(self._members) + len(self._strangers_until) + len(looked_up) > _CARDS_MAX:
            self._members.clear()
            self._strangers_until.clear()
        until = asyncio.get_running_loop().time() + self._stranger_seconds
        for card in looked_up:
            if card in found:
                self._members[chain_id, card] = found[card]
                self._strangers_until.pop((chain_id, card), None)
            else:
                self._strangers_until[chain_id, card] = until

    def identity(self, chain_id: int, command: Command) -> int:
        """A number that is the same for all calls of a member."""
        if not command.card:
            return command.member_id
        return self._members.get((chain_id, command.card)) or crc32(command.card.encode())

    def _unknown(self, chain_id: int, commands: Sequence[Command]) -> list[str]:
        unmet = [
            command.card
            for command in commands
            if command.card and (chain_id, command.card) not in self._members
        ]
        if not unmet:
            return []
        now = asyncio.get_running_loop().time()
        return [card for card in unmet if self._strangers_until.get((chain_id, card), 0.0) <= now]
