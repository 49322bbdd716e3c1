"""Compiles into a wheel what each operation goes through; docs/decisions/0025-compiled-where-it-serves.md."""

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution

# The same compiler wherever this is built, for any processor of the kind that builds it.
_COMPILER = f"{shlex.quote(sys.executable)} -m ziglang cc -mcpu=baseline"
# `make lint` checks the types, with all libraries there; here they need not be.
_MYPY = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--explicit-package-bases")


class CompiledModules(BuildHookInterface[Any]):
    """Adds to the wheel what mypyc makes of the files that match `compiled` and not `not-compiled`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together. Raises SystemExit if a module can't be compiled."""
        if version == "editable":
            return
        self._folder = TemporaryDirectory()
        libraries = _compile(self._modules(), Path(self._folder.name))
        found = {str(path): str(path.relative_to(libraries)) for path in libraries.rglob("*.so")}
        build_data.update(pure_python=False, infer_tag=True)
        build_data["force_include"].update(found)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called when the wheel is there."""
        if version != "editable":
            self._folder.cleanup()

    def _modules(self) -> list[str]:
        compiled, others = self._matching("compiled"), self._matching("not-compiled")
        return sorted(str(path.relative_to(self.root)) for path in compiled - others)

    def _matching(self, option: str) -> set[Path]:
        return {path for pattern in self.config[option] for path in Path(self.root).glob(pattern)}


def _compile(modules: Iterable[str], folder: Path) -> Path:
    """Compile files below the working directory by way of `folder`; returns where the libraries are."""
    os.environ.setdefault("CC", _COMPILER)
    os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = str(folder / "zig")
    extensions = mypycify(
        [*_MYPY, f"--cache-dir={folder / 'mypy'}", *modules],
        opt_level="2",
        debug_level="0",
        multi_file=True,  # all processors at once
        group_name="loyalty",
        target_dir=str(folder / "c"),
    )
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "o")
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()
    return folder / "lib"
