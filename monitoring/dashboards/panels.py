"""The parts that dashboards are built from: queries, panels, and the frame around them."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Panel,
    Threshold,
    ThresholdsMode,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PanelBuilder = Builder[Panel]

TAG: Final = "loyalty-processor"
HALF: Final = 12
THIRD: Final = 8
QUARTER: Final = 6
SIXTH: Final = 4
_GRAPH_HEIGHT: Final = 8
_STAT_HEIGHT: Final = 4
_SOURCE: Final = DataSourceRef("prometheus", "$datasource")
_QUANTILES: Final = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
_GREEN: Final = "green"
_RED: Final = "red"

# --- queries ----------------------------------------------------------------------------------------

# Installations are told apart by (namespace, job), as the alerts do.
SERVER: Final = 'namespace=~"$namespace", job=~"$job"'
CHAIN: Final = 'chain=~"$chain"'
# As the objectives of the service have them.
WRITES: Final = 'grpc_service=~"loyalty[.]v1[.].*", grpc_method!~"Get.*|List.*|Quote|ProcessStream"'
SINGLE_WRITES: Final = 'grpc_service=~"loyalty[.]v1[.].*", grpc_method!~"Get.*|List.*|Quote|Process.*"'


class Query(NamedTuple):
    """PromQL, and the name of each series that it yields."""

    expression: str
    legend: str


def select(metric: str, *matchers: str) -> str:
    """The series of the servers that the dashboard is set to."""
    return f"{metric}{{{', '.join((SERVER, *matchers))}}}"


def rate(metric: str, *matchers: str, by: str = "") -> str:
    """By the second, summed up."""
    return f"sum by ({by}) (rate({select(metric, *matchers)}[$__rate_interval]))"


def quantile(share: float, histogram: str, *matchers: str, by: str = "") -> str:
    """What that share of the observations does not exceed."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', *matchers, by=labels)})"


def quantiles(histogram: str, *matchers: str) -> list[Query]:
    """The usual three."""
    return [Query(quantile(share, histogram, *matchers), name) for share, name in _QUANTILES]


def mean(histogram: str, *matchers: str) -> str:
    """The mean observation."""
    return f"{rate(f'{histogram}_sum', *matchers)} / {rate(f'{histogram}_count', *matchers)}"


def _target(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range()


# --- panels -----------------------------------------------------------------------------------------


def graph(
    title: str,
    unit: str,
    queries: Iterable[Query],
    about: str,
    *,
    span: int = THIRD,
    limit: float | None = None,
    is_stacked: bool = False,
) -> PanelBuilder:
    """Lines over time; `limit` is where an alert fires."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(_SOURCE)
        .unit(unit)
        .min(0)
        .span(span)
        .height(_GRAPH_HEIGHT)
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(60 if is_stacked else 8)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .targets([_target(query) for query in queries])
    )
    if is_stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if limit is not None:
        panel.thresholds(_limit(limit))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE))
    return panel


def figure(
    title: str,
    unit: str,
    expression: str,
    about: str,
    *,
    span: int = SIXTH,
    bad_above: float | None = None,
    bad_below: float | None = None,
) -> PanelBuilder:
    """One number as it is now, red where an alert fires."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(_SOURCE)
        .unit(unit)
        .span(span)
        .height(_STAT_HEIGHT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .no_value("-")
        .with_target(_target(Query(expression, title)))
    )
    if bad_below is not None:
        panel.thresholds(_limit(bad_below, below=_RED, above=_GREEN))
    else:
        panel.thresholds(_limit(bad_above))
    return panel


def spread(title: str, unit: str, histogram: str, about: str, *matchers: str) -> PanelBuilder:
    """How the observations of a histogram are spread over its buckets, over time."""
    buckets = Query(rate(f"{histogram}_bucket", *matchers, by="le"), "{{le}}")
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(_SOURCE)
        .span(HALF)
        .height(_GRAPH_HEIGHT)
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit("reqps"))
        .with_target(_target(buckets).format(PromQueryFormat.HEATMAP))
    )


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _limit(value: float | None, below: str = _GREEN, above: str = _RED) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color=below)]
    if value is not None:
        steps.append(Threshold(value=value, color=above))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


# --- the frame --------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A heading, and the panels below it from left to right."""

    title: str
    panels: list[PanelBuilder]


def frame(
    uid: str, title: str, about: str, rows: Iterable[Row], *, since: str = "now-3h", refresh: str = "30s"
) -> dashboard.Dashboard:
    """A dashboard with the variables and the links that all of them have."""
    framed = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .time(since, "now")
        .refresh(refresh)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_links_to_the_others())
        .variables(_variables())
    )
    for row in rows:
        framed.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            framed.with_panel(panel)
    return framed


def _links_to_the_others() -> dashboard.DashboardLink:
    links = dashboard.DashboardLink("Loyalty").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return links.as_dropdown(True).include_vars(True).keep_time(True)


def _variables() -> list[Builder[VariableModel]]:
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _choice("namespace", "Namespace", "label_values(loyalty_workers, namespace)"),
        _choice("job", "Job", 'label_values(loyalty_workers{namespace=~"$namespace"}, job)'),
        _choice("chain", "Chain", f"label_values({select('loyalty_operations_total')}, chain)"),
    ]


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Any of the label's values; "All" also takes the series that have no such label."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(_SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all"))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
