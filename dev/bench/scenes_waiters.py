"""Many who wait at the same time in front of one default api-server: what it costs the server, and
how neighbours fare.

Their runs stay `running` without a process and are ended by hand, half of them as failed, so that
verdicts differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import requests

from dev.airflow_settings import ROOT
from dev.bench.runner import Arena, opened, until
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import EVERYBODY, SCRIPT, THIS_ACTION
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from dev.bench.results import Result, Row
    from dev.bench.tools import Contestant

DAG = "held"
_POOL = "closed"
_FEW = 5
_BEGIN = 45.0
"""Seconds within which all begin."""
_IDLE = 30.0
_WINDOW = 120.0
_LIMIT = 240.0
_FAULTS = ("Trying again in", "Could not read what is needed")
"""What the action says of a request that failed in passing."""


def server(options: Options) -> Result:
    """Every contestant, five of a kind at a time: what waiting costs the server."""
    board = Scoreboard(EVERYBODY, options)
    with opened() as arena:
        for contestant in board.contestants:
            _Crowd(board, arena, contestant, _FEW).live(_BEGIN / 3, _WINDOW / 2)
        note = (
            f"{_FEW} waiters of a kind at a time, a DAG run each, during the first minute "
            "of waiting; what the "
            "api-server uses with nobody there is taken off."
        )
        return board.result("server", "What waiting costs the server", arena, [note], SCRIPT.name)


def many(count: int, options: Options) -> Result:
    """A crowd of this action, and one of the requests script, each in front of a fresh Airflow."""
    board = Scoreboard((THIS_ACTION, SCRIPT), options)
    for _ in range(options.repetitions):
        for contestant in board.contestants:
            with opened() as arena:
                _Crowd(board, arena, contestant, count).live(_BEGIN, _WINDOW)
    note = (
        f"{options.repetitions} plays of each, in turn: {count} processes, a DAG run each, "
        f"begun within {_BEGIN:.0f} s; "
        "one api-server worker, which goes before them: in earnest they do not share its "
        "processors. "
        "the runs are ended as success and half as failed, a few a second."
    )
    return board.result(
        f"waiters-{count}", f"{count} waiters on one api-server", arena, [note], SCRIPT.name
    )


class _Crowd:
    """So many of one contestant, from their beginning to their verdicts."""

    def __init__(self, board: Scoreboard, arena: Arena, contestant: Contestant, count: int) -> None:
        self._board, self._arena, self._contestant, self._count = board, arena, contestant, count
        self._waiters: list[Waiter] = []

    @property
    def _row(self) -> Row:
        return self._board.rows[self._contestant.name]

    def live(self, begin: float, window: float) -> None:
        """Begin within so many seconds, wait for as long as the window is, end. What goes wrong is
        noted.
        """
        arena = self._arena
        arena.airflow.wait_for_dag(DAG)
        arena.close_pool(_POOL)
        with arena.airflow.session() as session, ExitStack() as stack:
            # With the neighbour, whose requests are not to be taken for the waiters'.
            _, idle = self._look(session, _IDLE)
            for number in range(self._count):
                say(f"{self._contestant.name}: {number + 1} of {self._count}")
                self._waiters.append(
                    stack.enter_context(
                        Waiter(self._contestant, arena.airflow, DAG, elsewhere=True)
                    )
                )
                time.sleep(begin / self._count)
            try:
                until(
                    lambda: all(one.triggered.is_set() for one in self._waiters),
                    "all have triggered",
                    _LIMIT,
                )
                self._observe(session, window, idle)
                self._finish(session)
            except (TimeoutError, subprocess.SubprocessError, requests.RequestException) as error:
                self._row.faults.append(f"given up: {error}")
                self._row.add("wrong", self._count)

    def _observe(self, session: requests.Session, window: float, idle: float) -> None:
        row, asked, began = self._row, self._asked(), time.monotonic()
        seen, busy = self._look(session, window)
        minutes = (time.monotonic() - began) / 60
        row.add("server", 1000 * 60 * (busy - idle) / self._count)
        row.add("asked", (self._asked() - asked) / self._count / minutes)
        cuts = quantiles([*seen["took"], *seen["took"]], n=100)  # twice, because one alone has none
        for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("slowest", max(seen["took"]))):
            row.add(name, 1000 * value)
        row.add("failed_gets", seen["failed"])

    def _look(self, session: requests.Session, seconds: float) -> tuple[dict[str, Any], float]:
        """What the neighbour sees in so many seconds, and the CPU seconds that the api-server uses
        in each of them.
        """
        airflow = self._arena.airflow
        order = {
            "url": f"{airflow.url}{airflow.api}/dags/{DAG}",
            "authorization": session.headers["Authorization"],
            "seconds": seconds,
        }
        used, began = self._arena.server_cpu(), time.monotonic()
        # Bounded by itself: its last GET may take 30 s beyond the window.
        done = subprocess.run(
            [sys.executable, "-m", "dev.bench.other_client"],
            input=json.dumps(order),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            timeout=seconds + 60,
        )
        return json.loads(done.stdout), (self._arena.server_cpu() - used) / (
            time.monotonic() - began
        )

    def _asked(self) -> int:
        return sum(one.asked for one in self._waiters)

    def _finish(self, session: requests.Session) -> None:
        """End every other run as failed, and see who notices."""
        row, arena = self._row, self._arena
        runs = arena.marked(DAG)
        for number, waiter in enumerate(self._waiters):
            if waiter.mark in runs:
                arena.end(
                    session,
                    DAG,
                    runs[waiter.mark]["dag_run_id"],
                    "failed" if number % 2 else "success",
                )
                time.sleep(0.2)
        right, deadline = 0, time.monotonic() + _LIMIT
        ends = arena.ends(DAG)
        for number, waiter in enumerate(self._waiters):
            try:
                use = waiter.wait(max(0.1, deadline - time.monotonic()))
            except TimeoutError as error:
                row.faults.append(str(error))
                continue
            right += (use.exit_code == 0) is (number % 2 == 0)
            self._board.check(row, waiter, use, success=number % 2 == 0)
            self._board.score(row, use, ends.get(waiter.mark))
        row.add("wrong", self._count - right)
        row.add(
            "retries",
            sum(fault in line for one in self._waiters for line in one.lines for fault in _FAULTS),
        )
