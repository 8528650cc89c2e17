"""CPU time of running processes, from /proc. It must not know what they do.

The scheduler's nanoseconds where available, and ticks of 10 ms for finished threads and for child
processes that were waited for.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dev.processes import alive

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")


def of_session(leader: int) -> float:
    """Return the CPU seconds of a session's processes and their descendants."""
    return of(alive({leader}))


def below(leader: int) -> float:
    """Return the CPU seconds as `of_session`, without the leader's own."""
    return of(alive({leader}) - {leader})


def of(pids: Iterable[int]) -> float:
    """Return the CPU seconds of these processes and of the children that they waited for."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += _of_one(Path(f"/proc/{pid}"))
    return total


def _of_one(folder: Path) -> float:
    fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    own, waited_for = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    living = sum(int(file.read_text().split()[0]) for file in folder.glob("task/*/schedstat"))
    return max(living / 1e9, own / _TICKS) + waited_for / _TICKS
