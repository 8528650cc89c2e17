"""Handle a DAG run that already exists: wait for it, resume it or restart it.

An earlier attempt of this workflow created the run, or the user chose its id. This module never
creates a second run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from entrypoint.errors import (
    ActionError,
    Conflict,
    Forbidden,
    RunExists,
    RunNotFound,
    StartPostponed,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import Refusals
from entrypoint.models import CANCELLED_MARK
from entrypoint.run.schedule import poll_interval_after
from entrypoint.text import format_duration

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
"""The fields of a request, besides `conf`, that a run must match."""

SKIP_MARGIN_SECONDS = 10.0
"""Maximum seconds from the skip of a task to the run's end or first failure that caused it.

Measured: milliseconds. It takes longer with many tasks, or if the clocks of Airflow's machines
differ.
"""

MAX_CLEAR_ATTEMPTS = 5
"""Maximum clear requests, even if a GET after each shows that the run has not changed."""


def differences(found: DagRun, request: RunRequest) -> list[str]:
    """Return a phrase for each field in which the run differs from the request.

    Only fields that the request sets and that this Airflow shows are compared.
    """
    # Imported late, because a new run needs no comparison, and its patterns take 2 ms to compile.
    from entrypoint.run.comparison import conf_differences  # noqa: PLC0415

    phrases = conf_differences(found.conf, request.conf)
    for name in COMPARED_FIELDS:
        requested, actual = getattr(request, name), getattr(found, name)
        if requested is not None and name not in found.unknown_fields and requested != actual:
            phrases.append(f"{name} is {actual}, this step asks for {requested}")
    return phrases


def require_same_request(found: DagRun, request: RunRequest) -> None:
    """Raise RunExists if the run differs from the request.

    The success of another request must never be reported as this step's.
    """
    if phrases := differences(found, request):
        raise RunExists(
            "The run id is taken by another request",
            f"The DAG run {request.run_id} exists, and its {'; its '.join(phrases)}.",
            "Give this step its own run_id, or leave run_id out.",
        )


def require_own_run(found: DagRun, context: Context) -> None:
    """Raise RunExists if the run with the derived id belongs to another job.

    In the first attempt of a workflow run no step runs twice, so another call of the same
    reusable workflow created an existing run. If the runner gives the job's path, the derived id
    already differs for each call.
    """
    if context.system == "github" and not context.job_path and context.attempt == 1:
        raise RunExists(
            "The DAG run belongs to another job",
            f"The DAG run {found.run_id} of {found.dag_id} existed before this step requested it, "
            "in the first attempt of this workflow run. So another job created it, most likely "
            "another call of the same reusable workflow, and this runner does not distinguish the "
            "two calls.",
            "Give each call its own run_id, for example by an input of the reusable workflow.",
        )


def plan(found: DagRun, policy: IfRunExists) -> TakeOverAction:
    """Return the action for this state and policy, as in the table in README.md.

    Raises:
        RunExists: the policy is `fail`.
    """
    if policy == "fail":
        raise RunExists(
            "The DAG run exists already",
            f"Airflow has the run {found.run_id} of {found.dag_id}; it is {found.state}. "
            "if_run_exists is fail.",
            "Give this step a new run_id, or set if_run_exists to resume, attach or restart.",
        )
    if not found.ended or policy == "attach":
        return "wait"
    if policy == "restart":
        return "restart"
    return "wait" if found.state == "success" and not found.cancelled else "resume"


def take_over(
    airflow: Airflow,
    found: DagRun,
    action: TakeOverAction,
    retrier: Retrier,
    *,
    latest: bool = False,
) -> tuple[DagRun, TakenOver]:
    """Clear the run's tasks if the action is `resume` or `restart`.

    Args:
        airflow: API client.
        found: the run.
        action: the result of `plan`.
        retrier: clock, sleep and backoff.
        latest: whether a cleared run is to run with the DAG's latest code.

    Returns:
        The run afterwards, and what was done. After a clear, the run is never returned in its old
        final state.

    Raises:
        Forbidden: the credential may not clear tasks.
        Conflict: the tasks changed, or Airflow cannot clear just these.
        TransientError, UnexpectedResponse: the clear failed, or its effect is unknown.
    """
    if action == "wait":
        return found, "attached"
    tasks: TasksToClear = "all"
    if action == "resume":
        tasks_of_run = retrier.read(
            partial(airflow.task_instances, found.dag_id, found.run_id),
            retry_refused=True,
        )
        selected = _tasks_to_resume(found, tasks_of_run.instances)
        tasks = selected or "all"
        if skipped := [task for task in selected if task.state == "skipped"]:
            retrier.events.skipped_tasks_cleared(skipped)
    clear = partial(airflow.clear, found.dag_id, found.run_id, tasks, latest=latest)
    cleared = _clear(airflow, found, clear, retrier)
    if found.cancelled:
        cleared = _remove_mark(
            airflow,
            cleared,
            (found.note or "").replace(CANCELLED_MARK, "").strip(),
            retrier,
        )
    return cleared, "resumed" if action == "resume" else "restarted"


def wait_for_creation(
    airflow: Airflow,
    request: RunRequest,
    retrier: Retrier,
    poll_interval: float | None,
    *,
    waited: float = 0.0,
    postpones: bool = False,
) -> DagRun:
    """Return the run once another client has created it.

    Args:
        airflow: API client.
        request: DAG id and run id.
        retrier: clock, sleep and backoff, and the deadline of the wait.
        poll_interval: fixed seconds between polls, None for an automatic interval.
        waited: seconds since the wait began.
        postpones: whether to raise StartPostponed in place of a pause.

    Raises:
        StartPostponed: there is no such run yet.
        RunNotFound: there is no such run at the deadline.
        TransientError, UnexpectedResponse, Unauthorized, Forbidden: Airflow does not say.
    """
    began = retrier.clock() - waited
    while True:
        run = retrier.read(partial(airflow.get_run, request.dag_id, request.run_id))
        if run is not None:
            return run
        left, waited = retrier.deadline.seconds_left(), retrier.clock() - began
        if left <= 0:
            after = f" after {format_duration(waited)}" if waited else ""
            raise _never_created(request, after)
        retrier.events.run_missing(request.run_id, left)
        pause = min(poll_interval or retrier.jittered(poll_interval_after(waited)), left)
        if postpones:
            raise StartPostponed(_never_created(request, ""), outage=False, pause=pause)
        retrier.sleep(pause)


def _never_created(request: RunRequest, after: str) -> RunNotFound:
    return RunNotFound(
        "There is no such DAG run to wait for",
        f"Airflow knows no run {request.run_id} of {request.dag_id}{after}, and trigger is false.",
        "Check run_id, and that the job which triggers the run has finished before this "
        "one. For a run that Airflow creates later, set start_timeout.",
    )


def _tasks_to_resume(found: DagRun, tasks: tuple[TaskInstance, ...]) -> tuple[TaskInstance, ...]:
    """Return the task instances to clear so that the run continues; empty means all of them.

    Airflow itself skips the tasks that have not run when a run is cancelled or times out
    (docs/notes/airflow-2.md#stopping-a-run, docs/notes/airflow-3.md#stopping-a-run), and with
    `fail_fast` at the first failure. Clearing only the failed tasks would leave those skipped, and
    the run would succeed although only half of the DAG ran. A task that a branch or a short circuit
    skipped earlier stays skipped. If no task is unfinished or failed, everything has to run again.

    The request names the tasks, because then Airflow also clears their setup and teardown tasks, as
    its own UI does. With `only_failed` it does not, and a task that needs a cluster would start
    after the cluster was torn down.
    """
    unsuccessful = tuple(
        task for task in tasks if task.state not in ("success", "skipped", "removed")
    )
    failures = [task.end_date for task in unsuccessful if task.state == "failed"]
    return unsuccessful + tuple(
        task
        for task in tasks
        if task.state == "skipped" and _skipped_by_failure(found, task, unsuccessful, failures)
    )


def _skipped_by_failure(
    found: DagRun,
    task: TaskInstance,
    unsuccessful: tuple[TaskInstance, ...],
    failures: list[datetime | None],
) -> bool:
    """Return whether a failed task, or the end of the run, may have caused the skip.

    If that is unknown, return True: a run must not succeed with half of its DAG, and Airflow skips
    again the tasks that a branch did not choose.
    """
    if found.cancelled or not unsuccessful or found.end_date is None or task.end_date is None:
        return True
    known = [moment for moment in failures if moment is not None]
    return (
        len(known) < len(failures)
        or (min([found.end_date, *known]) - task.end_date).total_seconds() <= SKIP_MARGIN_SECONDS
    )


def _clear(
    airflow: Airflow,
    before: DagRun,
    clear: Callable[[], None],
    retrier: Retrier,
) -> DagRun:
    """Clear the tasks and poll until the run has left its final state.

    The clear is repeated only if a GET shows that it had no effect. A refusal is retried until it
    is final, as in `Retrier.read`.
    """
    refusals, failures, attempts = Refusals(), 0, 0
    while True:
        error: ActionError | None = None
        final = False
        try:
            clear()
        except (Unauthorized, Forbidden, RunNotFound, Conflict) as refusal:
            error = refusal
            refusals.record(retrier.clock())
            final = refusals.final(retrier.clock())
        except (TransientError, UnexpectedResponse) as unclear:
            error, attempts = unclear, attempts + 1
        else:
            attempts += 1
        if error is not None and not final:
            retrier.backoff(error, failures)
        now = retrier.read(
            partial(airflow.get_run, before.dag_id, before.run_id), retry_refused=True
        )
        if now is not None and (not now.ended or _ended_again(before, now)):
            return now
        if final or attempts == MAX_CLEAR_ATTEMPTS:
            raise error or _no_effect(before)
        if error is None:
            retrier.backoff(_no_effect(before), failures)
        failures += 1


def _ended_again(before: DagRun, now: DagRun) -> bool:
    """Return whether an ended run has run again since it was cleared.

    A clear removes the start date (docs/notes/airflow-3.md#cleared-runs). A new end date alone
    proves nothing if the run was stopped, because the scheduler may have written it afterwards.
    """
    if now.start_date is None and before.start_date is None:
        return now.end_date != before.end_date and not before.cancelled
    return now.start_date != before.start_date


def _remove_mark(airflow: Airflow, run: DagRun, note: str, retrier: Retrier) -> DagRun:
    """Remove the mark of a cancelled workflow, so that it does not affect the new result.

    If the mark cannot be removed, it stays, and the step goes on.
    """
    for failures in range(MAX_CLEAR_ATTEMPTS):
        try:
            airflow.set_note(run, note)
        except (TransientError, UnexpectedResponse) as error:
            if retrier.deadline.has_passed():
                break
            retrier.backoff(error, failures)
        except ActionError:
            break
        else:
            return run._replace(note=note)
    return run


def _no_effect(run: DagRun) -> UnexpectedResponse:
    return UnexpectedResponse(
        "Airflow did not start the DAG run again",
        f"It accepted the request to clear {run.run_id}, but the run is still {run.state}.",
        "Clear the run in Airflow's UI, or give this step another run_id.",
    )
