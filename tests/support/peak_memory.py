"""Measure the peak memory of a step's process, as reported by the kernel."""

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
class MeasuredProcess:
    """Run a step like `Process`, and write its peak memory to a file at its end."""

    note: Path

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        launch = Process().prepare(stage, metadata, host, env)
        return replace(launch, argv=measured(launch.argv, self.note))

    @property
    def mebibytes(self) -> float:
        """Peak memory of the step's process in MiB."""
        return used(self.note)[1]
