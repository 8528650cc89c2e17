"""Turn a tool's resource use into the figures of its row, for all scenes.

It must not know how a scene works.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dev.airflow_install import InstallError
from dev.airflow_settings import ROOT
from dev.bench.install import install, mebibytes, version
from dev.bench.results import Result, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dev.bench.runner import BenchRunner
    from dev.bench.tools import Tool
    from dev.bench.waiter import ResourceUse, Waiter


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's options.

    Attributes:
        repetitions: number of repetitions
        only: names of tools, or their beginnings; empty for all of the scene's
    """

    repetitions: int = 5
    only: tuple[str, ...] = ()


class Scoreboard:
    """The rows of one scene during the measurement."""

    def __init__(self, tools: Sequence[Tool], options: Options) -> None:
        chosen = [one for one in tools if not options.only or one.name.startswith(options.only)]
        self.rows = {one.name: Row() for one in chosen}
        self.tools = [one for one in chosen if self._installed(one)]
        self._began = time.monotonic()
        self._date = datetime.now(UTC).date().isoformat()

    def score(self, row: Row, use: ResourceUse, ended_at: float | None) -> None:
        """Add one run of a tool to its row."""
        row.add("cpu_to_trigger", use.cpu_to_trigger)
        row.add("cpu", use.cpu)
        row.add("requests", use.kinds.total())
        row.add("kib", use.carried / 1024)
        row.add("peak", use.peak)
        row.kinds.append(dict(use.kinds))
        if ended_at is not None:
            row.add("seen_after", use.reported_at - ended_at)
            row.add("exited_after", use.exited_at - ended_at)

    def check(
        self,
        row: Row,
        waiter: Waiter,
        use: ResourceUse,
        *,
        success: bool,
        printed: str | None = None,
    ) -> None:
        """Record a fault if the result was wrong, or the expected text is missing."""
        if (use.exit_code == 0) is not success:
            row.faults.append(f"exit code {use.exit_code}: {waiter.tail[-600:]}")
        elif printed is not None and not waiter.printed(printed):
            row.faults.append(f"did not say {printed!r}")

    def result(
        self, scene: str, title: str, runner: BenchRunner, notes: list[str], base: str | None = None
    ) -> Result:
        """Return the scene's result."""
        versions = {
            "Airflow": runner.description,
            "Python": platform.python_version(),
            "this action": commit(),
        }
        for one in self.tools:
            if one.environment:
                self.rows[one.name].add("installed", mebibytes(one.environment))
                if one.package:
                    versions[one.package] = version(one.environment, one.package)
        minutes = (time.monotonic() - self._began) / 60
        return Result(scene, title, self._date, minutes, versions, notes, self.rows, base)

    def _installed(self, tool: Tool) -> bool:
        try:
            if tool.environment:
                install(tool.environment)
        except InstallError as error:
            self.rows[tool.name].faults.append(f"could not be installed: {error}")
            return False
        return True


def say(text: str) -> None:
    """Print progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def commit() -> str:
    """Return the commit of the work tree."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, changed"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or "unknown"
