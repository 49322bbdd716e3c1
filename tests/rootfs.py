"""A root directory from this system: a shell, the core utilities and a Python, as slim images have."""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from zipfile import ZipFile

_DIRECTORIES: Final = (
    *("dev", "etc", "proc", "root", "tmp"),
    *("usr/bin", "usr/lib", "usr/lib64", "usr/local/bin", "usr/local/lib"),
)
_PROGRAMS: Final = ("sh", "env", "cat", "chmod", "cp", "id", "ln", "ls", "mkdir", "mv", "rm", "touch")
# Debian has these for programs of its own, and wheels count on them.
_LIBRARIES: Final = (
    *("libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1"),
    *("libnss_dns.so.2", "libnss_files.so.2"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
# How this system reaches its index of packages, as an engine's builds do through the host's network.
_CONFIGURATION: Final = ("etc/hosts", "etc/pip.conf", "etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt")
_DEVICES: Final = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9)}
_NOT_IN_SLIM_IMAGES: Final = ("__pycache__", "site-packages", "test", "idlelib", "config-*")


def make_base(root: Path) -> None:
    """Fill the empty directory `root`; /usr/local/bin/python is the Python that runs the tests, with pip."""
    _make_tree(root)
    _copy_python(root)
    for program in _PROGRAMS:
        shutil.copy2(_find_program(program), root / "usr/bin" / program)
    _copy_libraries(root)
    for name in _CONFIGURATION:
        _copy_if_there(Path("/") / name, root)


def _make_tree(root: Path) -> None:
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/ld.so.conf").write_text("/usr/local/lib\n")
    for name, device in _DEVICES.items():
        os.mknod(root / "dev" / name, stat.S_IFCHR, os.makedev(*device))
        (root / "dev" / name).chmod(0o666)


def _copy_python(root: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    local = root / "usr/local"
    shutil.copy2(Path(sys.base_prefix) / "bin" / version, local / "bin")
    (local / "bin/python").symlink_to(version)
    ignored = shutil.ignore_patterns(*_NOT_IN_SLIM_IMAGES)
    library = local / "lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=ignored)
    shutil.copytree(sysconfig.get_path("include"), local / "include" / version)
    for wheel in (library / "ensurepip/_bundled").glob("*.whl"):
        ZipFile(wheel).extractall(library / "site-packages")


def _find_program(name: str) -> str:
    path = shutil.which(name)
    assert path, f"no {name} on this system"
    return path


def _copy_libraries(root: Path) -> None:
    """All that what is in `root` is linked with, and a linker's cache of them."""
    extensions = (root / "usr/local/lib").glob("python3*/lib-dynload/*.so")
    programs = [*(root / "usr/bin").iterdir(), root / "usr/local/bin/python", *extensions]
    for library in {*_linked(programs), *_installed(_LIBRARIES)}:
        if library.name.startswith("libpython"):
            shutil.copy2(library, root / "usr/local/lib")
        else:
            _copy_if_there(library, root)
    subprocess.run(["ldconfig", "-r", root], check=True)


def _linked(programs: Iterable[Path]) -> set[Path]:
    listing = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", listing)}


def _installed(names: Iterable[str]) -> set[Path]:
    listing = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    return {Path(path) for path in re.findall(r"=> (/\S+)", listing) if Path(path).name in names}


def _copy_if_there(path: Path, root: Path) -> None:
    if path.exists():
        copy = root / path.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
