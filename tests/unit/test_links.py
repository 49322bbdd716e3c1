"""The links of the documents: each leads to a file of the repository, and to its heading if it names one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """Where the relative links of a document lead: the file, and the heading or an empty text."""
    for target in LINK.findall(CODE.sub("", document.read_text())):
        if not re.match(r"[a-z]+:", target):
            path, _, heading = target.partition("#")
            yield (document.parent / path if path else document), heading


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as they are made of their texts."""
    found = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [
        f"{file}#{heading}"
        for file, heading in links(document)
        if not file.exists() or (heading and heading not in headings(file))
    ]
    assert broken == []
