"""Measure the CPU seconds and the peak memory of a command, as reported by the kernel.

A small process runs between the measuring process and the command, because the kernel reports usage
to a parent only, for all its children together, and because a child starts with the peak memory of
its parent.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PARENT = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as note:
    note.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""
_UNIT = 1 if sys.platform == "darwin" else 1024


def measured(argv: Sequence[str], note: Path) -> tuple[str, ...]:
    """Return a command that runs `argv` and writes its usage to `note`.

    The exit code is that of `argv`, whose first item is a path.
    """
    return (sys.executable, "-I", "-S", "-c", _PARENT, str(note), *argv)


def used(note: Path) -> tuple[float, float]:
    """Return the CPU seconds of a finished command, and its peak memory in MiB."""
    seconds, most = note.read_text().split()
    return float(seconds), int(most) * _UNIT / 2**20
