"""The runbook pages, and the queries and commands that stand in them."""

import re
from pathlib import Path
from typing import Final

from tests.alerts.rules import REPOSITORY

PAGES: Final = sorted((REPOSITORY / "docs/runbooks").glob("*.md"))
OBJECTIVES: Final = REPOSITORY / "docs/slo.md"


def blocks(page: Path, language: str) -> list[str]:
    """The page's fenced blocks of that language, without their indentation in lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indentation}", "", block, flags=re.MULTILINE) for indentation, block in found]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ .*$", page.read_text(), re.MULTILINE)


def links(page: Path) -> list[str]:
    """Targets of the page's links that stay within the repository."""
    return [link for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """What the page says to run of the command line: the words before the first argument, and the options."""
    found = re.findall(r"loyalty-processor ([a-z]+(?: [a-z]+)*)([^`\n]*)", page.read_text())
    return [(words, re.findall(r"--[a-z-]+", rest)) for words, rest in found]
