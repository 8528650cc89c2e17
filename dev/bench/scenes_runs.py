"""Runs of some seconds or of ten minutes that succeed: every contestant triggers its own and waits
for it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING

from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3
from dev.bench.runner import Arena, opened
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import CURL, EVERYBODY, SCRIPT, THIS_ACTION, WITHOUT_LOGS
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from dev.airflow_settings import Version
    from dev.bench.results import Result

HISTORY = 5
"""Runs that have succeeded before."""
_PERIOD = 5.0
"""Seconds: the pause of the fixed loops. Their luck depends on where in it a run ends, so the ends
are spread over it.
"""
_GRACE = 240.0
_STAGGER = 7.0


def offsets(repetitions: int) -> list[float]:
    """Seconds by which each repetition's run is longer than it is called, evenly spread over one
    pause of a 5 s loop.
    """
    return [((number + 0.5) / repetitions - 0.5) * _PERIOD for number in range(repetitions)]


def short(seconds: int, options: Options) -> Result:
    """One after the other, in turns: the order rotates from one repetition to the next."""
    board, dag_id = Scoreboard(EVERYBODY, options), f"sleep_{seconds}"
    with opened() as arena:
        arena.become_history(dag_id, [seconds + offset for offset in offsets(HISTORY)], _GRACE)
        for number, offset in enumerate(offsets(options.repetitions)):
            turn = number % len(board.contestants)
            for contestant in board.contestants[turn:] + board.contestants[:turn]:
                say(f"{seconds} s, repetition {number + 1}: {contestant.name}")
                with Waiter(
                    contestant, arena.airflow, dag_id, {"seconds": seconds + offset}
                ) as waiter:
                    _score(board, arena, waiter, dag_id, seconds + _GRACE)
                time.sleep(1)
        note = (
            f"{options.repetitions} times. The run's one Python task takes {seconds} s, "
            "from repetition to "
            f"repetition up to 2 s more or less (always {seconds} s for airflowctl, which "
            "cannot say so), so that "
            "no fixed pause is lucky."
        )
        return board.result(
            f"{seconds}s", f"A run of {seconds} s, one waiter", arena, [note], SCRIPT.name
        )


def long(seconds: int, version: Version, options: Options) -> Result:
    """All at the same time, since waiting costs next to nothing; each has a DAG run of its own and
    begins a bit later.
    """
    known = (
        (THIS_ACTION, SCRIPT) if version == AIRFLOW_2 else (THIS_ACTION, WITHOUT_LOGS, SCRIPT, CURL)
    )
    board, dag_id = Scoreboard(known, options), f"sleep_{seconds}"
    with opened(version) as arena, ExitStack() as stack:
        say(f"{seconds} s on {arena.named}: a history first")
        arena.become_history(dag_id, [seconds + offset for offset in offsets(3)], _GRACE)
        waiters = []
        for offset, contestant in chain.from_iterable(
            [(offset, one) for one in board.contestants] for offset in offsets(options.repetitions)
        ):
            say(f"{seconds} s on {arena.named}: {contestant.name}")
            waiter = Waiter(contestant, arena.airflow, dag_id, {"seconds": seconds + offset})
            waiters.append(stack.enter_context(waiter))
            time.sleep(_STAGGER)
        for waiter in waiters:
            _score(board, arena, waiter, dag_id, seconds + _GRACE)
        note = (
            "Three runs of the same DAG had succeeded before: lived through beside each "
            "other, ahead of the "
            f"measurement. Then {options.repetitions} runs of each contestant at the same "
            "time, begun "
            f"{_STAGGER:.0f} s apart."
        )
        notes = [note]
        if version == AIRFLOW_2:
            notes.append(
                "This Airflow 2 has a cheap password hash; with the usual one every "
                "request costs it 105 ms of CPU."
            )
        name = "10min" if version == AIRFLOW_3 else "10min-airflow-2"
        return board.result(
            name,
            f"A run of {seconds // 60} min, Airflow {version.name.rpartition('.')[0]}",
            arena,
            notes,
            SCRIPT.name,
        )


def _score(board: Scoreboard, arena: Arena, waiter: Waiter, dag_id: str, limit: float) -> None:
    row = board.rows[waiter.contestant.name]
    try:
        use = waiter.wait(limit)
    except TimeoutError as error:
        row.faults.append(str(error))
        return
    board.check(row, waiter, use, success=True)
    board.score(row, use, arena.ends(dag_id).get(waiter.mark))
