"""Why task instances failed, as far as their logs say, and whether the run was too slow as a whole. It only reads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.models import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.diagnostics.optional import Extras
    from entrypoint.errors import Raised
    from entrypoint.models import DagRun, TaskInstance, TaskLog

MOST = 20
"""Task instances whose logs are read: each may be many MB, and nobody reads more."""
ENOUGH = 50
"""Lines that are read for the reason alone."""
_SLACK = 1.0
"""Seconds by which Airflow's own dates of a run may fall short of its time limit."""


def reasons(
    extras: Extras,
    run: DagRun,
    tasks: tuple[TaskInstance, ...],
    keep: int,
    relay: Callable[[Failure], None],
) -> tuple[Failure, ...]:
    """Return why task instances failed, at most MOST of them.

    Args:
        extras: asks for what only explains.
        run: the DAG run, ended or not.
        tasks: its task instances.
        keep: how many lines of each log to keep.
        relay: is given each one as soon as its log is read.
    """
    found = []
    for task in [task for task in tasks if task.state == "failed"][:MOST]:
        failure = _failure(extras, run, task, keep)
        relay(failure)
        found.append(failure)
    return tuple(found)


def logs_of_the_rest(
    extras: Extras, run: DagRun, tasks: tuple[TaskInstance, ...], keep: int
) -> Iterator[tuple[TaskInstance, TaskLog]]:
    """Read the logs of task instances that did not fail, at most MOST of them, one after the other."""
    ran = [
        task for task in tasks if task.state not in ("failed", "upstream_failed", "skipped", None) and task.try_number
    ]
    for task in ran[:MOST]:
        log = _log(extras, run, task, keep)
        if log is not None:
            yield task, log


def timed_out_after(extras: Extras, run: DagRun, tasks: tuple[TaskInstance, ...]) -> float | None:
    """Return the DAG's `dagrun_timeout` in seconds if that is what ended the run.

    Airflow does not say so: the run is failed and none of its tasks is (docs/notes/airflow-2.md#dag-run-timeout,
    docs/notes/airflow-3.md#dag-run-timeout).
    """
    if run.state != "failed" or run.duration is None or run.cancelled or any(task.state == "failed" for task in tasks):
        return None
    limit = extras.ask(Feature.DAG, partial(extras.airflow.dagrun_timeout, run.dag_id), None, patient=True)
    return limit if limit is not None and run.duration >= limit - _SLACK else None


def _log(extras: Extras, run: DagRun, task: TaskInstance, keep: int) -> TaskLog | None:
    return extras.ask(Feature.LOGS, partial(extras.airflow.log, run, task, keep), None, patient=True)


def _failure(extras: Extras, run: DagRun, task: TaskInstance, keep: int) -> Failure:
    log = _log(extras, run, task, keep or ENOUGH)
    if log is None:
        return Failure(task, _never_started(task) or "its log could not be read")
    cause = _chain(log.raised) or _never_started(task) or log.last_error or _lost(extras, run, task)
    if not cause:
        cause = "its log ends without an error" if log.written else "its log is not there any more"
    return Failure(task, cause, log.raised, log.lines if keep else (), log.left_out)


def _lost(extras: Extras, run: DagRun, task: TaskInstance) -> str:
    said = extras.ask(Feature.EVENTS, partial(extras.airflow.lost, run, task), None)
    return f"its worker was lost. {said}".strip() if said is not None else ""


def _chain(raised: tuple[Raised, ...]) -> str:
    """Name the exception, and the one at the root of it."""
    if not raised:
        return ""
    first, root = (" ".join(str(one).split()) for one in (raised[0], raised[-1]))
    return first if len(raised) == 1 or root == first else f"{first} (because of {root})"


def _never_started(task: TaskInstance) -> str:
    """A task instance that failed without a start lost its worker before.

    Measured: docs/notes/airflow-3.md#tasks-that-never-started.
    """
    if task.start_date is not None and task.try_number > 0:
        return ""
    return "it never started: its worker died, or could not be started"
