"""A retail chain: the tenant, its window of accepted times, its rules and its API keys."""

from enum import StrEnum
from typing import NamedTuple

from processor.domain.program import Program, program_in_force


class Chain(NamedTuple):
    """A chain as every process knows it; `programs` is never empty and ascends by version."""

    chain_id: int
    name: str
    window_back_seconds: int
    window_ahead_seconds: int
    programs: tuple[Program, ...]

    def program_at(self, at_us: int) -> Program:
        """The version of the rules in force at a time."""
        return program_in_force(self.programs, at_us)

    def window_us(self, now_us: int) -> tuple[int, int]:
        """The earliest and latest occurred_at that a new operation may have, in microseconds."""
        return (
            now_us - self.window_back_seconds * 1_000_000,
            now_us + self.window_ahead_seconds * 1_000_000,
        )


class Role(StrEnum):
    """What the bearer of an API key may do: an operator may adjust points too."""

    TILL = "till"
    OPERATOR = "operator"


class ApiKey(NamedTuple):
    """A key in force; of its secret only the 32 bytes of its SHA-256 are known."""

    key_id: str
    chain_id: int
    secret_sha256: bytes
    role: Role = Role.TILL
