"""What is done about a DAG run that exists already: an earlier attempt of this workflow made it, or
the user chose its id.

Waiting for it, continuing it from what did not succeed, or starting it over; never making a second
one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from entrypoint.errors import (
    ActionError,
    Forbidden,
    RunExists,
    RunNotFound,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import Refusals
from entrypoint.models import CANCELLED_MARK
from entrypoint.run.comparison import conf_differences

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from entrypoint.airflow.client import Airflow
    from entrypoint.airflow.rest import TasksToClear
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, IfRunExists, RunRequest, TakenOver, TaskInstance
    from entrypoint.runners.base import Context

TakeOverAction = Literal["wait", "resume", "restart"]

COMPARED_FIELDS = (
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "partition_key",
)
"""What a step may ask for beside `conf`, as requests and runs name it."""

SKIP_MARGIN_SECONDS = 10.0
"""Seconds before a run's end, or before its first failure, in which that may have skipped a task:
milliseconds as measured, more with many tasks, or where the clocks of Airflow's machines differ."""

MAX_CLEAR_ATTEMPTS = 5
"""How often a clear is repeated although reading works and says that it did not take effect."""


def differences(found: DagRun, request: RunRequest) -> list[str]:
    """Return in what the run is not what this step asks for, a phrase each.

    Compared is all that this step asks for and that this Airflow tells of a run.
    """
    told = conf_differences(found.conf, request.conf)
    for name in COMPARED_FIELDS:
        asked, is_ = getattr(request, name), getattr(found, name)
        if asked is not None and name not in found.unknown_fields and asked != is_:
            told.append(f"{name} is {is_}, this step asks for {asked}")
    return told


def require_same_request(found: DagRun, request: RunRequest) -> None:
    """Raise RunExists unless the run is what this step asks for: a green for another request would
    be a false one.
    """
    if told := differences(found, request):
        raise RunExists(
            "The run id is taken by another request",
            f"The DAG run {request.run_id} exists, and its {'; its '.join(told)}.",
            "Give this step a run_id of its own, or leave run_id out.",
        )


def require_own_run(found: DagRun, context: Context) -> None:
    """Raise RunExists if the run, which has the id that this step derives, is another call's of one
    reusable workflow.

    No step runs twice in the first attempt of a workflow run. Where the runner tells which call
    this is, the id does.
    """
    if context.system == "github" and not context.job_path and context.attempt == 1:
        raise RunExists(
            "The DAG run is another call's",
            f"The DAG run {found.run_id} of {found.dag_id} was there before this step "
            "asked for it, in the first attempt of "
            "this workflow run. So another job made it, most likely another call of the "
            "same reusable workflow, and this "
            "runner does not tell the two apart.",
            "Give each call a run_id of its own, for example by an input of the reusable workflow.",
        )


def plan(found: DagRun, policy: IfRunExists) -> TakeOverAction:
    """Return what the table in README.md says for this state and policy. Raises RunExists."""
    if policy == "fail":
        raise RunExists(
            "The DAG run exists already",
            f"Airflow has the run {found.run_id} of {found.dag_id}; it is {found.state}. "
            "if_run_exists is fail.",
            "Give this step a run_id that is new, or set if_run_exists to resume, attach "
            "or restart.",
        )
    if not found.ended or policy == "attach":
        return "wait"
    if policy == "restart":
        return "restart"
    return "wait" if found.state == "success" and not found.cancelled else "resume"


def take_over(
    airflow: Airflow, found: DagRun, todo: TakeOverAction, retrier: Retrier, *, until: float
) -> tuple[DagRun, TakenOver]:
    """Bring the run back to life if that is planned.

    Returns: The run as it is afterwards, and what was done. Its old end is never returned as the
        new one.

    Raises: Forbidden: clearing is not allowed. TransientError, UnexpectedResponse: it could not be
        cleared, or not be found out whether it was.
    """
    if todo == "wait":
        return found, "attached"
    tasks: TasksToClear = "all"
    if todo == "resume":
        every = retrier.read(
            partial(airflow.task_instances, found.dag_id, found.run_id),
            until=until,
            retry_refused=True,
        )
        again = _to_continue(found, every.instances)
        tasks = again or "all"
        if skipped := [task for task in again if task.state == "skipped"]:
            retrier.events.skipped_tasks_cleared(skipped)
    cleared = _clear(
        airflow, found, partial(airflow.clear, found.dag_id, found.run_id, tasks), retrier, until
    )
    if found.cancelled:
        cleared = _without_mark(
            airflow, cleared, (found.note or "").replace(CANCELLED_MARK, "").strip(), retrier, until
        )
    return cleared, "resumed" if todo == "resume" else "restarted"


