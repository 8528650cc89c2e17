"""`python -m dev.bench run SCENE…` measures and saves the figures.

`python -m dev.bench table` writes docs/benchmarks.md from the saved figures.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3, ROOT
from dev.bench import (
    report,
    scenes_large,
    scenes_listener,
    scenes_outage,
    scenes_runs,
    scenes_start,
    scenes_waiters,
)
from dev.bench.results import load
from dev.bench.scoring import Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.bench.results import Result

SCENES: dict[str, Callable[[Options], Result]] = {
    "start": scenes_start.start,
    "trigger": scenes_start.trigger,
    "5s": partial(scenes_runs.short, 5),
    "30s": partial(scenes_runs.short, 30),
    "server": scenes_waiters.server,
    "waiters-50": partial(scenes_waiters.many, 50),
    "waiters-100": partial(scenes_waiters.many, 100),
    "large": scenes_large.measure,
    "10min": partial(scenes_runs.long, 600, AIRFLOW_3),
    "10min-airflow-2": partial(scenes_runs.long, 600, AIRFLOW_2),
    "outage": scenes_outage.measure,
    "listener": scenes_listener.measure,
}
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.bench", description="Figures compared with other tools."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and save the figures")
    run.add_argument("scenes", nargs="+", choices=SCENES, metavar="SCENE", help=" | ".join(SCENES))
    run.add_argument("--repetitions", type=int, default=5, metavar="N", help="default: 5")
    run.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only tools whose name begins with NAME",
    )
    commands.add_parser("table", help=f"write {DOCUMENT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if arguments.command == "table":
        report.write(DOCUMENT, load())
        return 0
    options = Options(arguments.repetitions, tuple(arguments.only))
    for name in arguments.scenes:
        result = SCENES[name](options)
        result.save()
        say(f"{name}: {result.minutes:.1f} min")
        print("\n".join(report.sections({name: result})), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
