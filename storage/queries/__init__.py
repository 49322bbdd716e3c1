"""The named statements of the `.sql` files beside this one."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_queries(subject: str) -> dict[str, str]:
    """Return the statements of `subject`.sql by name, each as written below its `-- name:` line."""
    text = files(__name__).joinpath(f"{subject}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}
