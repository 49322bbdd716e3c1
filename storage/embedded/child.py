"""Turns itself into a program of PostgreSQL that is not root and that ends with its parent.

A script of the standard library alone, so that it starts at once and needs no import path:

    child.py IDENTITY PARENT_PID DIRECTORY PROGRAM [ARGUMENT ...]

IDENTITY is `caller`, `namespace` or `nobody`. If it cannot become that: one line on stderr, exit code 126.
"""

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
CANNOT_START = 126

_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespace() -> None:
    """Be called `nobody` in a user namespace, while the kernel still sees the caller's own user.

    PostgreSQL refuses user id 0 but looks only at what the namespace tells; files stay the caller's.
    """
    inside, uid, gid = pwd.getpwnam("nobody"), os.geteuid(), os.getegid()
    _check(_libc.unshare(CLONE_NEWUSER))
    # The kernel lets an unprivileged process map its group only once setgroups is given up.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside.pw_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside.pw_gid} {gid} 1")


def become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel send SIGINT, PostgreSQL's fast shutdown, when the parent's spawning thread ends.

    Comes after the change of identity, which clears it.
    """
    _check(_libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT)))
    if os.getppid() != parent_pid:
        raise OSError("the parent process has ended")


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(identity: str, parent_pid: str, directory: str, *command: str) -> None:
    """Never returns: the process becomes `command`, working in `directory`."""
    try:
        if identity == "namespace":
            enter_namespace()
        elif identity == "nobody":
            become_nobody()
        end_with_parent(int(parent_pid))
        os.chdir(directory)
        os.execv(command[0], command)  # noqa: S606
    except (OSError, KeyError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main(*sys.argv[1:])
