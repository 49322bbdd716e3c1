"""A pod's memory: enough for what its settings allow its processes, computed or given."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from processor.config import Settings, load_settings
from tests.chart.chart import DATABASE, dotted, merged, refusal, server
from tests.chart.generate import README
from tests.server import REPOSITORY

DEPLOYMENT: Final = (REPOSITORY / "docs/deployment.md").read_text()
SCALING: Final = (REPOSITORY / "docs/scaling.md").read_text()
PERFORMANCE: Final = (REPOSITORY / "docs/performance.md").read_text()
TMP_MEBIBYTES: Final = 64
GIBIBYTE: Final = 1 << 30

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "the defaults": {},
    "eight workers": {"workers": 8},
    "native": {"transport": "native"},
    "two native workers": {"transport": "native", "workers": 2},
    "long queues": {"workers": 4, "queue_bytes_max": 8 * GIBIBYTE},
    "short queues": {"queue_bytes_max": 1_024 * 1_024},
    "many calls": {"workers": 3, "calls_max": 100_000},
}
cases = pytest.mark.parametrize("given", SETTINGS.values(), ids=SETTINGS.keys())


def figures(pattern: str, document: str) -> list[int]:
    """The numbers that a sentence of a document has, whatever its lines."""
    [found] = re.findall(re.sub(" ", r"\\s+", pattern), document)
    return [int(number.replace(",", "")) for number in ([found] if isinstance(found, str) else found)]


IDLE, GRPCIO_CALL, NATIVE_CALL = figures(
    r"takes (\d+) MiB when it starts, .+ calls (\d+) KiB \((\d+) with the transport native", DEPLOYMENT
)
[SUPERVISOR] = figures(r"The supervisor takes (\d+)\.", DEPLOYMENT)


def settings_of(given: Mapping[str, Any]) -> Settings:
    return load_settings(dsn="postgresql://a@b/c", **given)


def busy_mebibytes(settings: Settings) -> int:
    """A worker with all its calls, as docs/deployment.md reckons."""
    call = NATIVE_CALL if settings.transport == "native" else GRPCIO_CALL
    return IDLE + -(-settings.calls_max * call // 1_024)


def full_mebibytes(settings: Settings) -> int:
    """The same worker with full queues."""
    return busy_mebibytes(settings) + -(-settings.queue_bytes_max // (1_024 * 1_024))


def most_mebibytes(settings: Settings) -> int:
    """A pod at SIGHUP, when there is a worker more, all of them full."""
    return SUPERVISOR + TMP_MEBIBYTES + (settings.workers + 1) * full_mebibytes(settings)


def resources(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(server(merged(DATABASE, values))["resources"])


def memory(values: Mapping[str, Any]) -> tuple[str, str]:
    """What is requested, and the limit."""
    given = resources(values)
    return given["requests"]["memory"], given["limits"]["memory"]


@cases
def test_what_is_not_given_is_computed_from_the_settings(given: dict[str, Any]) -> None:
    settings = settings_of(given)
    usual = SUPERVISOR + TMP_MEBIBYTES + settings.workers * busy_mebibytes(settings)

    assert memory({"settings": given}) == (f"{usual}Mi", f"{most_mebibytes(settings)}Mi")


@cases
def test_a_limit_below_it_is_refused_and_one_that_is_just_enough_is_taken(given: dict[str, Any]) -> None:
    needed = most_mebibytes(settings_of(given))
    limit = {"settings": given, "resources": {"limits": {"memory": f"{needed}Mi"}}}
    less = merged(limit, dotted("resources.limits.memory", f"{needed - 1}Mi"))

    assert memory(limit)[1] == f"{needed}Mi"
    assert (
        f"resources.limits.memory is {needed - 1}Mi: workers would be killed under load; it needs {needed}Mi"
        in (refusal(merged(DATABASE, less)))
    )


@pytest.mark.parametrize(
    "limit",
    [
        "512Mi",
        "0.5Gi",
        "500M",
        "600000Ki",
        536_870_912,
        "536870912",
        "512e6",
        "5.1E+8",
        "900000000000m",
        ".5G",
        "+1G",
    ],
)
def test_a_limit_that_is_too_low_is_refused_in_every_unit(limit: str | int) -> None:
    said = refusal(merged(DATABASE, dotted("resources.limits.memory", limit)))

    assert f"resources.limits.memory is {limit}: workers would be killed under load" in said


@pytest.mark.parametrize(
    "limit",
    [
        "2Gi",
        "2G",
        "1.1Gi",
        "1100000Ki",
        1_200_000_000,
        "1200000000",
        "1.2e9",
        "12E+8",
        "2000000000000m",
        "2.G",
    ]
    + [f"0.01{unit}" for unit in ("T", "Ti", "P", "Pi", "E", "Ei")],
)
def test_a_limit_that_is_enough_is_taken_in_every_unit(limit: str | int) -> None:
    assert memory(dotted("resources.limits.memory", limit))[1] == limit


@pytest.mark.parametrize("limit", ["1KiB", "1e", "1K", "1 Gi", "-1Gi", "1.2.3", ".", "Gi", "1e1.5"])
def test_what_is_no_quantity_is_refused_by_the_schema(limit: str) -> None:
    assert "does not match pattern" in refusal(merged(DATABASE, dotted("resources.limits.memory", limit)))


def test_the_limit_is_never_below_a_request_that_is_given() -> None:
    assert memory(dotted("resources.requests.memory", "1.5G")) == ("1.5G", "1.5G")
    assert memory(dotted("resources.requests.memory", "100Mi")) == ("100Mi", "992Mi")


@pytest.mark.parametrize(
    "path, present",
    [
        ("resources.limits.memory", {"requests": {"cpu": "1", "memory": "307Mi"}, "limits": {}}),
        ("resources.requests.memory", {"requests": {"cpu": "1"}, "limits": {"memory": "992Mi"}}),
        ("resources.limits", {"requests": {"cpu": "1", "memory": "307Mi"}}),
        ("resources", {}),
    ],
)
def test_null_leaves_out_what_would_be_computed(path: str, present: dict[str, Any]) -> None:
    assert resources(dotted(path, None)) == present


def test_no_worker_took_more_under_overload_than_is_reckoned() -> None:
    batches, grpcio, native = (
        max(figures(pattern, PERFORMANCE))
        for pattern in (
            r"(\d+) and (\d+) MiB under batches",
            r"(\d+) and (\d+) under unary calls over grpcio",
            r"and (\d+) and (\d+) over the native transport",
        )
    )
    defaults = settings_of({})

    assert grpcio <= busy_mebibytes(defaults)
    assert native <= busy_mebibytes(settings_of({"transport": "native"}))
    # These are waiting operations too, of which each is reckoned at 2 KiB.
    assert batches <= busy_mebibytes(defaults) + defaults.queue_ops_max * 2 // 1_024


def test_the_documents_say_what_the_defaults_come_to() -> None:
    defaults = settings_of({})

    assert figures(
        r"(\d+) MiB at the most with the defaults, (\d+) of them without the queues", DEPLOYMENT
    ) == [full_mebibytes(defaults), busy_mebibytes(defaults)]
    requested, limit = memory({})
    readme = README.read_text()
    assert f"with the defaults {requested} are requested, which all calls take" in readme
    assert f"and {limit} are the limit, with full queues and the spare worker of SIGHUP" in readme


@pytest.mark.parametrize(
    "workers, text", [(1, r"([\d,]+) MiB with one worker"), (2, r"([\d,]+) MiB with two")]
)
def test_the_pods_of_the_sizing_have_the_memory_that_it_says(workers: int, text: str) -> None:
    assert figures(text, SCALING) == [most_mebibytes(settings_of({"workers": workers}))]