def _to_continue(found: DagRun, tasks: tuple[TaskInstance, ...]) -> tuple[TaskInstance, ...]:
    """Return what to clear so that the run goes on where it stopped; empty: all of it.

    Airflow itself skips what has not run when a run is cancelled or times out
    (docs/notes/airflow-2.md#stopping-a-run, docs/notes/airflow-3.md#stopping-a-run), and with
    `fail_fast` at the first failure. Clearing the failed ones alone would leave those out and end
    in a success that ran only half of the DAG. What was skipped earlier, by a branch or a short
    circuit, stays skipped. With nothing open at all, everything has to run again.

    They are cleared by name: so Airflow clears their setup and teardown tasks with them, as its own
    page does, and with `only_failed` it does not. A task that needs a cluster would find the one
    that was torn down.
    """
    open_ = tuple(task for task in tasks if task.state not in ("success", "skipped", "removed"))
    failures = [task.end_date for task in open_ if task.state == "failed"]
    return open_ + tuple(
        task
        for task in tasks
        if task.state == "skipped" and _by_failure(found, task, open_, failures)
    )


def _by_failure(
    found: DagRun,
    task: TaskInstance,
    open_: tuple[TaskInstance, ...],
    failures: list[datetime | None],
) -> bool:
    """Return whether the task was skipped because a task failed, or the run was ended.

    In doubt it was: half a DAG must not end green, and what a branch did not choose Airflow skips
    once more.
    """
    if found.cancelled or not open_ or found.end_date is None or task.end_date is None:
        return True
    known = [moment for moment in failures if moment is not None]
    return (
        len(known) < len(failures)
        or (min([found.end_date, *known]) - task.end_date).total_seconds() <= SKIP_MARGIN_SECONDS
    )


def _clear(
    airflow: Airflow, before: DagRun, clear: Callable[[], None], retrier: Retrier, until: float
) -> DagRun:
    """Clear, and read until the run is no longer the ended one it was. Repeated only if reading
    says: no effect.

    A refusal is repeated until it is believed, as in `Retrier.read`.
    """
    refusals, failures, taken = Refusals(), 0, 0
    while True:
        fault: ActionError | None = None
        final = False
        try:
            clear()
        except (Unauthorized, Forbidden, RunNotFound) as refusal:
            fault = refusal
            refusals.record(retrier.clock())
            final = refusals.final(retrier.clock())
        except (TransientError, UnexpectedResponse) as unclear:
            fault, taken = unclear, taken + 1
        else:
            taken += 1
        if fault is not None and not final:
            retrier.backoff(fault, failures, until)
        now = retrier.read(
            partial(airflow.get_run, before.dag_id, before.run_id), until=until, retry_refused=True
        )
        if now is not None and (not now.ended or _ran_again(before, now)):
            return now
        if final or taken == MAX_CLEAR_ATTEMPTS:
            raise fault or _no_effect(before)
        if fault is None:
            retrier.backoff(_no_effect(before), failures, until)
        failures += 1


def _ran_again(before: DagRun, now: DagRun) -> bool:
    """Return whether a run that has ended has done so anew.

    A clear takes its start away (docs/notes/airflow-3.md#cleared-runs). Another end alone proves
    nothing where the
    run was stopped: the scheduler may have written one afterwards.
    """
    if now.start_date is None and before.start_date is None:
        return now.end_date != before.end_date and not before.cancelled
    return now.start_date != before.start_date


def _without_mark(
    airflow: Airflow, run: DagRun, note: str, retrier: Retrier, until: float
) -> DagRun:
    """Remove the mark of a cancelled workflow: the run runs again, and a new mark must be seen as
    one.

    Left in place, since it cannot be removed, it is no reason to fail now.
    """
    for failures in range(MAX_CLEAR_ATTEMPTS):
        try:
            airflow.set_note(run, note)
        except (TransientError, UnexpectedResponse) as fault:
            if retrier.clock() >= until:
                break
            retrier.backoff(fault, failures, until)
        except ActionError:
            break
        else:
            return run._replace(note=note)
    return run


def _no_effect(run: DagRun) -> UnexpectedResponse:
    return UnexpectedResponse(
        "Airflow did not start the DAG run again",
        f"It accepted the clearing of {run.run_id}, but the run is still {run.state}.",
        "Clear the run in Airflow's UI, or give this step another run_id.",
    )
