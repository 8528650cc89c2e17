"""DAG files that reach Airflow's folder while a step waits for them, and others that just did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.job import PATIENCE, Job, until
from tests.airflow.scenarios.files import dag_file, is_import_error

if TYPE_CHECKING:
    from dev.runner import Step, StepResult
    from tests.airflow.scenario import Stage

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


def copied_in(stage: Stage) -> StepResult:
    """A step waits for a DAG whose file comes only when it waits already."""
    return _meanwhile(stage, stage.job(), "copied_in", _DAG.format(dag_id="copied_in", number=1))


def copied_in_broken(stage: Stage) -> StepResult:
    """The same with a file that does not import."""
    return _meanwhile(
        stage, stage.job(stage.checkout), "copied_in_broken", _broken("copied_in_broken")
    )


def mended(stage: Stage) -> StepResult:
    """A step begins while Airflow has an import error of the DAG's file, and a file without one
    comes then.
    """
    with dag_file(stage, "mended.py", _broken("mended")):
        until(lambda: is_import_error(stage.airflow, "mended.py"), "an import error")
        return _meanwhile(stage, stage.job(), "mended", _DAG.format(dag_id="mended", number=2))


def replaced(stage: Stage) -> StepResult:
    """The file of a DAG that is there is replaced, and a step begins at once."""
    with dag_file(stage, "replaced.py", _DAG.format(dag_id="replaced", number=1)):
        stage.airflow.wait_for_dag("replaced")
        with dag_file(stage, "replaced.py", _DAG.format(dag_id="replaced", number=2)):
            return _step(stage.job(), "replaced", wait_for_dag=WAIT, xcom="which").run(
                timeout=PATIENCE
            )


def no_commits(stage: Stage) -> StepResult:
    """A step expects a commit of an Airflow, or a bundle, that knows none."""
    return _step(stage.job(), "quick_success", expect_commit=COMMIT, wait_for_dag=WAIT).run(
        timeout=PATIENCE
    )


def _meanwhile(stage: Stage, job: Job, dag_id: str, text: str) -> StepResult:
    """The result of a step that waits for a DAG, whose file comes as soon as it says so."""
    with _step(job, dag_id, wait_for_dag=WAIT).start() as running:
        running.wait_for("Looking for ", PATIENCE)
        with dag_file(stage, f"{dag_id}.py", text):
            return running.wait(PATIENCE)


def _step(job: Job, dag_id: str, **inputs: str) -> Step:
    return job.step("quick_success", dag_id=dag_id, **inputs)


def _broken(dag_id: str) -> str:
    return _DAG.format(dag_id=dag_id, number=1).replace("return 1", "return 1 +")
