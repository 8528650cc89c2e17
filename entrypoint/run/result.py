"""From what Airflow said to what the gate decided. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.errors import ActionError

if TYPE_CHECKING:
    from entrypoint.models import DagRun, Result, TaskInstance


def result_of(
    run: DagRun, *, wait: bool, failed_tasks: bool = False, stale_mark: bool = False
) -> Result:
    """Return the result for a run as it was last seen. Only Airflow's own `success` is a success.

    Args: run: the DAG run of this step, and no other. One that a cancelled workflow has stopped has
        failed, whatever the scheduler made of it, and whose workflow it was. wait: the input:
        without waiting an accepted run is enough, but one that has failed already is not.
        failed_tasks: whether tasks failed and the user does not accept that
        (`fail_on_failed_tasks`). stale_mark: whether the mark of such a stop is from before the run
        was cleared, and could not be removed.
    """
    if run.cancelled and run.ended and not stale_mark:
        return "failed"
    if run.state == "success":
        return "failed" if failed_tasks else "success"
    if run.state == "failed":
        return "failed"
    return "timeout" if wait else "triggered"


def has_failed_tasks(run: DagRun, tasks: tuple[TaskInstance, ...] | None) -> bool:
    """Return whether task instances failed.

    Raises:
        ActionError: the run is a success, and that cannot be known: a green would be a guess.
    """
    if tasks is None and run.state == "success":
        raise ActionError(
            "Whether tasks failed could not be read",
            "Airflow calls the run a success, but fail_on_failed_tasks is true and its "
            "task instances could not be read.",
            'Give the credential the permission "can read on Task Instances", then re-run '
            "this job: nothing runs again.",
        )
    return any(task.state == "failed" for task in tasks or ())
