"""Writes what can be derived: the README's table of values, and the schema of `settings` from the service.

`python -m tests.chart.generate` after a change to either.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from processor.config import Settings

CHART: Final = Path(__file__).parents[2] / "helm/loyalty-processor"
README: Final = CHART / "README.md"
SCHEMA: Final = CHART / "values.schema.json"
VALUES: Final = CHART / "values.yaml"

# Settings that other values decide.
DECIDED_ELSEWHERE: Final = {
    "dsn",
    "host",
    "http_host",
    "http_port",
    "port",
    "tls_cert_file",
    "tls_client_ca_file",
    "tls_key_file",
}
# Those that the grace period is computed from.
REQUIRED: Final = ("drain_seconds", "stop_seconds")

_BEGIN: Final = "<!-- values: begin (written by `python -m tests.chart.generate`) -->\n"
_END: Final = "<!-- values: end -->\n"
_DOCUMENTED: Final = "# -- "


class Undocumented(Exception):
    """A value that nobody has described."""


class Value(NamedTuple):
    """A row of the table; `default` is JSON."""

    path: str
    default: str
    description: str


def readme() -> str:
    """README.md with the present table."""
    before, _, rest = README.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    rows = (
        f"| `{value.path}` | `{value.default}` | {value.description} |\n" for value in documented_values()
    )
    return (
        before + _BEGIN + "| value | default | what it is |\n|---|---|---|\n" + "".join(rows) + _END + after
    )


def documented_values() -> Iterator[Value]:
    """Every value of the chart. Raises Undocumented."""
    text = VALUES.read_text()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    yield from _values(root, text.splitlines(), "")


def _values(mapping: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key, node in mapping.value:
        path = prefix + key.value
        if description := _description(lines, key.start_mark.line):
            default = json.dumps(yaml.SafeLoader("").construct_document(node))
            yield Value(path, default, description)
        elif isinstance(node, yaml.MappingNode) and node.value:
            yield from _values(node, lines, path + ".")
        else:
            raise Undocumented(path)


def _description(lines: list[str], line: int) -> str:
    """The comment above a line, if it begins with "# -- "."""
    comment: list[str] = []
    for text in reversed(lines[:line]):
        if not text.lstrip().startswith("# "):
            break
        comment.insert(0, text.strip())
        if text.lstrip().startswith(_DOCUMENTED):
            return " ".join(part.removeprefix(_DOCUMENTED).removeprefix("# ") for part in comment)
    return ""


def schema() -> dict[str, Any]:
    """values.schema.json with the present settings."""
    whole: dict[str, Any] = json.loads(SCHEMA.read_text())
    whole["properties"]["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "required": list(REQUIRED),
        "properties": settings_properties(),
    }
    return whole


def settings_properties() -> dict[str, Any]:
    """The JSON Schema of each setting that `settings` may hold."""
    properties = Settings.model_json_schema()["properties"]
    return {
        name: {key: value for key, value in property_.items() if key not in {"default", "title"}}
        for name, property_ in properties.items()
        if name not in DECIDED_ELSEWHERE
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    README.write_text(readme())
    SCHEMA.write_text(schema_text())
