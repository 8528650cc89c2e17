"""Runs that do not move: one step waits until it says why, another until its timeout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.job import TIMEOUT, open_gate, patch, post, task_states, the_run, until
from tests.airflow.scenarios.users import ONLY_TASKS

if TYPE_CHECKING:
    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult
    from tests.airflow.scenario import ScenarioRunner

HOLDER = "the-one-before"
"""The DAG run that occupies what another one needs."""
WAITING = "the-one-behind"


def paused_dag(scenarios: ScenarioRunner) -> StepResult:
    scenarios.airflow.wait_for_dag("paused_dag")
    scenarios.airflow.pause("paused_dag")
    with scenarios.started("paused_dag", run_id=WAITING, if_paused="queue") as waiting:
        return notice_and_end(scenarios, "paused", "paused_dag", waiting)


def held(scenarios: ScenarioRunner) -> StepResult:
    """Pause the DAG while its first task runs and a step waits for the run."""
    airflow = scenarios.airflow
    with scenarios.started("held", run_id=WAITING) as waiting:
        waiting.wait_for("hold is running", TIMEOUT)
        airflow.pause("held")
        open_gate(airflow, WAITING)
        waiting.wait_for("hold succeeded", TIMEOUT)
        result = notice_and_end(scenarios, "paused while waiting", "held", waiting)
    airflow.pause("held", False)
    return result


def one_at_a_time(scenarios: ScenarioRunner) -> StepResult:
    """Occupy the only run that the DAG may have."""
    airflow, dag_id = scenarios.airflow, "one_at_a_time"
    scenarios.trigger(dag_id, HOLDER, {"seconds": 600})
    until(lambda: the_run(airflow, dag_id, HOLDER)["state"] == "running", "running")
    with scenarios.started(dag_id, run_id=WAITING) as waiting:
        result = notice_and_end(scenarios, "crowded", dag_id, waiting)
    _stop(airflow, dag_id, HOLDER)
    return result


def full_pool(scenarios: ScenarioRunner) -> StepResult:
    """Occupy the only slot of a pool, and queue a second run for it."""
    airflow, dag_id = scenarios.airflow, "full_pool"
    post(airflow, "/pools", {"name": "tiny", "slots": 1}, known=True)
    scenarios.trigger(dag_id, HOLDER, {"seconds": 600})
    until(lambda: task_states(airflow, dag_id, HOLDER)["occupy"] == "running", "in the pool")
    with scenarios.started(dag_id, run_id=WAITING) as waiting:
        until(
            lambda: task_states(airflow, dag_id, WAITING).get("occupy") == "scheduled",
            "before the pool",
        )
        if airflow.api == "/api/v1":
            scenarios.begin("no pools", _out_of_time, dag_id, scenarios.credential(ONLY_TASKS))
        result = notice_and_end(scenarios, "full pool", dag_id, waiting)
        if airflow.api == "/api/v1":
            scenarios.wait_until_done("no pools")
    _stop(airflow, dag_id, HOLDER)
    return result


def human_input(scenarios: ScenarioRunner) -> StepResult:
    dag_id, asks = "human_input", "awaiting_input"
    with scenarios.started(dag_id, run_id=WAITING) as waiting:
        until(
            lambda: task_states(scenarios.airflow, dag_id, WAITING).get("approve") == asks,
            "asking a human",
        )
        return notice_and_end(scenarios, "human", dag_id, waiting)


SCENARIOS = {
    "paused while waiting": held,
    "full pool": full_pool,
    "crowded": one_at_a_time,
    "paused": paused_dag,
    "human": human_input,
}
"""By name. Each function has the name of its DAG."""


def notice_and_end(
    scenarios: ScenarioRunner, name: str, dag_id: str, waiting: RunningStep
) -> StepResult:
    """Let another step time out, wait until this step says why nothing moves, then cancel it."""
    scenarios.begin(f"{name}, in the end", _out_of_time, dag_id, {})
    waiting.wait_for("::notice title=Waiting", TIMEOUT)
    scenarios.wait_until_done(f"{name}, in the end")
    return waiting.cancel()


def _out_of_time(scenarios: ScenarioRunner, dag_id: str, inputs: dict[str, str]) -> StepResult:
    return scenarios.watch(dag_id, WAITING, timeout="2s", if_paused="queue", **inputs)


def _stop(airflow: LocalAirflow, dag_id: str, *run_ids: str) -> None:
    for run_id in run_ids:
        patch(airflow, f"/dags/{dag_id}/dagRuns/{run_id}", state="failed")
