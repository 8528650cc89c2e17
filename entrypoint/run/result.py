"""Derive the step's result from the state of the DAG run.

It is pure: it sends no request and does not know why tasks failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrypoint.models import DagRun, Result, TaskVerdict


def result_of(
    run: DagRun,
    *,
    wait: bool,
    failed_tasks: bool = False,
    stale_mark: bool = False,
    verdict: TaskVerdict | None = None,
) -> Result:
    """Return the result for the last known state of a run.

    Only the state `success` is a success, or that of all required tasks. A run that a cancelled
    workflow has stopped counts as failed, whichever workflow that was, and whatever state the
    scheduler sets afterwards.

    Args:
        run: the DAG run of this step.
        wait: the input `wait`; without waiting an accepted run is enough, unless it has failed.
        failed_tasks: whether tasks failed and `fail_on_failed_tasks` makes that a failure.
        stale_mark: whether the run's note still has CANCELLED_MARK from before this step cleared
            the run, because the mark could not be removed.
        verdict: what the required tasks have decided; None if the run decides.
    """
    if run.cancelled and run.ended and not stale_mark:
        return "failed"
    if verdict is not None:
        return verdict.result or ("failed" if run.ended else "timeout")
    if run.state == "success":
        return "failed" if failed_tasks else "success"
    if run.state == "failed":
        return "failed"
    return "timeout" if wait else "triggered"
