"""How much memory a step takes: the most that its process had at one moment, by the kernel's own
account.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dev.runner import Process
from dev.usage import measured, used

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dev.runner import Stage
    from dev.runner.launch import Host, Launch
    from dev.runner.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Measured:
    """Runs a step as `Process` does; how much memory it took is noted in a file when it has
    ended.
    """

    note: Path

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """The command that runs `stage`, and measures it."""
        launch = Process().prepare(stage, metadata, host, env)
        return replace(launch, argv=measured(launch.argv, self.note))

    @property
    def mebibytes(self) -> float:
        """The most memory that the step's process had at one moment."""
        return used(self.note)[1]
