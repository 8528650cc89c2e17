"""Many waiters on one api-server: the costs for the server, and for another client.

Their runs stay `running` without a process. They are ended by hand, half of them as failed, so that
the expected results differ.
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
from dev.bench.runner import BenchRunner, opened, until
from dev.bench.scoring import Options, Scoreboard, say
from dev.bench.tools import ALL_TOOLS, SCRIPT, THIS_ACTION
from dev.bench.waiter import Waiter

if TYPE_CHECKING:
    from dev.bench.results import Result, Row
    from dev.bench.tools import Tool

DAG = "held"
_POOL = "closed"
_FEW = 5  # waiters of each tool
_BEGIN = 45.0
"""Seconds within which all waiters start."""
_IDLE = 30.0  # seconds of measuring the idle server
_WINDOW = 120.0  # seconds of waiting
_LIMIT = 240.0  # seconds
_FAULTS = ("Trying again in", "Could not read what is needed")
"""The action's log texts about a failed request."""


def server(options: Options) -> Result:
    """Measure the server's costs for five waiters of each tool."""
    board = Scoreboard(ALL_TOOLS, options)
    with opened() as runner:
        for tool in board.tools:
            _WaiterGroup(board, runner, tool, _FEW).measure(_BEGIN / 3, _WINDOW / 2)
        note = (
            f"{_FEW} waiters of one tool at a time, each with its own DAG run, during the first "
            "minute of waiting. The CPU of the idle api-server is subtracted."
        )
        return board.result("server", "What waiting costs the server", runner, [note], SCRIPT.name)


def many(count: int, options: Options) -> Result:
    """Measure many waiters of this action and of the requests script, each on a fresh Airflow."""
    board = Scoreboard((THIS_ACTION, SCRIPT), options)
    for _ in range(options.repetitions):
        for tool in board.tools:
            with opened() as runner:
                _WaiterGroup(board, runner, tool, count).measure(_BEGIN, _WINDOW)
    note = (
        f"Rounds of each tool, in turn: {options.repetitions}. A round has {count} processes, each "
        f"with its own DAG run, started within {_BEGIN:.0f} s. There is one api-server worker. It "
        "has a higher priority than the waiters, because real waiters run on other machines. "
        f"Another client sends two GETs a second during {_WINDOW:.0f} s of waiting. Then half of "
        "the runs are ended as success and half as failed, a few a second."
    )
    return board.result(
        f"waiters-{count}", f"{count} waiters on one api-server", runner, [note], SCRIPT.name
    )


class _WaiterGroup:
    """Waiters of one tool, from their start to their results."""

    def __init__(self, board: Scoreboard, runner: BenchRunner, tool: Tool, count: int) -> None:
        self._board, self._runner, self._tool, self._count = board, runner, tool, count
        self._waiters: list[Waiter] = []

    @property
    def _row(self) -> Row:
        return self._board.rows[self._tool.name]

    def measure(self, begin: float, window: float) -> None:
        """Start the waiters, wait, and end their runs. Record failures.

        Args:
            begin: seconds within which all waiters start
            window: seconds of waiting
        """
        runner = self._runner
        runner.airflow.wait_for_dag(DAG)
        runner.close_pool(_POOL)
        with runner.airflow.session() as session, ExitStack() as stack:
            # With the other client, whose requests must not count as the waiters'.
            _, idle = self._measure_window(session, _IDLE)
            for number in range(self._count):
                say(f"{self._tool.name}: {number + 1} of {self._count}")
                self._waiters.append(
                    stack.enter_context(Waiter(self._tool, runner.airflow, DAG, low_priority=True))
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
        row, request_count, began = self._row, self._request_count(), time.monotonic()
        seen, busy = self._measure_window(session, window)
        minutes = (time.monotonic() - began) / 60
        row.add("server", 1000 * 60 * (busy - idle) / self._count)
        row.add("asked", (self._request_count() - request_count) / self._count / minutes)
        # Doubled, because `quantiles` needs at least two values.
        cuts = quantiles([*seen["took"], *seen["took"]], n=100)
        for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("slowest", max(seen["took"]))):
            row.add(name, 1000 * value)
        row.add("failed_gets", seen["failed"])

    def _measure_window(
        self, session: requests.Session, seconds: float
    ) -> tuple[dict[str, Any], float]:
        """Return the other client's figures, and the api-server's CPU seconds per second."""
        airflow = self._runner.airflow
        order = {
            "url": f"{airflow.url}{airflow.api}/dags/{DAG}",
            "authorization": session.headers["Authorization"],
            "seconds": seconds,
        }
        used, began = self._runner.server_cpu(), time.monotonic()
        # It ends by itself, at most 30 s after the window.
        done = subprocess.run(
            [sys.executable, "-m", "dev.bench.other_client"],
            input=json.dumps(order),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            timeout=seconds + 60,
        )
        return json.loads(done.stdout), (self._runner.server_cpu() - used) / (
            time.monotonic() - began
        )

    def _request_count(self) -> int:
        return sum(one.request_count for one in self._waiters)

    def _finish(self, session: requests.Session) -> None:
        """End every other run as failed, and check each waiter's result."""
        row, runner = self._row, self._runner
        runs = runner.runs_by_mark(DAG)
        for number, waiter in enumerate(self._waiters):
            if waiter.mark in runs:
                runner.end(
                    session,
                    DAG,
                    runs[waiter.mark]["dag_run_id"],
                    "failed" if number % 2 else "success",
                )
                time.sleep(0.2)
        right, deadline = 0, time.monotonic() + _LIMIT
        ends = runner.ends(DAG)
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
