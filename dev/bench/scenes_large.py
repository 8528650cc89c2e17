"""Failed runs with much to read: thousands of task instances, a log of 5 MB, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.bench.results import Row
from dev.bench.runner import opened
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import THIS_ACTION
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from dev.bench.results import Result

_LIMIT = 600.0  # seconds
_RUNS = {
    "tasks_2000": "2,000 task instances",
    "tasks_5000": "5,000 task instances",
    "log_5_mb": "a log of 5 MB",
    "tasks_5000_log_5_mb": "5,000 task instances and a log of 5 MB",
}
_REASON = "The last row has no amount"


def measure(options: Options) -> Result:
    """Measure the four kinds of runs in turn.

    Only this action, because the other tools do not read task instances or logs.
    """
    board = Scoreboard([THIS_ACTION], options)
    board.rows = {title: Row() for title in _RUNS.values()}
    with opened() as runner:
        runner.create_history(
            "sleep_5", [5.0], _LIMIT
        )  # a fresh api-server freezes for 5 s at its first task
        for dag_id in _RUNS:
            runner.airflow.wait_for_dag(dag_id)
        for number in range(options.repetitions):
            for dag_id, title in _RUNS.items():
                say(f"{title}, repetition {number + 1}")
                with Waiter(THIS_ACTION, runner.airflow, dag_id) as waiter:
                    use = waiter.wait(_LIMIT)
                    board.check(board.rows[title], waiter, use, success=False, printed=_REASON)
                board.score(board.rows[title], use, runner.ends(dag_id).get(waiter.mark))
        note = (
            "Only this action. One task of the run fails; the others need no process. If the "
            "action does not report the reason of the failure, this counts as a fault."
        )
        board.tools = []
        return board.result("large", "Runs that fail with much to read", runner, [note])
