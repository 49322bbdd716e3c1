"""Where a member stands. Time does not pass while the model is asked, so no period ends."""

from processor.domain.program_document import ProgramDocument
from processor.domain.program_sections import LevelDocument
from tests.acceptance.reckoning.member import Member


def level_of(program: ProgramDocument, member: Member) -> LevelDocument:
    """The highest level that is reached; a nameless one if there is none."""
    reached = [level for level in _levels(program) if level["threshold"] <= _amount(program, member)]
    return reached[-1] if reached else {"name": "", "threshold": 0}


def standing(program: ProgramDocument, member: Member) -> tuple[str, int, str, int] | None:
    """The fields of a Tier; None without tiers."""
    if "tiers" not in program:
        return None
    names = ["", *(level["name"] for level in _levels(program))]
    number = names.index(level_of(program, member)["name"])
    following = _levels(program)[number : number + 1]
    if not following:
        return names[number], number, "", 0
    return names[number], number, names[number + 1], following[0]["threshold"] - _amount(program, member)


def _levels(program: ProgramDocument) -> list[LevelDocument]:
    return program["tiers"]["levels"] if "tiers" in program else []


def _amount(program: ProgramDocument, member: Member) -> int:
    is_points = "tiers" in program and program["tiers"]["basis"] == "earned_points"
    return member.counted_points if is_points else member.counted_minor
