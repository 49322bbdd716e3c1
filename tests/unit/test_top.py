"""From two scrapes to figures, and their view."""

import pytest
from rich.console import Console
from rich.text import Text

from processor.top import format as formatted
from processor.top.figures import Figures, compute
from processor.top.rates import Change, Quantiles, quantile
from processor.top.scrape import Scrape, ScrapeError, parse
from processor.top.view import view

INFINITE = float("inf")
HISTOGRAMS = (
    "grpc_server_handling_seconds",
    "loyalty_queue_wait_seconds",
    "loyalty_batch_seconds",
    "loyalty_commit_seconds",
)


def scrape(text: str, at_seconds: float) -> Scrape:
    return parse(f"loyalty_workers 2\n{text}", "here")._replace(at_seconds=at_seconds)


def change(before: str, after: str, seconds: float = 2) -> Change:
    return Change(scrape(before, 10), scrape(after, 10 + seconds))


def test_rates_are_by_the_second_and_summed_up() -> None:
    counted = change('a_total{x="1"} 4\na_total{x="2"} 10', 'a_total{x="1"} 8\na_total{x="2"} 10')
    assert counted.rate("a_total") == 2
    assert counted.rate("a_total", x="2") == 0
    assert counted.rate("absent_total") == 0


def test_a_counter_that_is_new_or_fell_counts_from_nothing() -> None:
    counted = change('a_total{x="1"} 40', 'a_total{x="1"} 6\na_total{x="2"} 4')
    assert counted.increase("a_total", x="1") == 6
    assert counted.increase("a_total", x="2") == 4


def test_rates_by_a_label_are_the_highest_first_without_those_at_rest() -> None:
    counted = change(
        'a_total{x="rest"} 4\na_total{x="few"} 0',
        'a_total{x="rest"} 4\na_total{x="few"} 2\na_total{x="many"} 6',
    )
    assert list(counted.rates_by("a_total", "x").items()) == [("many", 3), ("few", 1)]


@pytest.mark.parametrize(
    "share, expected",
    [(0.25, 0.05), (0.5, 0.1), (0.75, 0.55), (0.9, 0.82), (1, 1)],
)
def test_within_a_bucket_observations_are_spread_evenly(share: float, expected: float) -> None:
    assert quantile(share, {0.1: 50, 1: 100, INFINITE: 100}) == pytest.approx(expected)


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    assert quantile(0.99, {0.1: 1, 1: 2, INFINITE: 100}) == 1


def test_of_no_observation_there_is_no_quantile() -> None:
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {0.1: 0, INFINITE: 0}) is None


def test_quantiles_and_means_are_of_what_was_observed_between_the_scrapes() -> None:
    earlier = 'h_bucket{le="1.0"} 900\nh_bucket{le="2.0"} 900\nh_bucket{le="+Inf"} 900\nh_sum 90\nh_count 900'
    later = (
        'h_bucket{le="1.0"} 900\nh_bucket{le="2.0"} 1000\nh_bucket{le="+Inf"} 1000\nh_sum 290\nh_count 1000'
    )
    observed = change(earlier, later)
    assert observed.quantiles("h") == Quantiles(1.5, 1.95, 1.99)
    assert observed.mean("h") == 2
    assert change(later, later).quantiles("h") == Quantiles(None, None, None)
    assert change(later, later).mean("h") is None


@pytest.mark.parametrize("text", ["<html>", "up 1\n", "", "loyalty_workers{ 1"])
def test_what_is_not_ours_is_told_in_one_line(text: str) -> None:
    with pytest.raises(ScrapeError, match="http://x answers, but not as a loyalty-processor: name a"):
        parse(text, "http://x")


@pytest.mark.parametrize(
    "shown, expected",
    [
        (formatted.count(None), "-"),
        (formatted.count(0), "0"),
        (formatted.count(0.25), "0.25"),
        (formatted.count(1_234_567), "1.23M"),
        (formatted.count(999_900), "1000k"),
        (formatted.size(1_536), "1.5 KiB"),
        (formatted.size(5), "5 B"),
        (formatted.seconds(0.00123), "1.23 ms"),
        (formatted.seconds(200_000), "2.31 d"),
        (formatted.seconds(0), "0 µs"),
        (formatted.share(0.1234), "12.3%"),
    ],
)
def test_people_read_three_digits_and_a_unit(shown: str, expected: str) -> None:
    assert shown == expected


# --- the whole of it --------------------------------------------------------------------------------


