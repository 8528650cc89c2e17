"""Several DAGs in one step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner

GOOD = ("quick_success", "xcoms", "empty_many")
BAD = ("quick_failure", "chained_failure", "branching")
SLOW = "too_slow"
"""Its dagrun_timeout ends it as failed."""
TYPED = 'typed_params {"days": 3, "customer": "Acme"}'
MIXED = (*GOOD, *BAD, "succeeds_with_failed_task", SLOW, TYPED, "retries_exhausted")
WRONG = (
    "quick_success",
    "paused_dag",
    "no_such_dag",
    'typed_params {"days": "five", "customer": "Acme"}',
)


def _run(scenarios: ScenarioRunner, lines: tuple[str, ...], **inputs: str) -> StepResult:
    for line in lines:
        if line != "no_such_dag":
            scenarios.airflow.wait_for_dag(line.split()[0])
    job = scenarios.job()
    given = {"dag_id": "", "dags": "\n".join(lines), "max_parallel": "3", "poll_interval": "2"}
    first = job.run("quick_success", **(given | inputs))
    if inputs.get("run_id") != "again":
        return first
    return job.run("quick_success", **(given | inputs))


def mixed(scenarios: ScenarioRunner) -> StepResult:
    """Ten DAGs with mixed ends, three at the same time."""
    return _run(scenarios, MIXED)


def again(scenarios: ScenarioRunner) -> StepResult:
    """A re-run of a step of which one DAG failed."""
    return _run(scenarios, ("quick_success", "quick_failure"), run_id="again")


def refused(scenarios: ScenarioRunner) -> StepResult:
    """DAGs of which most cannot run."""
    return _run(scenarios, WRONG)


def ids(result: StepResult) -> dict[str, str]:
    """Return the result of each DAG run."""
    return {run["dag_id"]: run["result"] for run in json.loads(result.outputs["runs"])}
