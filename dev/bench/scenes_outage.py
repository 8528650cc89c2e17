"""The api-server is frozen, killed, or asked to end while somebody waits: the verdict has to be
right all the same.
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import requests

from dev.bench.results import Row
from dev.bench.runner import Arena, opened, until
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import THIS_ACTION
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.bench.results import Result

_DAG, _POOL = "held", "closed"
_WAITERS = 4
_SETTLED = 40.0
"""Seconds of waiting before it happens."""
_OUTAGE = 300.0
_LIMIT = 300.0
_NOBODY = "graceful stop, nobody waiting"
_FAULTS = ("Trying again in", "Could not read what is needed")


def play(options: Options) -> Result:
    """One after the other in front of one Airflow; the runs are ended by hand when it is there
    again.
    """
    board = Scoreboard([THIS_ACTION], options)
    titles: dict[str, Callable[[Arena, Row], None]] = {
        "frozen for 5 min": _freeze,
        "killed, back after 5 min": _kill,
        "graceful stop, back at once": _stop,
    }
    board.rows = {title: Row() for title in (_NOBODY, *titles)}
    with opened() as arena:
        arena.airflow.wait_for_dag(_DAG)
        arena.close_pool(_POOL)
        _stop(arena, board.rows[_NOBODY])
        for title, happen in titles.items():
            say(title)
            _live_through(board, arena, board.rows[title], happen)
        note = (
            f"{_WAITERS} waiters of this action, straight at the api-server, without the "
            "counting proxy. It happens after "
            f"{_SETTLED:.0f} s; afterwards two runs are ended as success and two as failed."
        )
        board.contestants = []
        return board.result("outage", "The api-server goes away in the middle", arena, [note])


def _live_through(
    board: Scoreboard, arena: Arena, row: Row, happen: Callable[[Arena, Row], None]
) -> None:
    with ExitStack() as stack:
        waiters = []
        for _ in range(_WAITERS):
            waiters.append(
                stack.enter_context(Waiter(THIS_ACTION, arena.airflow, _DAG, proxied=False))
            )
            time.sleep(1)
        until(
            lambda: all(one.said("The DAG run is running") for one in waiters), "all wait", _LIMIT
        )
        time.sleep(_SETTLED)
        happen(arena, row)
        with arena.airflow.session() as session:
            runs = arena.marked(_DAG)
            for number, waiter in enumerate(waiters):
                arena.end(
                    session,
                    _DAG,
                    runs[waiter.mark]["dag_run_id"],
                    "failed" if number % 2 else "success",
                )
        ends, right = arena.ends(_DAG), 0
        for number, waiter in enumerate(waiters):
            use = waiter.wait(_LIMIT)
            board.check(row, waiter, use, success=number % 2 == 0)
            right += (use.exit_code == 0) is (number % 2 == 0)
            row.add("cpu", use.cpu)
            row.add("peak", use.peak)
            row.add("seen_after", use.told_at - ends[waiter.mark])
        row.add("wrong", _WAITERS - right)
        row.add(
            "retries",
            sum(fault in line for one in waiters for line in one.lines for fault in _FAULTS),
        )


def _freeze(arena: Arena, _: Row) -> None:
    arena.airflow.freeze(arena.server)
    time.sleep(_OUTAGE)
    arena.airflow.freeze(arena.server, frozen=False)
    _answers(arena)


def _kill(arena: Arena, _: Row) -> None:
    arena.airflow.components.end(arena.server, signal.SIGKILL, _LIMIT)
    time.sleep(_OUTAGE)
    arena.airflow.components.start_again(arena.server)
    _answers(arena)


def _stop(arena: Arena, row: Row) -> None:
    began = time.monotonic()
    try:
        arena.airflow.components.end(arena.server, signal.SIGTERM, _LIMIT)
    except subprocess.TimeoutExpired:
        row.faults.append(f"the api-server was still there {_LIMIT:.0f} s after SIGTERM")
        arena.airflow.components.end(arena.server, signal.SIGKILL, _LIMIT)
    row.add("gone_after", time.monotonic() - began)
    arena.airflow.components.start_again(arena.server)
    _answers(arena)


def _answers(arena: Arena) -> None:
    def is_there() -> bool:
        try:
            return requests.get(f"{arena.airflow.url}{arena.airflow.api}/version", timeout=10).ok
        except requests.RequestException:
            return False

    until(is_there, "the api-server answers", _LIMIT)
