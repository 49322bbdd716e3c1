"""Program files: what they mean, and what is said of those that mean nothing."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from processor.domain.program import Program, Rounding, RoundingScope
from processor.domain.program_document import DEFAULT_PROGRAM, ProgramDocument, program_from_document
from processor.program_file import ProgramFileError, format_program, parse_program, program_schema
from tests.documents import merge_patch

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "program.yaml"
RICH = DOCS / "program-rich.yaml"
GOOD = """\
earning:
  points_per_step: 1
  step_minor: 10000
  rounding: down
  rounding_scope: receipt
redemption:
  value_points: 1
  value_minor: 100
  minimum_points: 1
  maximum_share_percent: 50
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ProgramFileError) as caught:
        parse_program(text)
    return [
        f"{place.line}:{place.column}: {path}: {message}" for place, path, message in caught.value.problems
    ]


def test_the_example_is_the_default_program() -> None:
    assert parse_program(EXAMPLE.read_text()) == (DEFAULT_PROGRAM, None)


def test_what_is_written_is_read_again() -> None:
    text = format_program(DEFAULT_PROGRAM, 1_800_000_000_123_456)
    assert parse_program(text) == (DEFAULT_PROGRAM, 1_800_000_000_123_456)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_taken_in_any_indentation(indent: int | str | None) -> None:
    assert parse_program(json.dumps(DEFAULT_PROGRAM, indent=indent)).document == DEFAULT_PROGRAM


def test_the_rich_example_has_every_section_and_is_read_again() -> None:
    document = parse_program(RICH.read_text()).document
    assert set(document) == set(ProgramDocument.__annotations__)
    assert parse_program(format_program(document, 1_800_000_000_000_000)).document == document
    jsonschema.validate(document, program_schema())


def examples() -> list[str]:
    """What docs/programs.md shows."""
    return re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "programs.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", examples())
def test_what_the_page_of_rules_shows_is_taken(example: str) -> None:
    document = merge_patch({**DEFAULT_PROGRAM}, yaml.safe_load(example))
    parse_program(json.dumps(document))


def test_the_page_of_rules_shows_every_key() -> None:
    shown = set(re.findall(r"\w+(?=:)", "".join(examples())))
    sections = [program_schema(), *program_schema()["$defs"].values()]
    known = {key for section in sections for key in section["properties"]}
    assert known - shown == {"effective_from"}


def test_a_plain_document_becomes_the_rules() -> None:
    program = program_from_document(3, 7, parse_program(GOOD).document)
    assert program == Program(3, 7, 1, 10_000, Rounding.DOWN, RoundingScope.RECEIPT, 1, 100, 1, 50)


def test_without_redemption_points_pay_nothing() -> None:
    parsed = parse_program(GOOD.partition("redemption")[0])
    assert "redemption" not in parsed.document
    assert program_from_document(1, 0, parsed.document).maximum_share_percent == 0


@pytest.mark.parametrize(
    "written, time_us",
    [
        ("2027-01-01T00:00:00Z", 1_798_761_600_000_000),
        ("'2027-01-01T03:00:00.000001+03:00'", 1_798_761_600_000_001),
        ("2027-01-01 00:00:00z", 1_798_761_600_000_000),
    ],
)
def test_effective_from_is_a_time_with_its_offset(written: str, time_us: int) -> None:
    assert parse_program(f"{GOOD}effective_from: {written}\n").effective_from_us == time_us


@pytest.mark.parametrize(
    "written", ["2027-01-01", "2027-01-01T00:00:00", "2027-02-30T00:00:00Z", "1", "soon"]
)
def test_no_other_time_is_taken(written: str) -> None:
    [problem] = problems(f"{GOOD}effective_from: {written}\n")
    assert problem.startswith("11:17: effective_from: must be an RFC 3339 time from 2000 to 2199, such as")


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace("10000", "abc")
        .replace("rounding: down", "rounding: up")
        .replace("value_minor", "value_mino")
        .replace("50", "150")
    )
    assert problems(text) == [
        '3:15: earning.step_minor: must be a whole number from 1 to 100,000,000,000, not "abc"',
        '4:13: earning.rounding: must be down, half_up or half_even, not "up"',
        "6:1: redemption.value_minor: is missing: must be a whole number from 1 to 1,000,000",
        "8:3: redemption.value_mino: is unknown: did you mean value_minor?",
        "10:26: redemption.maximum_share_percent: must be a whole number from 1 to 100, not 150",
    ]


