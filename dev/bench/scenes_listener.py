"""Two hundred runs within a minute, with and without the listener, while GitHub fails."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from dev.airflow_settings import ROOT
from dev.bench import cpu
from dev.bench.github import AIRFLOW, BenchGitHub
from dev.bench.results import Row
from dev.bench.runner import opened, until
from dev.bench.scoring import Options, Scoreboard, say
from entrypoint.github_api.marker import Marker, note_with_marker

if TYPE_CHECKING:
    from dev.bench.github import Mode
    from dev.bench.results import Result
    from dev.bench.runner import BenchRunner

_DAG = "brief"
_RUNS = 200  # number of DAG runs
_LIMIT = 300.0  # seconds
_OUTAGE = 300.0  # seconds
_BASE = "without the listener"
_MODES: tuple[Mode, ...] = ("normally", "401", "403 rate limit", "404", "422", "503")
_LOST = ("404", "422")


def measure(options: Options) -> Result:
    """Measure without the listener, then with it, once for each of GitHub's modes.

    The last mode lasts 5 min.
    """
    board = Scoreboard([], options)
    board.rows = {_BASE: Row()} | {f"with it, GitHub answers {mode}": Row() for mode in _MODES}
    with opened() as runner:
        for number in range(options.repetitions):
            _RunBatch(runner, BenchGitHub(_DAG), board.rows[_BASE]).measure(number)
    with BenchGitHub(_DAG) as github, opened(settings=_settings(github)) as runner:
        for number, mode in enumerate(_MODES):
            say(f"GitHub answers {mode}")
            github.mode = mode
            began, row = time.monotonic(), board.rows[f"with it, GitHub answers {mode}"]
            one = _RunBatch(runner, github, row)
            one.measure(number)
            if mode == _MODES[-1]:
                time.sleep(max(0.0, began + _OUTAGE - time.monotonic()))
            if mode not in _LOST:
                github.mode = "normally"
            one.drain()
    note = (
        f"{_RUNS} DAG runs, each with one task that needs no process and a marker in its "
        "note, triggered one after the other. "
        f"In the last row, GitHub is down for {_OUTAGE:.0f} s. Reported: after it responds "
        "again. Twice: more than once."
    )
    return board.result("listener", "The listener in a busy Airflow", runner, [note], _BASE)


def _settings(github: BenchGitHub) -> dict[str, str]:
    connection = {
        "conn_type": "http",
        "host": github.url,
        "password": "github_pat_0fTheBenchmark",
        "extra": {"repositories": ["octo-org/sales"], "airflow_url": AIRFLOW},
    }
    return {
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "listener"),
        "AIRFLOW_CONN_AIRFLOW_DAG_RUN_GITHUB": json.dumps(connection),
    }


class _RunBatch:
    """Two hundred runs, from the first trigger to the last end, and the scheduler's figures."""

    def __init__(self, runner: BenchRunner, github: BenchGitHub, row: Row) -> None:
        self._runner, self._github, self._row = runner, github, row
        self._commits: list[str] = []
        self._log = runner.airflow.logs / "scheduler.log"
        self._given_up = self._lost()

    def measure(self, number: int) -> None:
        """Trigger all runs, and return when all have ended."""
        airflow, pid = self._runner.airflow, self._runner.airflow.components.pid("scheduler")
        airflow.wait_for_dag(_DAG)
        used, began, over = cpu.of_session(pid), time.monotonic(), threading.Event()
        beats: list[float] = []
        watcher = threading.Thread(target=self._watch, args=(over, beats), daemon=True)
        watcher.start()
        with airflow.session() as session:
            for place in range(_RUNS):
                commit = f"{number * _RUNS + place:040x}"
                self._commits.append(commit)
                note = note_with_marker(
                    "Measured", Marker(AIRFLOW, self._github.url, "octo-org/sales", commit, None)
                )
                body = {"dag_run_id": commit, "note": note, "logical_date": None}
                session.post(
                    f"{airflow.url}{airflow.api}/dags/{_DAG}/dagRuns", json=body, timeout=60
                ).raise_for_status()
            url = f"{airflow.url}{airflow.api}/dags/{_DAG}/dagRuns"
            wanted = {"state": "success", "limit": "1"}

            def ended() -> bool:
                return bool(
                    session.get(url, params=wanted, timeout=60).json()["total_entries"]
                    >= (number + 1) * _RUNS
                )

            until(ended, "all have ended", _LIMIT)
        self._row.add("lasted", time.monotonic() - began)
        self._row.add("scheduler", cpu.of_session(pid) - used)
        over.set()
        watcher.join(10)
        self._row.add(
            "gap", max((later - earlier for earlier, later in pairwise(beats)), default=0)
        )
        self._row.add("resident", _resident(pid))

    def drain(self) -> None:
        """Wait until the listener has no work left, and add its figures."""

        def done() -> bool:
            return sum(map(bool, self._counts())) + self._lost() - self._given_up >= _RUNS

        until(done, "the listener is done", _LIMIT)
        counts = self._counts()
        self._row.add("reported", sum(count > 0 for count in counts))
        self._row.add("twice", sum(count > 1 for count in counts))
        self._row.add("given_up", self._lost() - self._given_up)

    def _counts(self) -> list[int]:
        return [self._github.reported[commit] for commit in self._commits]

    def _lost(self) -> int:
        return len(
            re.findall("Could not report the DAG run", self._log.read_text(errors="replace"))
        )

    def _watch(self, over: threading.Event, beats: list[float]) -> None:
        """Record each heartbeat of the scheduler in the health response."""
        airflow = self._runner.airflow
        while not over.wait(0.5):
            try:
                health = requests.get(
                    f"{airflow.url}{airflow.api}/monitor/health", timeout=30
                ).json()
            except requests.RequestException:
                continue
            beat = datetime.fromisoformat(
                health["scheduler"]["latest_scheduler_heartbeat"]
            ).timestamp()
            if not beats or beat > beats[-1]:
                beats.append(beat)


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024
