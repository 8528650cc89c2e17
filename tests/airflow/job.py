"""One job of a workflow run in front of a real Airflow, and Airflow's own record of what came of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dev.runner import Context, Process, Step
from tests.support.secrets import SHORTEST, assert_unseen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import StepResult

PATIENCE = 120.0
"""Seconds for what takes a few."""
RESUMED = "it was there already and had failed; continued from the tasks that had not succeeded"
"""What log and summary say of a run that this step has resumed."""


class Job:
    """A job whose one step can be attempted again, as "Re-run failed jobs" does: each attempt is the next one.

    `results` are those of the attempts that `run` has seen to their end. `context` is the workflow run's, to be shared by jobs
    that are to name the same DAG run.
    """

    def __init__(self, airflow: LocalAirflow, workspace: Path, context: Context | None = None) -> None:
        self.airflow = airflow
        self.results: list[StepResult] = []
        self.workspace = workspace
        self._context = replace(context or Context(), run_attempt="0")

    def step(self, dag_id: str, /, **inputs: str) -> Step:
        """The step of the next attempt, quick to look; inputs win over what is given here: URL, a user, `dag_id`.

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
        return Step(own | inputs, launcher=Process(), workspace=self.workspace, context=self._context)

    def run(self, dag_id: str, /, **inputs: str) -> StepResult:
        """The result of the next attempt."""
        result = self.step(dag_id, **inputs).run(timeout=PATIENCE)
        assert_unseen(result, *(secret for secret in result.masks if len(secret) >= SHORTEST))
        self.results.append(result)
        return result


def verdict(result: StepResult) -> str:
    """The one annotation that tells the verdict, title and message; beside it only the warning about http may be."""
    (said,) = (note for note in result.annotations if "not encrypted" not in note.title)
    assert said.level == ("error" if result.exit_code else "warning" if "Failed:" in said.message else "notice")
    return f"{said.title}: {said.message}"


def get(airflow: LocalAirflow, path: str) -> Any:
    """What Airflow's API shows its admin below its root."""
    with airflow.session() as session:
        answer = session.get(f"{airflow.url}{airflow.api}{path}", timeout=30)
    answer.raise_for_status()
    return answer.json()


def trigger(airflow: LocalAirflow, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    """Somebody else triggers a DAG run."""
    body = {"dag_run_id": run_id, "conf": conf} | ({"logical_date": None} if airflow.api == "/api/v2" else {})
    with airflow.session() as session:
        answer = session.post(f"{airflow.url}{airflow.api}/dags/{dag_id}/dagRuns", json=body, timeout=30)
    answer.raise_for_status()


def patch(airflow: LocalAirflow, path: str, **body: Any) -> None:
    """Somebody changes something by Airflow's API."""
    with airflow.session() as session:
        answer = session.patch(f"{airflow.url}{airflow.api}{path}", json=body, timeout=30)
    answer.raise_for_status()


def the_run(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, Any]:
    """The one DAG run with this id, by Airflow's own record."""
    (found,) = (run for run in airflow.runs(dag_id) if run["dag_run_id"] == run_id)
    return found


def task_states(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, str | None]:
    """The state of each task, by Airflow's own record."""
    page = get(airflow, f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    return {task["task_id"]: task["state"] for task in page["task_instances"]}


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
        time.sleep(0.1)
