"""Runs that do not move. Two steps look at each: one waits until it has said why, the other until
its time is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.job import PATIENCE, open_gate, patch, post, task_states, the_run, until
from tests.airflow.scenarios.users import ONLY_TASKS

if TYPE_CHECKING:
    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult
    from tests.airflow.scenario import Stage

HOLDER = "the-one-before"
"""The DAG run that takes what another one needs."""
WAITING = "the-one-behind"


def paused_dag(stage: Stage) -> StepResult:
    stage.airflow.wait_for_dag("paused_dag")
    stage.airflow.pause("paused_dag")
    with stage.started("paused_dag", run_id=WAITING, if_paused="queue") as waiting:
        return notice_and_end(stage, "paused", "paused_dag", waiting)


def held(stage: Stage) -> StepResult:
    """Pause the DAG while its first task runs and a step waits for its run; then let the task
    end.
    """
    airflow = stage.airflow
    with stage.started("held", run_id=WAITING) as waiting:
        waiting.wait_for("hold is running", PATIENCE)
        airflow.pause("held")
        open_gate(airflow, WAITING)
        waiting.wait_for("hold succeeded", PATIENCE)
        result = notice_and_end(stage, "paused meanwhile", "held", waiting)
    airflow.pause("held", False)
    return result


def one_at_a_time(stage: Stage) -> StepResult:
    """Occupy the only run that the DAG may have."""
    airflow, dag_id = stage.airflow, "one_at_a_time"
    stage.trigger(dag_id, HOLDER, {"seconds": 600})
    until(lambda: the_run(airflow, dag_id, HOLDER)["state"] == "running", "running")
    with stage.started(dag_id, run_id=WAITING) as waiting:
        result = notice_and_end(stage, "crowded", dag_id, waiting)
    _stop(airflow, dag_id, HOLDER)
    return result


def full_pool(stage: Stage) -> StepResult:
    """Occupy the only slot of a pool, and queue a second run for it."""
    airflow, dag_id = stage.airflow, "full_pool"
    post(airflow, "/pools", {"name": "tiny", "slots": 1}, known=True)
    stage.trigger(dag_id, HOLDER, {"seconds": 600})
    until(lambda: task_states(airflow, dag_id, HOLDER)["occupy"] == "running", "in the pool")
    with stage.started(dag_id, run_id=WAITING) as waiting:
        until(
            lambda: task_states(airflow, dag_id, WAITING).get("occupy") == "scheduled",
            "before the pool",
        )
        if airflow.api == "/api/v1":
            stage.begin("no pools", _out_of_time, dag_id, stage.credential(ONLY_TASKS))
        result = notice_and_end(stage, "full pool", dag_id, waiting)
        if airflow.api == "/api/v1":
            stage.over("no pools")
    _stop(airflow, dag_id, HOLDER)
    return result


def human_input(stage: Stage) -> StepResult:
    dag_id, asks = "human_input", "awaiting_input"
    with stage.started(dag_id, run_id=WAITING) as waiting:
        until(
            lambda: task_states(stage.airflow, dag_id, WAITING).get("approve") == asks,
            "asking a human",
        )
        return notice_and_end(stage, "human", dag_id, waiting)


PLAYS = {
    "paused meanwhile": held,
    "full pool": full_pool,
    "crowded": one_at_a_time,
    "paused": paused_dag,
    "human": human_input,
}
"""By name; each function has the name of its DAG."""


def notice_and_end(stage: Stage, name: str, dag_id: str, waiting: RunningStep) -> StepResult:
    """Let another step run out of time, wait until this one has said why nothing moves, then cancel
    it with its run.
    """
    stage.begin(f"{name}, in the end", _out_of_time, dag_id, {})
    waiting.wait_for("::notice title=Waiting", PATIENCE)
    stage.over(f"{name}, in the end")
    return waiting.cancel()


def _out_of_time(stage: Stage, dag_id: str, inputs: dict[str, str]) -> StepResult:
    return stage.watch(dag_id, WAITING, timeout="2s", if_paused="queue", **inputs)


def _stop(airflow: LocalAirflow, dag_id: str, *run_ids: str) -> None:
    for run_id in run_ids:
        patch(airflow, f"/dags/{dag_id}/dagRuns/{run_id}", state="failed")
