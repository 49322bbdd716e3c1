"""The rules that a sale goes through: one file each, which registers itself (see `registry`)."""

from importlib import import_module
from pkgutil import iter_modules

from processor.domain.rules.registry import basic_steps, steps_for

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

__all__ = ["basic_steps", "steps_for"]
