"""Successful runs of some seconds or ten minutes; each tool waits for its own run."""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING

from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3
from dev.bench.runner import BenchRunner, opened
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import ALL_TOOLS, CURL, SCRIPT, THIS_ACTION, WITHOUT_LOGS
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from dev.airflow_settings import Version
    from dev.bench.results import Result

HISTORY = 5
"""Number of earlier successful runs."""
_PERIOD = 5.0
"""Interval in seconds of the tools that poll at fixed intervals.

Their delay depends on when in the interval a run ends, so the ends are spread evenly over it.
"""
_GRACE = 240.0  # seconds for a tool beyond the run's duration
_STAGGER = 7.0  # seconds between two starts


def offsets(repetitions: int) -> list[float]:
    """Return the seconds by which each repetition's run differs from its nominal duration.

    They are spread evenly over one interval of a 5 s loop.
    """
    return [((number + 0.5) / repetitions - 0.5) * _PERIOD for number in range(repetitions)]


def short(seconds: int, options: Options) -> Result:
    """Measure one tool after the other; their order rotates between repetitions."""
    board, dag_id = Scoreboard(ALL_TOOLS, options), f"sleep_{seconds}"
    with opened() as runner:
        runner.create_history(dag_id, [seconds + offset for offset in offsets(HISTORY)], _GRACE)
        for number, offset in enumerate(offsets(options.repetitions)):
            turn = number % len(board.tools)
            for tool in board.tools[turn:] + board.tools[:turn]:
                say(f"{seconds} s, repetition {number + 1}: {tool.name}")
                with Waiter(tool, runner.airflow, dag_id, {"seconds": seconds + offset}) as waiter:
                    _score(board, runner, waiter, dag_id, seconds + _GRACE)
                time.sleep(1)
        note = (
            f"{HISTORY} runs of the same DAG had succeeded before. The tools ran in turn, "
            f"{options.repetitions} times. The run has one Python task of {seconds} s. Its "
            "duration varies by up to 2 s between repetitions, so that no fixed interval has an "
            f"advantage (always {seconds} s for airflowctl, which cannot pass a duration)."
        )
        return board.result(
            f"{seconds}s", f"A run of {seconds} s, one waiter", runner, [note], SCRIPT.name
        )


def long(seconds: int, version: Version, options: Options) -> Result:
    """Measure all tools at the same time, because waiting uses little CPU.

    Each has a DAG run of its own, and they start a few seconds apart.
    """
    known = (
        (THIS_ACTION, SCRIPT) if version == AIRFLOW_2 else (THIS_ACTION, WITHOUT_LOGS, SCRIPT, CURL)
    )
    board, dag_id = Scoreboard(known, options), f"sleep_{seconds}"
    with opened(version) as runner, ExitStack() as stack:
        say(f"{seconds} s on {runner.description}: a history first")
        runner.create_history(dag_id, [seconds + offset for offset in offsets(3)], _GRACE)
        waiters = []
        for offset, tool in chain.from_iterable(
            [(offset, one) for one in board.tools] for offset in offsets(options.repetitions)
        ):
            say(f"{seconds} s on {runner.description}: {tool.name}")
            waiter = Waiter(tool, runner.airflow, dag_id, {"seconds": seconds + offset})
            waiters.append(stack.enter_context(waiter))
            time.sleep(_STAGGER)
        for waiter in waiters:
            _score(board, runner, waiter, dag_id, seconds + _GRACE)
        note = (
            "Three runs of the same DAG had succeeded before, at the same time, ahead of the "
            f"measurement. Then {options.repetitions} runs of each tool at the same time, started "
            f"{_STAGGER:.0f} s apart."
        )
        notes = [note]
        if version == AIRFLOW_2:
            notes.append(
                "This Airflow 2 has a cheap password hash. With the default hash, every request "
                "costs it 105 ms of CPU."
            )
        name = "10min" if version == AIRFLOW_3 else "10min-airflow-2"
        return board.result(
            name,
            f"A run of {seconds // 60} min, Airflow {version.name.rpartition('.')[0]}",
            runner,
            notes,
            SCRIPT.name,
        )


def _score(
    board: Scoreboard, runner: BenchRunner, waiter: Waiter, dag_id: str, limit: float
) -> None:
    row = board.rows[waiter.tool.name]
    try:
        use = waiter.wait(limit)
    except TimeoutError as error:
        row.faults.append(str(error))
        return
    board.check(row, waiter, use, success=True)
    board.score(row, use, runner.ends(dag_id).get(waiter.mark))
