"""One job of a workflow run in front of a real Airflow, and Airflow's own record of what came of
it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dev.runner import Context, Process, Step
from tests.support.markdown import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import Annotation, StepResult
    from dev.runner.launch import Launcher

PATIENCE = 240.0
"""Seconds for what takes a few."""
REQUEST = 60.0
"""Seconds for one answer of Airflow's."""
SCREEN = 25
"""Lines of Markdown that a reader sees without scrolling."""
RESUMED = "it was there already and had failed; continued from the tasks that had not succeeded"
"""What log and summary say of a run that this step has resumed."""


class Job:
    """A job whose one step can be attempted again, as "Re-run failed jobs" does: each attempt is
    the next one.

    `results` are those of the attempts that `run` has seen to their end. `context` is the workflow
    run's, to be shared by jobs that are to name the same DAG run. `launcher` starts its processes.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        workspace: Path,
        context: Context | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        self.airflow = airflow
        self.results: list[StepResult] = []
        self.workspace = workspace
        self._launcher = launcher or Process()
        self._context = replace(context or Context(), run_attempt="0")

    def step(self, dag_id: str, /, **inputs: str) -> Step:
        """The step of the next attempt, quick to look; inputs win over what is given here: URL, a
        user, `dag_id`.

        Returns when Airflow knows the DAG.
        """
        self.airflow.wait_for_dag(dag_id)
        self._context = replace(self._context, run_attempt=str(int(self._context.run_attempt) + 1))
        own = {
            "airflow_url": self.airflow.url,
            "username": "user",
            "password": self.airflow.users["user"],
            "poll_interval": "1",
            "dag_id": dag_id,
        }
        return Step(
            own | inputs, launcher=self._launcher, workspace=self.workspace, context=self._context
        )

    def run(self, dag_id: str, /, **inputs: str) -> StepResult:
        """The result of the next attempt."""
        result = self.step(dag_id, **inputs).run(timeout=PATIENCE)
        self.results.append(result)
        return result


def verdict(result: StepResult) -> str:
    """The last annotation, which tells the verdict: title and message; beside it are notices, and
    what is on the code.
    """
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
    """Whether an annotation is the warning about a connection that is not encrypted."""
    return note.level == "warning" and "not encrypted" in note.title


def first_screen(result: StepResult) -> str:
    """What a reader of the summary sees first: its text before the table of facts, of 25 lines at
    the most.
    """
    lines = result.summary.splitlines()
    facts = next(
        (number for number, line in enumerate(lines) if line.startswith("| DAG | ")), len(lines)
    )
    page = read("\n".join(lines[: min(facts, SCREEN)]))
    return "\n".join([*page.headings, *page.prose, *page.blocks])


def fenced(result: StepResult) -> list[str]:
    """The lines that the step printed behind a fence, so that no command in them is obeyed."""
    found: list[str] = []
    end = None
    for line in result.raw.splitlines():
        if end is None and line.startswith("::stop-commands::"):
            end = f"::{line.removeprefix('::stop-commands::')}::"
        elif line == end:
            end = None
        elif end is not None:
            found.append(line)
    assert end is None, "a fence was left open"
    return found


def notices(result: StepResult) -> list[str]:
    """What the step said of a DAG run that does not move, while it waited for it: the titles of
    those annotations.
    """
    return [
        note.title
        for note in result.annotations
        if note.level == "notice" and note.title.startswith("Waiting: ")
    ]


def line_of(file: Path, text: str) -> int:
    """The number of the one line of a file that contains the text."""
    (number,) = (
        number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line
    )
    return number


def get(airflow: LocalAirflow, path: str) -> Any:
    """What Airflow's API shows its admin below its root."""
    with airflow.session() as session:
        answer = session.get(f"{airflow.url}{airflow.api}{path}", timeout=REQUEST)
    answer.raise_for_status()
    return answer.json()


def trigger(airflow: LocalAirflow, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    """Somebody else triggers a DAG run."""
    body = {"dag_run_id": run_id, "conf": conf} | (
        {"logical_date": None} if airflow.api == "/api/v2" else {}
    )
    post(airflow, f"/dags/{dag_id}/dagRuns", body)


def post(airflow: LocalAirflow, path: str, body: dict[str, Any], *, known: bool = False) -> None:
    """Somebody makes something by Airflow's API; `known`: it may be there already."""
    with airflow.session() as session:
        answer = session.post(f"{airflow.url}{airflow.api}{path}", json=body, timeout=REQUEST)
    if not (known and answer.status_code == 409):
        answer.raise_for_status()


def patch(airflow: LocalAirflow, path: str, **body: Any) -> None:
    """Somebody changes something by Airflow's API."""
    with airflow.session() as session:
        answer = session.patch(f"{airflow.url}{airflow.api}{path}", json=body, timeout=REQUEST)
    answer.raise_for_status()


def the_run(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, Any]:
    """The one DAG run with this id, by Airflow's own record."""
    (found,) = (run for run in airflow.runs(dag_id) if run["dag_run_id"] == run_id)
    return found


def task_states(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, str | None]:
    """The state of each task, by Airflow's own record."""
    page = get(airflow, f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    return {task["task_id"]: task["state"] for task in page["task_instances"]}


def at_work(airflow: LocalAirflow, dag_id: str, run_id: str) -> bool:
    """Whether a task of a DAG run has a process of its own, before which a stop may be undone
    (`run/stop.py`).
    """
    page = get(airflow, f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    return any(task["state"] == "running" and task["pid"] for task in page["task_instances"])


def executions(airflow: LocalAirflow, run_id: str) -> Counter[str]:
    """How often each task was executed, by the tasks' own record (`dags/executions.py`)."""
    file = airflow.home / "executions" / run_id
    return Counter(file.read_text().split() if file.exists() else ())


def open_gate(airflow: LocalAirflow, run_id: str) -> None:
    """Let a run of `gated` go on."""
    file = airflow.home / "open" / run_id
    file.parent.mkdir(exist_ok=True)
    file.touch()


def until(done: Callable[[], object], what: str) -> None:
    """Return as soon as it is done; an assertion fails if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.5)
