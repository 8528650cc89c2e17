"""How much memory a step takes: the most that its process had at one moment, by the kernel's own account."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dev.runner import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dev.runner import Stage
    from dev.runner.launch import Host, Launch
    from dev.runner.metadata import Metadata

# Between the replay and the step, because only a parent is told, and only for all its children together.
_PARENT = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as note:
    note.write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """Runs a step as `Process` does; how much memory it took is noted in a file when it has ended."""

    note: Path

    def prepare(self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]) -> Launch:
        """The command that runs `stage`, and measures it."""
        launch = Process().prepare(stage, metadata, host, env)
        python, *rest = launch.argv
        return replace(launch, argv=(python, "-I", "-c", _PARENT, str(self.note), python, *rest))

    @property
    def mebibytes(self) -> float:
        """The most memory that the step's process had at one moment."""
        return int(self.note.read_text()) * _UNIT / 2**20
