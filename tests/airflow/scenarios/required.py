"""Steps that named tasks decide while their DAG run goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import nan
from typing import TYPE_CHECKING

from entrypoint.run.required_tasks import fitting
from tests.airflow.job import TIMEOUT, get, open_gate, the_run, until
from tests.airflow.scenarios.users import ONLY_RUNS

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner

DAG = "required"
DECIDED = "required task instances succeeded"
"""The end of the line in the log when the tasks have decided."""
MODES: dict[str, tuple[str, str, list[str]]] = {
    "success": ("main", "success", ["Oslo", "Lyon"]),
    "retried": ("main.load", "retried", []),
    "failed": ("main.l*", "failed", []),
    "skipped": ("main.load\nmain.each", "skipped", ["Oslo"]),
    "mapped over nothing": ("main.each", "success", []),
}
"""By name: the required tasks, what `load` does, and over what `each` is mapped."""

REFUSED: dict[str, object] = {"mode": "none", "shops": []}
"""The conf of a step that Airflow refuses."""

late: dict[tuple[str, str], float] = {}
"""Seconds from the end of the deciding task to the decision, by version and name."""


def decided(scenarios: ScenarioRunner, name: str) -> StepResult:
    """Return the result of the step, once the run has ended too. Its outputs show the decision."""
    lines, mode, shops = MODES[name]
    inputs = {"required_tasks": lines, "conf": json.dumps({"mode": mode, "shops": shops})}
    if name == "retried":
        # Only one polls as often as it does by itself, because Airflow serves many others.
        inputs["poll_interval"] = ""
    with scenarios.started(DAG, **inputs) as running:
        running.wait_for(DECIDED, TIMEOUT)
        now = datetime.now(UTC)
        result = running.wait(TIMEOUT)
    run_id = result.outputs["run_id"]
    page = get(scenarios.airflow, f"/dags/{DAG}/dagRuns/{run_id}/taskInstances")
    ends = [
        datetime.fromisoformat(task["end_date"])
        for task in page["task_instances"]
        if fitting(lines.split("\n")[0], [task["task_id"]]) and task["end_date"]
    ]
    # Airflow does not say when it skipped a task that is mapped over nothing.
    late[scenarios.airflow.version, name] = min(
        ((now - end).total_seconds() for end in ends if end <= now), default=nan
    )
    assert the_run(scenarios.airflow, DAG, run_id)["state"] == "running"
    open_gate(scenarios.airflow, run_id)
    until(lambda: the_run(scenarios.airflow, DAG, run_id)["state"] == "success", "a success")
    return result


def not_permitted(scenarios: ScenarioRunner) -> StepResult:
    """A credential that may not read tasks (Airflow 2; each role of Airflow 3 may)."""
    conf = json.dumps(REFUSED)
    return scenarios.refused(
        DAG, required_tasks="main", conf=conf, **scenarios.credential(ONLY_RUNS)
    )
