"""DAG files that reach Airflow's folder shortly before or while a step waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.job import TIMEOUT, Job, until
from tests.airflow.scenarios.files import dag_file, is_import_error

if TYPE_CHECKING:
    from dev.runner import ActionStep, StepResult
    from tests.airflow.scenario import ScenarioRunner

WAIT = "4m"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_DAG = '''"""An Airflow DAG that says which version of its file it is."""

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False)
def {dag_id}():
    @task
    def which():
        return {number}

    which()


{dag_id}()
'''


def copied_in(scenarios: ScenarioRunner) -> StepResult:
    """The file is copied while the step waits for the DAG."""
    return _copy_while_waiting(
        scenarios, scenarios.job(), "copied_in", _DAG.format(dag_id="copied_in", number=1)
    )


def copied_in_broken(scenarios: ScenarioRunner) -> StepResult:
    """The copied file does not import."""
    return _copy_while_waiting(
        scenarios,
        scenarios.job(scenarios.checkout),
        "copied_in_broken",
        _broken("copied_in_broken"),
    )


def fixed(scenarios: ScenarioRunner) -> StepResult:
    """A step starts with an import error of the DAG's file; then a fixed file is copied."""
    with dag_file(scenarios, "fixed.py", _broken("fixed")):
        until(lambda: is_import_error(scenarios.airflow, "fixed.py"), "an import error")
        return _copy_while_waiting(
            scenarios, scenarios.job(), "fixed", _DAG.format(dag_id="fixed", number=2)
        )


def replaced(scenarios: ScenarioRunner) -> StepResult:
    """A step starts immediately after the file of the DAG was replaced."""
    with dag_file(scenarios, "replaced.py", _DAG.format(dag_id="replaced", number=1)):
        scenarios.airflow.wait_for_dag("replaced")
        with dag_file(scenarios, "replaced.py", _DAG.format(dag_id="replaced", number=2)):
            return _step(scenarios.job(), "replaced", wait_for_dag=WAIT, xcom="which").run(
                timeout=TIMEOUT
            )


def no_commits(scenarios: ScenarioRunner) -> StepResult:
    """A step expects a commit, but Airflow or the bundle has no versions."""
    return _step(scenarios.job(), "quick_success", expect_commit=COMMIT, wait_for_dag=WAIT).run(
        timeout=TIMEOUT
    )


def _copy_while_waiting(scenarios: ScenarioRunner, job: Job, dag_id: str, text: str) -> StepResult:
    """Copy the file once the step waits for its DAG; return the step's result."""
    with _step(job, dag_id, wait_for_dag=WAIT).start() as running:
        running.wait_for(" more for new code", TIMEOUT)
        with dag_file(scenarios, f"{dag_id}.py", text):
            return running.wait(TIMEOUT)


def _step(job: Job, dag_id: str, **inputs: str) -> ActionStep:
    return job.step("quick_success", dag_id=dag_id, **inputs)


def _broken(dag_id: str) -> str:
    return _DAG.format(dag_id=dag_id, number=1).replace("return 1", "return 1 +")
