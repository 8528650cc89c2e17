"""A job of a workflow run with a real Airflow, and Airflow's API for checks."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dev.runner import ActionStep, Process, RunnerContext
from tests.support.markdown import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import Annotation, StepResult
    from dev.runner.launch import Launcher

TIMEOUT = 240.0
"""Seconds for an operation that takes a few."""
REQUEST = 60.0
"""Seconds for one response of Airflow."""
SCREEN = 25
"""Lines of Markdown that fit on a screen."""
RESUMED = "it existed already and had failed; continued from the tasks that had not succeeded"
"""The text in log and summary after a resumed run."""


class Job:
    """A job with one step, which can be attempted again like "Re-run failed jobs".

    `results` has the results of `run`. Jobs that share a `context` name the same DAG run.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        workspace: Path,
        context: RunnerContext | None = None,
        launcher: Launcher | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.airflow = airflow
        self._env = dict(env or {})
        self.results: list[StepResult] = []
        self.workspace = workspace
        self._launcher = launcher or Process()
        self._context = replace(context or RunnerContext(), run_attempt="0")

    def step(self, dag_id: str, /, **inputs: str) -> ActionStep:
        """Return the step of the next attempt, once Airflow knows the DAG."""
        self.airflow.wait_for_dag(dag_id)
        self._context = replace(self._context, run_attempt=str(int(self._context.run_attempt) + 1))
        own = {
            "airflow_url": self.airflow.url,
            "username": "user",
            "password": self.airflow.users["user"],
            "poll_interval": "1",
            "dag_id": dag_id,
        }
        return ActionStep(
            own | inputs,
            launcher=self._launcher,
            workspace=self.workspace,
            context=self._context,
            env=self._env,
        )

    def run(self, dag_id: str, /, **inputs: str) -> StepResult:
        result = self.step(dag_id, **inputs).run(timeout=TIMEOUT)
        self.results.append(result)
        return result


def verdict(result: StepResult) -> str:
    """Return title and message of the last annotation, after a check of the others."""
    *others, said = result.annotations
    expected = (
        "error"
        if result.exit_code
        else "warning"
        if json.loads(result.outputs.get("failed_tasks", "[]"))
        else "notice"
    )
    assert said.level == expected
    strangers = [
        note
        for note in others
        if not (note.file or note.title.startswith("Waiting: ") or is_about_http(note))
    ]
    assert strangers == []
    return f"{said.title}: {said.message}"


def is_about_http(note: Annotation) -> bool:
    """Whether an annotation is the warning about a connection without encryption."""
    return note.level == "warning" and "not encrypted" in note.title


def first_screen(result: StepResult) -> str:
    """Return the text of the summary before its table, which must be at most 25 lines."""
    lines = result.summary.splitlines()
    facts = next(
        (number for number, line in enumerate(lines) if line.startswith("| DAG | ")), len(lines)
    )
    page = read("\n".join(lines[: min(facts, SCREEN)]))
    return "\n".join([*page.headings, *page.prose, *page.blocks])


def fenced(result: StepResult) -> list[str]:
    """Return the lines that the step printed between stop-commands and its token."""
    found: list[str] = []
    end = None
    for line in result.raw.splitlines():
        if end is None and line.startswith("::stop-commands::"):
            end = f"::{line.removeprefix('::stop-commands::')}::"
        elif line == end:
            end = None
        elif end is not None:
            found.append(line)
    assert end is None, "stop-commands without its token"
    return found


def notices(result: StepResult) -> list[str]:
    """Return the titles of the notices about a run that does not move."""
    return [
        note.title
        for note in result.annotations
        if note.level == "notice" and note.title.startswith("Waiting: ")
    ]


def line_of(file: Path, text: str) -> int:
    """Return the number of the only line of a file that contains the text."""
    (number,) = (
        number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line
    )
    return number


def get(airflow: LocalAirflow, path: str) -> Any:
    """GET a path below the API's root as admin."""
    with airflow.session() as session:
        answer = session.get(f"{airflow.url}{airflow.api}{path}", timeout=REQUEST)
    answer.raise_for_status()
    return answer.json()


def trigger(airflow: LocalAirflow, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    """Trigger a DAG run without the action."""
    body = {"dag_run_id": run_id, "conf": conf} | (
        {"logical_date": None} if airflow.api == "/api/v2" else {}
    )
    post(airflow, f"/dags/{dag_id}/dagRuns", body)


def post(airflow: LocalAirflow, path: str, body: dict[str, Any], *, known: bool = False) -> None:
    """POST as admin; with `known` the object may exist already."""
    with airflow.session() as session:
        answer = session.post(f"{airflow.url}{airflow.api}{path}", json=body, timeout=REQUEST)
    if not (known and answer.status_code == 409):
        answer.raise_for_status()


def patch(airflow: LocalAirflow, path: str, **body: Any) -> None:
    """PATCH as admin."""
    with airflow.session() as session:
        answer = session.patch(f"{airflow.url}{airflow.api}{path}", json=body, timeout=REQUEST)
    answer.raise_for_status()


def the_run(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, Any]:
    """Return the only DAG run with this id, from Airflow's API."""
    (found,) = (run for run in airflow.runs(dag_id) if run["dag_run_id"] == run_id)
    return found


def task_states(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, str | None]:
    """Return the state of each task, from Airflow's API."""
    page = get(airflow, f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    return {task["task_id"]: task["state"] for task in page["task_instances"]}


def at_work(airflow: LocalAirflow, dag_id: str, run_id: str) -> bool:
    """Whether a task has a process of its own.

    Before that, a stop may be undone (`run/stop.py`).
    """
    page = get(airflow, f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    return any(task["state"] == "running" and task["pid"] for task in page["task_instances"])


def executions(airflow: LocalAirflow, run_id: str) -> Counter[str]:
    """Return how often each task was executed, as recorded by `dags/executions.py`."""
    file = airflow.home / "executions" / run_id
    return Counter(file.read_text().split() if file.exists() else ())


def open_gate(airflow: LocalAirflow, run_id: str) -> None:
    """Let a run of `gated` continue."""
    file = airflow.home / "open" / run_id
    file.parent.mkdir(exist_ok=True)
    file.touch()


def until(done: Callable[[], object], what: str) -> None:
    """Wait for a condition; fail after a timeout."""
    deadline = time.monotonic() + TIMEOUT
    while not done():
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.5)
