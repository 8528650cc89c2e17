"""From what a contestant has used to the figures of its row, and the frame that all scenes share.

It must not know how a scene is played.
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

    from dev.bench.runner import Arena
    from dev.bench.tools import Contestant
    from dev.bench.waiter import Use, Waiter


@dataclass(frozen=True, slots=True)
class Options:
    """How often, and who: names of contestants or the beginnings of such, empty for all of the
    scene's.
    """

    repetitions: int = 5
    only: tuple[str, ...] = ()


class Scoreboard:
    """The rows of one scene while it is played."""

    def __init__(self, contestants: Sequence[Contestant], options: Options) -> None:
        chosen = [
            one for one in contestants if not options.only or one.name.startswith(options.only)
        ]
        self.rows = {one.name: Row() for one in chosen}
        self.contestants = [one for one in chosen if self._installed(one)]
        self._began = time.monotonic()
        self._date = datetime.now(UTC).date().isoformat()

    def score(self, row: Row, use: Use, ended_at: float | None) -> None:
        """Add one run of one contestant to its row."""
        row.add("cpu_to_trigger", use.cpu_to_trigger)
        row.add("cpu", use.cpu)
        row.add("requests", use.kinds.total())
        row.add("kib", use.carried / 1024)
        row.add("peak", use.peak)
        row.kinds.append(dict(use.kinds))
        if ended_at is not None:
            row.add("seen_after", use.told_at - ended_at)
            row.add("exited_after", use.exited_at - ended_at)

    def check(
        self, row: Row, waiter: Waiter, use: Use, *, success: bool, said: str | None = None
    ) -> None:
        """Note a fault if the verdict was wrong or nothing was triggered."""
        if (use.exit_code == 0) is not success:
            row.faults.append(f"exit code {use.exit_code}: {waiter.tail[-600:]}")
        elif said is not None and not waiter.said(said):
            row.faults.append(f"did not say {said!r}")

    def result(
        self, scene: str, title: str, arena: Arena, notes: list[str], base: str | None = None
    ) -> Result:
        """What is to be kept."""
        versions = {
            "Airflow": arena.named,
            "Python": platform.python_version(),
            "this action": _commit(),
        }
        for one in self.contestants:
            if one.environment:
                self.rows[one.name].add("installed", mebibytes(one.environment))
                if one.package:
                    versions[one.package] = version(one.environment, one.package)
        minutes = (time.monotonic() - self._began) / 60
        return Result(scene, title, self._date, minutes, versions, notes, self.rows, base)

    def _installed(self, contestant: Contestant) -> bool:
        try:
            if contestant.environment:
                install(contestant.environment)
        except InstallError as error:
            self.rows[contestant.name].faults.append(f"could not be installed: {error}")
            return False
        return True


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, changed"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or "unknown"
