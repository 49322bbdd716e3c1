"""Does what a Dockerfile says in root directories, without a container engine. Needs root.

Knows the instructions and forms that this project's file uses, and fails at any other.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

from tests.rootfs import make_base

# What engines hand to every RUN by themselves (proxies), and how this system's pip reaches its index.
_PASSED_ON: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_", "SSL_CERT_")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A container's view: its own root, /proc and process ids; the first process is the one that is named.
_ENTER: Final = 'mount -t proc proc "$1/proc" && shift && exec chroot "$@"'
_ENTER_READ_ONLY: Final = (
    'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t tmpfs tmpfs "$1/tmp" && ' + _ENTER
)


@dataclass
class Image:
    """A root directory, and what is said of it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)
    user: str = "0:0"
    directory: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_command: list[str] = field(default_factory=list)

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the image to its end, as its user, with a root that is read-only."""
        return subprocess.run(self.enter(command, environment), capture_output=True, text=True, check=False)

    def enter(
        self, command: Sequence[str], environment: Mapping[str, str], *, script: str = _ENTER_READ_ONLY
    ) -> list[str]:
        """The command line that does so."""
        variables = [f"{name}={value}" for name, value in {**self.environment, **environment}.items()]
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        chroot = [f"--userspec={self.user}", str(self.root)]
        inside = ["/usr/bin/env", "-i", f"--chdir={self.directory}", *variables, *command]
        return [*namespaces, "sh", "-c", script, "sh", str(self.root), *chroot, *inside]


class Build:
    """The stages of a Dockerfile, each in a directory of its own below `directory`."""

    def __init__(self, context: Path, directory: Path) -> None:
        self._context = context
        self._directory = directory
        patterns = (context / ".dockerignore").read_text().splitlines()
        self._sent: set[str] = exclude_paths(context, patterns)
        self._arguments: dict[str, str] = {}
        self._stages: dict[str, Image] = {}
        self._image: Image | None = None

    def run(self) -> Image:
        """Carry out all instructions; returns the last stage."""
        (self._directory / "base").mkdir()
        make_base(self._directory / "base")
        for line in DockerfileParser(str(self._context / "Dockerfile")).structure:
            if line["instruction"] != "COMMENT":
                getattr(self, f"_{line['instruction'].lower()}")(line["value"])
        return self._stage

    @property
    def _stage(self) -> Image:
        assert self._image is not None, "FROM comes first"
        return self._image

    def _from(self, value: str) -> None:
        """Every stage begins with the same base: it is Python's image, whichever."""
        base, _, name = Template(value).substitute(self._arguments).partition(" AS ")
        assert base.startswith("python:"), base
        root = self._directory / (name or "last")
        subprocess.run(["cp", "-a", self._directory / "base", root], check=True)
        self._image = self._stages[name] = Image(root)

    def _arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        scope = self._image.arguments if self._image else self._arguments
        scope[name] = default

    def _env(self, value: str) -> None:
        self._stage.environment.update(self._pairs(value))

    def _label(self, value: str) -> None:
        self._stage.labels.update(self._pairs(value))

    def _workdir(self, value: str) -> None:
        self._stage.directory = value
        self._inside(value).mkdir(parents=True, exist_ok=True)

    def _copy(self, value: str) -> None:
        *sources, target = shlex.split(value)
        origin = self._context
        if sources[0].startswith("--from="):
            origin = self._stages[sources.pop(0).removeprefix("--from=")].root
        for source in sources:
            self._copy_tree(origin, source.lstrip("/"), self._inside(target) / self._name_in(source, target))

    @staticmethod
    def _name_in(source: str, target: str) -> str:
        """A target that ends with / is a directory for the sources, else it is the copy itself."""
        return Path(source).name if target.endswith("/") else ""

    def _copy_tree(self, origin: Path, source: str, target: Path) -> None:
        if origin != self._context:
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--no-target-directory", origin / source, target], check=True)
            return
        for name in sorted(self._sent):
            if Path(name).is_relative_to(source) and (origin / name).is_file():
                copy = target / Path(name).relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin / name, copy)

    def _run(self, value: str) -> None:
        passed_on = {name: text for name, text in os.environ.items() if name.upper().startswith(_PASSED_ON)}
        command = ["/bin/sh", "-c", value]
        done = subprocess.run(
            self._stage.enter(command, passed_on, script=_ENTER), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"RUN {value}\n{done.stdout}\n{done.stderr}"

    def _user(self, value: str) -> None:
        self._stage.user = value

    def _expose(self, value: str) -> None:
        self._stage.ports = value.split()

    def _healthcheck(self, value: str) -> None:
        self._stage.health_command = json.loads(value.partition("CMD ")[2])

    def _entrypoint(self, value: str) -> None:
        self._stage.entrypoint = json.loads(value)

    def _cmd(self, value: str) -> None:
        self._stage.command = json.loads(value)

    def _inside(self, path: str) -> Path:
        return self._stage.root / (Path(self._stage.directory) / path).relative_to("/")

    def _pairs(self, value: str) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in shlex.split(self._expand(value)))

    def _expand(self, value: str) -> str:
        return Template(value).substitute(self._stage.arguments, **self._stage.environment)
