"""Example objects of the action's own types. Asserts nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrypoint.models import (
    DagRun,
    Outcome,
    Report,
    RunRequest,
    StepOutcome,
    TaskInstance,
    TaskList,
)
from entrypoint.runners.base import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)
RUN_URL = "https://airflow.example.com/dags/nightly_sales/runs/r1"
REQUIRED_INPUTS = {
    "airflow_url": "https://airflow.example.com",
    "token": "airflow-access-token",
    "dag_id": "sales",
}
SHA = "0123456789abcdef0123456789abcdef01234567"


def a_context(**changes: Any) -> Context:
    context = Context(
        system="github",
        sha=SHA,
        repository="octo-org/sales",
        run_id="8000000001",
        attempt=1,
        job="gate",
        step="dag",
        actor="octocat",
        run_url="https://github.com/octo-org/sales/actions/runs/8000000001",
        commit_url=f"https://github.com/octo-org/sales/commit/{SHA}",
        api_url="https://api.github.com",
        workspace=Path("/github/workspace"),
        job_path="gate.__default",
    )
    return context._replace(**changes)


def a_request(**changes: Any) -> RunRequest:
    return RunRequest(dag_id="nightly_sales", run_id="r1", conf={})._replace(**changes)


def a_run(**changes: Any) -> DagRun:
    """Return a DAG run that took 132.4 s and succeeded."""
    run = DagRun(
        "nightly_sales", "r1", "success", {}, START, START, START + timedelta(seconds=132.4)
    )
    return run._replace(**changes)


def a_report(**changes: Any) -> Report:
    """Return the commit status of a run, with a deployment id besides."""
    url = f"https://api.github.com/repos/octo-org/sales/statuses/{SHA}"
    return Report("commit status", "airflow / nightly_sales", SHA, "pending", url, 7)._replace(
        **changes
    )


def a_task(task_id: str = "extract", **changes: Any) -> TaskInstance:
    """Return a task instance that succeeded on its first try."""
    return TaskInstance(task_id, -1, "success", 1, 4.2, f"{RUN_URL}/tasks/{task_id}")._replace(
        **changes
    )


def a_list(*tasks: TaskInstance) -> TaskList:
    return TaskList(tasks, len(tasks))


@dataclass
class ManyTasks:
    """An Airflow that only has task instances.

    It filters and counts them, and records the calls.
    """

    tasks: Sequence[TaskInstance] = ()
    calls: list[tuple[tuple[str, ...], int | None]] = field(default_factory=list)

    def task_instances(
        self,
        _dag: str,
        _run: str,
        *,
        states: tuple[str, ...] = (),
        changed_since: datetime | None = None,  # noqa: ARG002 - everything has just changed
        most: int | None = None,
    ) -> TaskList:
        self.calls.append((states, most))
        found = [task for task in self.tasks if not states or (task.state or "none") in states]
        return TaskList(tuple(found[:most]), len(found))


def an_outcome(**changes: Any) -> Outcome:
    """Return a success with one task, on Airflow 3.3.2."""
    outcome = Outcome(
        result="success",
        request=a_request(),
        run=a_run(),
        run_url=RUN_URL,
        created=True,
        tasks=(a_task(),),
        airflow_version="3.3.2",
        waited=140.0,
    )
    return outcome._replace(**changes)


def a_step(*outcomes: Outcome) -> StepOutcome:
    """Return the outcome of a step with these DAG runs."""
    return StepOutcome(outcomes)