def exported(chains: int, operations: int) -> str:
    """What a server exports, as far as `top` reads it, after so many operations of each chain."""
    refused = operations // 10
    of_chains = "".join(
        f'loyalty_operations_total{{chain="c{chain}",kind="accrue",outcome="APPLIED"}} {operations}\n'
        f'loyalty_operations_total{{chain="c{chain}",kind="redeem",outcome="QUEUE_FULL"}} {refused}\n'
        f'loyalty_replays_total{{chain="c{chain}",kind="accrue"}} {operations // 5}\n'
        f'loyalty_points_issued_total{{chain="c{chain}"}} {7 * operations}\n'
        f'loyalty_outstanding_points{{chain="c{chain}"}} {1_000 + chain}\n'
        for chain in range(chains)
    )
    histograms = "".join(
        f'{name}_bucket{{le="0.001"}} {operations // 3}\n'
        f'{name}_bucket{{le="0.123"}} {operations}\n'
        f'{name}_bucket{{le="+Inf"}} {operations}\n'
        f"{name}_sum {operations / 30}\n"
        f"{name}_count {operations}\n"
        for name in HISTOGRAMS
    )
    return (
        f"{of_chains}{histograms}"
        "loyalty_workers_serving 1\n"
        'loyalty_build_info{version="1.2.3"} 1\n'
        'loyalty_worker_restarts_total{worker="0"} 3\n'
        'loyalty_worker_restarts_total{worker="1"} 0\n'
        f'loyalty_worker_cpu_seconds_total{{worker="0"}} {operations / 11}\n'
        'loyalty_worker_resident_bytes{worker="0"} 123456789\n'
        'loyalty_pool_connections{state="used"} 12\n'
        'loyalty_pool_connections{state="idle"} 14\n'
        "loyalty_partitions 14\n"
        "loyalty_partition_runway_seconds 8560000\n"
        "loyalty_account_dead_tuples 123456\n"
        f'loyalty_batch_operations_bucket{{le="1000.0"}} {operations}\n'
        f"loyalty_batch_operations_sum {operations * 234}\n"
        f"loyalty_batch_operations_count {operations}\n"
        "loyalty_database_up 1\n"
        "loyalty_sync_standbys 0\n"
        "loyalty_sync_standbys_wanted 1\n"
        'loyalty_replica_lag_seconds{replica="b"} 0.25\n'
        f'grpc_server_handled_total{{grpc_code="OK"}} {operations}\n'
    )


def figures(chains: int = 3) -> Figures:
    return compute(scrape(exported(chains, 100), 10), scrape(exported(chains, 200), 20))


def test_the_figures_are_those_of_the_catalogue() -> None:
    found = figures()
    assert (found.version, found.workers_serving, found.workers_wanted) == ("1.2.3", 1, 2)
    assert found.traffic.operations == 33
    assert found.traffic.replays == 6
    assert found.traffic.refusals == {"QUEUE_FULL": 3}
    assert found.traffic.failed_calls == {}
    assert found.database.replica_lag_seconds == {"b": 0.25}
    assert [(worker.worker, worker.cpu, worker.restarts) for worker in found.workers] == [
        ("0", pytest.approx(10 / 11), 3),
        ("1", 0, 0),
    ]
    chain = found.chains[1]
    assert (chain.chain, chain.operations, chain.refusals, chain.replays) == ("c1", 11, 1, 2)
    assert (chain.issued_points, chain.redeemed_points, chain.outstanding_points) == (70, 0, 1_001)


def drawn(found: Figures, width: int, height: int, notice: str = "q quits") -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(view(found, "http://127.0.0.1:9464/metrics", Text(notice), height), height=height)
    return capture.get().splitlines()


def test_all_of_it_fits_on_80_columns_and_24_lines() -> None:
    lines = drawn(figures(), 80, 24)
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for shown in ("33/s operations", "q quits", "QUEUE_FULL", "0/1 sync", "workers 1/2", "c2"):
        assert shown in text
    assert "…" not in text


def test_chains_that_do_not_fit_are_said_to_be_hidden_and_a_higher_terminal_shows_them() -> None:
    assert any("8 not shown" in line for line in drawn(figures(12), 80, 24))
    high = "\n".join(drawn(figures(12), 80, 40))
    assert "not shown" not in high
    assert all(f" c{number} " in high for number in range(12))


def test_a_server_that_is_away_is_told_beside_its_last_figures() -> None:
    assert "it is away" in drawn(figures(), 100, 24, notice="it is away")[0]
