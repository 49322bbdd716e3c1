"""CPU time as the operating system accounts for it."""

from contextlib import suppress

import psutil


def tree_seconds(pid: int) -> float:
    """User and system time of a process, of its descendants, and of those that have ended and been reaped."""
    root = psutil.Process(pid)
    return sum(map(_seconds, (*root.children(recursive=True), root)))


def _seconds(process: psutil.Process) -> float:
    # One that has ended meanwhile is in its parent's account.
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system
    return 0.0
