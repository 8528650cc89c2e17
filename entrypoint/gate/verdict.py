"""From what Airflow said to what the gate decided. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.errors import ActionError

if TYPE_CHECKING:
    from entrypoint.models import DagRun, Result, TakenOver, TaskInstance


def judge(run: DagRun, taken_over: TakenOver | None, *, wait: bool, red_tasks: bool = False) -> Result:
    """Return the result for a run as it was last seen. Only Airflow's own `success` is a success.

    Args:
        run: the DAG run of this step, and no other.
        taken_over: what was done about it if it was there already. A run that an earlier attempt cancelled, and that was
            not brought back to life, has failed whatever the scheduler made of it.
        wait: the input: without waiting an accepted run is enough, but one that has failed already is not.
        red_tasks: whether tasks failed and the user does not accept that (`fail_on_failed_tasks`).
    """
    if run.cancelled and taken_over == "attached" and run.ended:
        return "failed"
    if run.state == "success":
        return "failed" if red_tasks else "success"
    if run.state == "failed":
        return "failed"
    return "timeout" if wait else "triggered"


def has_red_tasks(run: DagRun, tasks: tuple[TaskInstance, ...] | None) -> bool:
    """Return whether task instances failed.

    Raises:
        ActionError: the run is a success, and that cannot be known: a green would be a guess.
    """
    if tasks is None and run.state == "success":
        raise ActionError(
            "Whether tasks failed could not be read",
            "Airflow calls the run a success, but fail_on_failed_tasks is true and its task instances could not be read.",
            'Give the credential the permission "can read on Task Instances", then re-run this job: nothing runs again.',
        )
    return any(task.state == "failed" for task in tasks or ())