def test_a_key_given_twice_is_refused() -> None:
    assert problems(GOOD + "  value_minor: 7\n") == [
        "11:3: redemption.value_minor: is given twice, first in line 8"
    ]


def test_points_too_small_to_be_worth_anything_are_refused() -> None:
    assert problems(GOOD.replace("value_points: 1", "value_points: 301")) == [
        "9:19: redemption.minimum_points: must be at least 4: fewer points are worth less than one minor unit"
    ]


def test_a_share_of_nothing_is_refused_with_the_way_to_say_it() -> None:
    [problem] = problems(GOOD.replace("50", "0"))
    assert problem.endswith("from 1 to 100, not 0; leave redemption out to allow none")


@pytest.mark.parametrize("number", ["010", "1e3", "1_000", "1.5", "yes", "'1'", "1:30", "", "9" * 5000])
def test_only_plain_decimal_whole_numbers_are_numbers(number: str) -> None:
    [problem] = problems(GOOD.replace("10000", number))
    assert "earning.step_minor: must be a whole number from 1 to 100,000,000,000, not " in problem


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "1:1: : is empty"),
        ("hello", '1:1: : must be a mapping of earning, redemption, ..., not "hello"'),
        ("[1, 2", "1:6: : is not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: &x 1\nb: *x", "2:4: : is not valid YAML: aliases are not taken here"),
        ("a: 1\n---\nb: 2", "2:1: : is not valid YAML: but found another document"),
        ("a:\n  b: \0", "2:6: : is not valid YAML: special characters are not allowed"),
        ("[" * 5000, "1:1: : is nested too deeply"),
    ],
)
def test_what_is_no_document_is_told_where(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_sections_of_another_shape_are_told() -> None:
    known = "timezone, earning, redemption, rewards, discount, tiers, lots, limits, holds, returns, offline"
    assert problems("redemption:\nearning: [1]\nfoo: 1\n? [1]\n: 2\n") == [
        '1:12: redemption: must be a mapping of value_points, value_minor, ..., not ""',
        "2:10: earning: must be a mapping of points_per_step, step_minor, ..., not a list",
        f"3:1: foo: is unknown: known here are {known}, members, effective_from",
        "4:3: : a key must be a word",
    ]


WRONG_REWARDS = """\
rewards:
  - {id: 7, points: 0, product_sku: 4006381333931, segment: x}
  - {points: 1, segments: [a, 'b,']}
  - []
"""


def test_problems_within_lists_are_told_with_their_path() -> None:
    name = "a name of 1 to 64 printable characters without a comma"
    assert problems(GOOD + WRONG_REWARDS) == [
        "12:21: rewards[0].points: must be a whole number from 1 to 1,000,000,000,000, not 0",
        "12:52: rewards[0].segment: is unknown: did you mean segments?",
        "13:5: rewards[1].id: is missing: must be a text of 1 to 64 printable characters",
        f'13:31: rewards[1].segments[1]: must be {name}, not "b,"',
        "14:5: rewards[2]: must be a mapping of id, points, ..., not a list",
    ]


def test_an_unquoted_number_is_a_text_where_a_text_is_wanted() -> None:
    parsed = parse_program(f"{GOOD}rewards: [{{id: 7, points: 1, product_sku: 4006381333931}}]\n")
    assert parsed.document["rewards"] == [{"id": "7", "points": 1, "product_sku": "4006381333931"}]


@pytest.mark.parametrize("written", ["yes", "'true'", "1", "True", ""])
def test_only_true_and_false_are_truth_values(written: str) -> None:
    [problem] = problems(f"{GOOD}members: {{enrol_on_first_use: {written}}}\n")
    assert "members.enrol_on_first_use: must be true or false, not " in problem
