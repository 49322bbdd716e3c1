"""PostgreSQL's plans as EXPLAIN gives them."""

from collections.abc import Iterator, Mapping
from typing import Any


def nodes(plan: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a plan, however deep."""
    if isinstance(plan, dict):
        yield plan
        for inner in plan.values():
            yield from nodes(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from nodes(inner)
