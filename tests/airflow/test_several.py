"""Several DAGs in one step, with real Airflows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import get
from tests.airflow.scenarios.several import BAD, GOOD, SLOW, ids

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner


def test_each_of_ten_dags_has_its_own_end(scenarios: ScenarioRunner) -> None:
    result = scenarios["several"]
    found = ids(result)
    failed = {*BAD, SLOW, "retries_exhausted"}

    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert list(found) == [
        *GOOD,
        *BAD,
        "succeeds_with_failed_task",
        SLOW,
        "typed_params",
        "retries_exhausted",
    ]
    assert {dag_id for dag_id, end in found.items() if end == "failed"} == failed, result.log
    assert set(found.values()) == {"failed", "success"}
    assert set(json.loads(result.outputs["failed_dags"])) == failed
    assert result.outputs.get("state", "") == ""
    errors = [note.title for note in result.annotations if note.level == "error"]
    assert {title.split(":")[0] for title in errors} == failed
    assert result.summary.startswith("## ❌ Not all DAGs succeeded")


def test_nothing_is_triggered_if_one_dag_cannot_run(scenarios: ScenarioRunner) -> None:
    result = scenarios["several refused"]

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    (error,) = [note for note in result.annotations if note.level == "error"]
    assert error.title == "Not all of the DAGs can run"
    for line in (
        "paused_dag: The DAG is paused",
        "no_such_dag: Airflow has no such DAG",
        "typed_params: Airflow refused the DAG run's parameters. param days",
    ):
        assert line in error.message
    for run in json.loads(result.outputs["runs"]):
        assert "run_id" not in run


def test_a_rerun_runs_only_what_failed(scenarios: ScenarioRunner) -> None:
    result = scenarios["several again"]
    runs = {run["dag_id"]: run for run in json.loads(result.outputs["runs"])}

    assert {dag_id: run["result"] for dag_id, run in runs.items()} == {
        "quick_success": "success",
        "quick_failure": "failed",
    }
    assert {dag_id: run["created"] for dag_id, run in runs.items()} == {
        "quick_success": False,
        "quick_failure": False,
    }
    for dag_id, tries in (("quick_success", 1), ("quick_failure", 2)):
        path = f"/dags/{dag_id}/dagRuns/again/taskInstances"
        (task,) = get(scenarios.airflow, path)["task_instances"]
        assert task["try_number"] == tries
