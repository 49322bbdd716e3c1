"""Every setting as a flag of a command, so that flags, variables and defaults are described once."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from processor.cli.options import AsJson, EnvFile
from processor.cli.output import print_json, print_table
from processor.config import ENVIRONMENT_PREFIX, Settings, effective, load_settings


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command of `**flags` one option for each setting; those not given are None.

    They are texts here: `load_settings` checks them and says what they must be.
    """
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name))
        for name in Settings.model_fields
    ]
    parameters = [*own, *flags]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _option(name: str) -> Any:
    field = Settings.model_fields[name]
    default = "" if field.is_required() or field.default is None else f", default: {field.default}"
    note = escape(f"{field.description} [{ENVIRONMENT_PREFIX}{name.upper()}{default}]")
    return Annotated[str | None, typer.Option(help=note, show_default=False, metavar="VALUE")]


@takes_settings
def config(*, env_file: EnvFile = None, as_json: AsJson = False, **flags: str | None) -> None:
    """Check the settings and print them as they are in force, secrets hidden."""
    values = effective(load_settings(env_file, **flags))
    if as_json:
        print_json({value.name: value.value for value in values})
    else:
        print_table(
            ("setting", "value", "from"),
            [(name, "" if value is None else value, source) for name, value, source in values],
        )
