"""Whose card is whose, as far as this process has seen: what brings all calls of a member into one lane.

A guess, for the order of calls alone: who a card belongs to is decided within the transaction.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from processor.domain.command import Command
from processor.domain.failures import StorageFailure
from processor.ports import CardReader

_CARDS_MAX: Final = 200_000
_NOBODY: Final = 0


class CardBook:
    """Remembers up to 200,000 cards, and begins anew when there are more."""

    def __init__(self, reader: CardReader) -> None:
        self._reader = reader
        self._members: dict[tuple[int, str], int] = {}
        self._one_learns = asyncio.Lock()

    def must_learn(self, chain_id: int, commands: Sequence[Command]) -> bool:
        """Whether a card is new, or somebody before is still learning: nobody overtakes."""
        return self._one_learns.locked() or bool(self._unknown(chain_id, commands))

    async def learn(self, chain_id: int, commands: Sequence[Command]) -> None:
        """Look up the cards that are new, one request after another."""
        async with self._one_learns:
            unknown = self._unknown(chain_id, commands)
            if not unknown:
                return
            try:
                found = await self._reader.members_by_card(chain_id, unknown)
            except StorageFailure:
                return  # the batch itself will meet it, and tell
            if len(self._members) + len(unknown) > _CARDS_MAX:
                self._members.clear()
            self._members.update(((chain_id, card), found.get(card, _NOBODY)) for card in unknown)

    def identity(self, chain_id: int, command: Command) -> int:
        """A number that is the same for all calls of a member."""
        if not command.card:
            return command.member_id
        return self._members.get((chain_id, command.card)) or crc32(command.card.encode())

    def _unknown(self, chain_id: int, commands: Sequence[Command]) -> list[str]:
        cards = (command.card for command in commands if command.card)
        return [card for card in cards if (chain_id, card) not in self._members]
