"""The api-server freezes, is killed or stops while this action waits.

The results must still be right.
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import requests

from dev.bench.results import Row
from dev.bench.runner import BenchRunner, opened, until
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import THIS_ACTION
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.bench.results import Result

_DAG, _POOL = "held", "closed"
_WAITERS = 4  # number of waiters
_SETTLED = 40.0
"""Seconds of waiting before the outage."""
_OUTAGE = 300.0  # seconds
_LIMIT = 300.0  # seconds
_NO_WAITERS = "graceful stop, no waiters"
_FAULTS = ("Trying again in", "Could not read what is needed")


def measure(options: Options) -> Result:
    """Measure each outage with the same Airflow.

    The runs are ended by hand when the api-server responds again.
    """
    board = Scoreboard([THIS_ACTION], options)
    titles: dict[str, Callable[[BenchRunner, Row], None]] = {
        "frozen for 5 min": _freeze,
        "killed, back after 5 min": _kill,
        "graceful stop, back at once": _stop,
    }
    board.rows = {title: Row() for title in (_NO_WAITERS, *titles)}
    with opened() as runner:
        runner.airflow.wait_for_dag(_DAG)
        runner.close_pool(_POOL)
        _stop(runner, board.rows[_NO_WAITERS])
        for title, disrupt in titles.items():
            say(title)
            _measure(board, runner, board.rows[title], disrupt)
        note = (
            f"{_WAITERS} waiters of this action, connected to the api-server without the counting "
            f"proxy. The outage begins after {_SETTLED:.0f} s. Afterwards two runs are ended as "
            "success and two as failed."
        )
        board.tools = []
        return board.result("outage", "The api-server goes away in the middle", runner, [note])


def _measure(
    board: Scoreboard, runner: BenchRunner, row: Row, disrupt: Callable[[BenchRunner, Row], None]
) -> None:
    with ExitStack() as stack:
        waiters = []
        for _ in range(_WAITERS):
            waiters.append(
                stack.enter_context(Waiter(THIS_ACTION, runner.airflow, _DAG, proxied=False))
            )
            time.sleep(1)
        until(
            lambda: all(one.printed("The DAG run is running") for one in waiters),
            "all wait",
            _LIMIT,
        )
        time.sleep(_SETTLED)
        disrupt(runner, row)
        with runner.airflow.session() as session:
            runs = runner.runs_by_mark(_DAG)
            for number, waiter in enumerate(waiters):
                runner.end(
                    session,
                    _DAG,
                    runs[waiter.mark]["dag_run_id"],
                    "failed" if number % 2 else "success",
                )
        ends, right = runner.ends(_DAG), 0
        for number, waiter in enumerate(waiters):
            use = waiter.wait(_LIMIT)
            board.check(row, waiter, use, success=number % 2 == 0)
            right += (use.exit_code == 0) is (number % 2 == 0)
            row.add("cpu", use.cpu)
            row.add("peak", use.peak)
            row.add("seen_after", use.reported_at - ends[waiter.mark])
        row.add("wrong", _WAITERS - right)
        row.add(
            "retries",
            sum(fault in line for one in waiters for line in one.lines for fault in _FAULTS),
        )


def _freeze(runner: BenchRunner, _: Row) -> None:
    runner.airflow.freeze(runner.server)
    time.sleep(_OUTAGE)
    runner.airflow.freeze(runner.server, frozen=False)
    _answers(runner)


def _kill(runner: BenchRunner, _: Row) -> None:
    runner.airflow.components.end(runner.server, signal.SIGKILL, _LIMIT)
    time.sleep(_OUTAGE)
    runner.airflow.components.start_again(runner.server)
    _answers(runner)


def _stop(runner: BenchRunner, row: Row) -> None:
    began = time.monotonic()
    try:
        runner.airflow.components.end(runner.server, signal.SIGTERM, _LIMIT)
    except subprocess.TimeoutExpired:
        row.faults.append(f"the api-server was still there {_LIMIT:.0f} s after SIGTERM")
        runner.airflow.components.end(runner.server, signal.SIGKILL, _LIMIT)
    row.add("gone_after", time.monotonic() - began)
    runner.airflow.components.start_again(runner.server)
    _answers(runner)


def _answers(runner: BenchRunner) -> None:
    def is_up() -> bool:
        try:
            return requests.get(f"{runner.airflow.url}{runner.airflow.api}/version", timeout=10).ok
        except requests.RequestException:
            return False

    until(is_up, "the api-server answers", _LIMIT)
