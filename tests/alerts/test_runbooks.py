"""A page for every alert that can be followed as it stands: links, queries and commands work."""

from pathlib import Path

import asyncpg
import pytest
import yaml
from typer.testing import CliRunner

from processor.cli import app
from tests.alerts.rules import REPOSITORY, Rule, alerts
from tests.alerts.runbooks import OBJECTIVES, PAGES, blocks, commands, headings, links
from tests.promtool import promtool

SECTIONS = ["## What it means", "## How to see it", "## What to do", "## When to escalate"]
NAMES = {alert["alert"] for alert in alerts()}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_leads_to_its_page(alert: Rule) -> None:
    page = REPOSITORY / alert["annotations"]["runbook_url"]

    assert page.stem == alert["alert"]
    assert page.is_file()


def test_every_page_belongs_to_an_alert() -> None:
    assert {page.stem for page in PAGES} == NAMES


@each_page
def test_a_page_says_what_it_means_how_to_see_it_what_to_do_and_when_to_escalate(page: Path) -> None:
    assert headings(page) == [f"# {page.stem}", *SECTIONS]
    assert blocks(page, "promql")


@pytest.mark.parametrize("page", [*PAGES, OBJECTIVES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_objectives_list_every_alert_with_its_severities(name: str) -> None:
    severities = sorted({alert["labels"]["severity"] for alert in alerts() if alert["alert"] == name})

    assert f"| [{name}](runbooks/{name}.md) | {', '.join(severities)} |" in OBJECTIVES.read_text()


def test_prometheus_understands_the_queries(tmp_path: Path) -> None:
    queries = [query for page in [*PAGES, OBJECTIVES] for query in blocks(page, "promql")]
    group = {"name": "pages", "rules": [{"record": f"q{i}", "expr": q} for i, q in enumerate(queries)]}
    file = tmp_path / "pages.yaml"
    file.write_text(yaml.safe_dump({"groups": [group]}))

    checked = promtool("check", "rules", file)

    assert checked.returncode == 0, checked.stdout


@each_page
async def test_postgresql_understands_the_queries(page: Path, owner: asyncpg.Connection) -> None:
    for query in blocks(page, "sql"):
        await owner.fetch(query)


@each_page
def test_the_commands_exist(page: Path) -> None:
    for words, options in commands(page):
        shown = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})

        assert shown.exit_code == 0, words
        assert [option for option in options if option not in shown.output] == []
