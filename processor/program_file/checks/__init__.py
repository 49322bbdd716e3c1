"""Contradictions: rules that are well written and still can't be meant, because they could never apply."""

from collections.abc import Iterator

from processor.domain.program_document import ProgramDocument
from processor.program_file.checks.contradiction import Contradiction
from processor.program_file.checks.discount import check_discount
from processor.program_file.checks.earning import check_earning
from processor.program_file.checks.limits import check_limits
from processor.program_file.checks.lots import check_lots, check_returns
from processor.program_file.checks.redemption import (
    check_holds,
    check_offline,
    check_redemption,
    check_rewards,
)
from processor.program_file.checks.tiers import check_tiers

_CHECKS = (
    check_earning,
    check_redemption,
    check_rewards,
    check_discount,
    check_tiers,
    check_lots,
    check_limits,
    check_holds,
    check_returns,
    check_offline,
)


def contradictions(document: ProgramDocument) -> Iterator[Contradiction]:
    """All there are in a document whose shape is right."""
    for check in _CHECKS:
        yield from check(document)
