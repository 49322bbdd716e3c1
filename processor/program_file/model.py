"""The shape of a program file: every section, its keys and the values that they take."""

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from processor.domain.limits import (
    AMOUNT_MINOR_MAX,
    BALANCE_POINTS_MAX,
    IDENTIFIER_CHARS_MAX,
    REDEEM_POINTS_MAX,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_MULTIPLIER_PERCENT_MAX: Final = 10_000
_DAYS_MAX: Final = 36_500
_MONTHS_MAX: Final = 1_200
_ROLLING_MONTHS_MAX: Final = 60
_SECONDS_MAX: Final = 366 * 86_400
_HOLDS_MAX: Final = 100


def _whole(least: int, most: int) -> Any:
    return Field(ge=least, le=most, description=f"a whole number from {least:,} to {most:,}")


def _many(most: int, items: str) -> Any:
    return Field(min_length=1, max_length=most, description=f"a list of 1 to {most:,} {items}")


def _mapping(keys: str) -> Any:
    return Field(description=f"a mapping of {keys}")


def _text(description: str) -> Any:
    schema = {"type": ["string", "integer"], "description": description}
    return WithJsonSchema(schema)


def _as_text(value: object) -> object:
    """A SKU of digits alone is read as a number: it is a text here."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError
    return text


def _without_comma(text: str) -> str:
    """Segments are kept between commas."""
    if "," in text:
        raise ValueError
    return _printable(text)


def _unix_us(value: object) -> int:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError from None
    if not 2000 <= moment.year < 2200:
        raise ValueError
    return (moment - EPOCH) // timedelta(microseconds=1)


def _known_timezone(name: str) -> str:
    known = zoneinfo.available_timezones()
    if name in known:
        return name
    nearest = get_close_matches(name, known, n=1)
    hint = f": did you mean {nearest[0]}?" if nearest else ", such as Europe/Berlin"
    raise ValueError(f"must be a time zone of the IANA database{hint}")


Percent: TypeAlias = Annotated[int | None, _whole(1, 100)]
Points: TypeAlias = Annotated[int | None, _whole(1, REDEEM_POINTS_MAX)]
MultiplierPercent: TypeAlias = Annotated[int, _whole(1, _MULTIPLIER_PERCENT_MAX)]
_TEXT_LENGTH: Final = Field(min_length=1, max_length=IDENTIFIER_CHARS_MAX)
Text: TypeAlias = Annotated[
    str,
    _TEXT_LENGTH,
    BeforeValidator(_as_text),
    AfterValidator(_printable),
    _text(f"a text of 1 to {IDENTIFIER_CHARS_MAX} printable characters"),
]
Segment: TypeAlias = Annotated[
    str,
    _TEXT_LENGTH,
    BeforeValidator(_as_text),
    AfterValidator(_without_comma),
    _text(f"a name of 1 to {IDENTIFIER_CHARS_MAX} printable characters without a comma"),
]
Switch: TypeAlias = Annotated[bool | None, Field(description="true or false")]


class Section(BaseModel):
    """Knows all of its keys, and converts nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Goods(Section):
    categories: Annotated[list[Text] | None, _many(1_000, "categories")] = None
    brands: Annotated[list[Text] | None, _many(1_000, "brands")] = None
    skus: Annotated[list[Text] | None, _many(10_000, "SKUs")] = None


Excluded: TypeAlias = Annotated[Goods | None, _mapping("categories, brands and skus")]


class Rate(Section):
    points_per_step: Annotated[int | None, _whole(1, 1_000_000)] = None
    step_minor: Annotated[int | None, _whole(1, AMOUNT_MINOR_MAX)] = None
    cashback_basis_points: Annotated[int | None, _whole(1, 10_000)] = None


class Band(Section):
    from_minor: Annotated[int, _whole(1, AMOUNT_MINOR_MAX)]
    points_per_step: Annotated[int, _whole(1, 1_000_000)]


class SegmentRate(Rate):
    segment: Segment


class Multiplier(Section):
    category: Text | None = None
    brand: Text | None = None
    sku: Text | None = None
    multiplier_percent: MultiplierPercent


class Earning(Rate):
    rounding: Annotated[
        Literal["down", "half_up", "half_even"], Field(description="down, half_up or half_even")
    ]
    rounding_scope: Annotated[Literal["receipt", "line"], Field(description="receipt or line")]
    bands: Annotated[
        list[Annotated[Band, _mapping("from_minor and points_per_step")]] | None, _many(100, "bands")
    ] = None
    segments: Annotated[
        list[Annotated[SegmentRate, _mapping("segment, points_per_step and step_minor")]] | None,
        _many(100, "segments with their rates"),
    ] = None
    multipliers: Annotated[
        list[Annotated[Multiplier, _mapping("category, brand or sku, and multiplier_percent")]] | None,
        _many(10_000, "multipliers"),
    ] = None
    excluded: Excluded = None
    on_redeemed_part: Switch = None


class Redemption(Section):
    value_points: Annotated[int, _whole(1, 1_000_000)]
    value_minor: Annotated[int, _whole(1, 1_000_000)]
    minimum_points: Annotated[int, _whole(1, REDEEM_POINTS_MAX)]
    maximum_share_percent: Annotated[int, _whole(1, 100)]
    maximum_points_per_receipt: Points = None
    maximum_points_per_day: Points = None
    excluded: Excluded = None


class Reward(Section):
    id: Text
    points: Annotated[int, _whole(1, REDEEM_POINTS_MAX)]
    discount_percent: Percent = None
    delivery_category: Text | None = None
    product_sku: Text | None = None
    segments: Annotated[list[Segment] | None, _many(100, "segments")] = None


class SegmentDiscount(Section):
    segment: Segment
    percent: Annotated[int, _whole(1, 100)]


class Discount(Section):
    percent: Percent = None
    segments: Annotated[
        list[Annotated[SegmentDiscount, _mapping("segment and percent")]] | None,
        _many(100, "segments with their discounts"),
    ] = None
    excluded: Excluded = None
    combined_with_points: Switch = None
    combined_with_earning: Switch = None


class Level(Section):
    name: Text
    threshold: Annotated[int, _whole(1, BALANCE_POINTS_MAX)]
    multiplier_percent: Annotated[int | None, _whole(1, _MULTIPLIER_PERCENT_MAX)] = None
    discount_percent: Percent = None


class Tiers(Section):
    basis: Annotated[
        Literal["earned_points", "spent_minor"], Field(description="earned_points or spent_minor")
    ]
    period: Annotated[
        Literal["life", "calendar_year", "calendar_quarter", "calendar_month", "rolling_months"],
        Field(description="life, calendar_year, calendar_quarter, calendar_month or rolling_months"),
    ]
    rolling_months: Annotated[int | None, _whole(1, _ROLLING_MONTHS_MAX)] = None
    downgrade: Annotated[
        Literal["never", "period_end", "one_step"], Field(description="never, period_end or one_step")
    ]
    levels: Annotated[list[Annotated[Level, _mapping("name, threshold, ...")]], _many(20, "levels")]


class Expiry(Section):
    after_days: Annotated[int | None, _whole(0, _DAYS_MAX)] = None
    after_months: Annotated[int | None, _whole(0, _MONTHS_MAX)] = None
    end_of: Annotated[Literal["day", "month", "year"] | None, Field(description="day, month or year")] = None
    sliding_days: Annotated[int | None, _whole(1, _DAYS_MAX)] = None


class Lots(Section):
    pending_days: Annotated[int | None, _whole(1, _DAYS_MAX)] = None
    expiry: Annotated[
        Expiry | None, _mapping("after_days or after_months with end_of, or of sliding_days")
    ] = None


class Limit(Section):
    scope: Annotated[
        Literal["card", "member", "terminal", "store"], Field(description="card, member, terminal or store")
    ]
    period: Annotated[Literal["hour", "day"], Field(description="hour or day")]
    operations: Annotated[int | None, _whole(1, 1_000_000_000)] = None
    earned_points: Points = None
    redeemed_points: Points = None
    action: Annotated[Literal["flag", "refuse"], Field(description="flag or refuse")]


class Holds(Section):
    default_seconds: Annotated[int | None, _whole(1, _SECONDS_MAX)] = None
    maximum_seconds: Annotated[int | None, _whole(1, _SECONDS_MAX)] = None
    open_max: Annotated[int | None, _whole(1, _HOLDS_MAX)] = None


class Returns(Section):
    shortfall: Annotated[
        Literal["allow_negative", "stop_at_zero", "reduce_refund", "pending_only"] | None,
        Field(description="allow_negative, stop_at_zero, reduce_refund or pending_only"),
    ] = None
    expired_lots: Annotated[Literal["restore", "lose"] | None, Field(description="restore or lose")] = None
    grace_days: Annotated[int | None, _whole(1, _DAYS_MAX)] = None


class Offline(Section):
    redeem_points_max: Annotated[int, _whole(1, REDEEM_POINTS_MAX)]
    shortfall: Annotated[
        Literal["record", "allow_negative"] | None, Field(description="record or allow_negative")
    ] = None


class Members(Section):
    enrol_on_first_use: Annotated[bool, Field(description="true or false")]


class ProgramModel(Section):
    """The file as a whole."""

    timezone: Annotated[
        str | None,
        AfterValidator(lambda name: name and _known_timezone(name)),
        Field(description="a time zone of the IANA database, such as Europe/Berlin"),
    ] = None
    earning: Annotated[Earning, _mapping("points_per_step, step_minor, ...")]
    redemption: Annotated[Redemption | None, _mapping("value_points, value_minor, ...")] = None
    rewards: Annotated[list[Annotated[Reward, _mapping("id, points, ...")]] | None, _many(100, "rewards")] = (
        None
    )
    discount: Annotated[Discount | None, _mapping("percent, segments, ...")] = None
    tiers: Annotated[Tiers | None, _mapping("basis, period, levels, ...")] = None
    lots: Annotated[Lots | None, _mapping("pending_days and expiry")] = None
    limits: Annotated[
        list[Annotated[Limit, _mapping("scope, period, action, ...")]] | None, _many(32, "limits")
    ] = None
    holds: Annotated[Holds | None, _mapping("default_seconds, maximum_seconds and open_max")] = None
    returns: Annotated[Returns | None, _mapping("shortfall, expired_lots and grace_days")] = None
    offline: Annotated[Offline | None, _mapping("redeem_points_max and shortfall")] = None
    members: Annotated[Members | None, _mapping("enrol_on_first_use")] = None
    effective_from: Annotated[
        int | None,
        BeforeValidator(_unix_us),
        WithJsonSchema(
            {
                "type": "string",
                "format": "date-time",
                "description": "an RFC 3339 time from 2000 to 2199, such as 2027-01-01T00:00:00Z",
            }
        ),
    ] = None


class _FileSchema(GenerateJsonSchema):
    """What is not required is left out, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        """A key is title enough."""
        return False


@cache
def program_schema() -> dict[str, Any]:
    """The JSON schema of a program file; each `description` says what a value must be."""
    return ProgramModel.model_json_schema(schema_generator=_FileSchema)
