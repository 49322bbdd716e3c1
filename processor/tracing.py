"""Where a call spends its time, as spans; this is the form that costs nothing because it traces nothing.

`processor.otel_tracing` has the other one, for OpenTelemetry.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class Span(Protocol):
    """A call under way."""

    def describe(self, attributes: Mapping[str, str]) -> None:
        """Add what is known at its end."""
        ...


class Tracing(Protocol):
    """The spans of a worker: one a call, one a batch, linked to each other, and the steps of the batch."""

    def call(self, method: str, metadata: Iterable[tuple[str, object]]) -> AbstractContextManager[Span]:
        """The span of a call of SERVICE/METHOD; its parent is what the caller's W3C `traceparent` names."""
        ...

    def link(self) -> object | None:
        """What a batch needs to link itself with the call being handled; None if that is not sampled."""
        ...

    def batch(self, links: Iterable[object | None]) -> AbstractContextManager[object]:
        """The span of a batch that serves the calls with these links; none if no call is sampled."""
        ...

    def step(self, name: str) -> AbstractContextManager[object]:
        """A part of the batch under way."""
        ...

    def note_step(self, name: str, seconds: float) -> None:
        """A part of the batch under way that has just ended."""
        ...

    def close(self) -> None:
        """Send what has not been sent."""
        ...


class _NoSpan:
    def describe(self, attributes: Mapping[str, str]) -> None:
        """Nobody looks."""


NO_SPAN: Final = nullcontext(_NoSpan())


class NoTracing:
    """Implements Tracing by nothing."""

    def call(self, _method: str, _metadata: Iterable[tuple[str, object]]) -> AbstractContextManager[Span]:
        return NO_SPAN

    def link(self) -> object | None:
        return None

    def batch(self, _links: Iterable[object | None]) -> AbstractContextManager[object]:
        return NO_SPAN

    def step(self, _name: str) -> AbstractContextManager[object]:
        return NO_SPAN

    def note_step(self, name: str, seconds: float) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Nothing is left to send."""


NO_TRACING: Final = NoTracing()
