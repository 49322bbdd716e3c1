"""API keys: their form, and what is known of their secret."""

import pytest

from processor.domain.api_key import format_api_key, hash_secret, parse_api_key, secret_matches

SECRET = "aB3_-" * 8


def test_a_key_is_parsed_into_what_it_was_formatted_from() -> None:
    assert parse_api_key(format_api_key("abc123def456", SECRET)) == ("abc123def456", SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lp_",
        f"lp_abc123def45_{SECRET}",
        f"lp_ABC123def456_{SECRET}",
        f"xx_abc123def456_{SECRET}",
        f" lp_abc123def456_{SECRET}",
        f"lp_abc123def456_{SECRET}\n",
        "lp_abc123def456_short",
        f"lp_abc123def456_{SECRET}é",
        "lp_abc123def456_" + "a" * 129,
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    assert parse_api_key(text) is None


def test_only_the_secret_itself_matches_its_hash() -> None:
    stored = hash_secret(SECRET)
    assert len(stored) == 32
    assert secret_matches(SECRET, stored)
    assert not secret_matches(SECRET[:-1] + "x", stored)
    assert not secret_matches(SECRET + "x", stored)
