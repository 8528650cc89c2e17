"""Find out why task instances failed, and whether the run exceeded its timeout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.models import Failure
from entrypoint.permissions import Feature
from entrypoint.text import retry_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.errors import ExceptionInfo
    from entrypoint.models import DagRun, TaskInstance, TaskLog

MAX_LOGS_READ = 20
"""Task instances whose logs are read. One log may have many MB."""
MIN_LINES_READ = 50
"""Lines that are read to find the cause, even if no line is relayed."""
_TIMEOUT_MARGIN_SECONDS = 1.0
"""Seconds by which a run's recorded duration may be shorter than its timeout."""


def failures_of(
    optional: OptionalRequests,
    run: DagRun,
    tasks: tuple[TaskInstance, ...],
    keep: int,
    relay: Callable[[Failure], None],
    *,
    known_log: Callable[[TaskInstance], TaskLog | None] | None = None,
) -> tuple[Failure, ...]:
    """Return why task instances failed, for at most MAX_LOGS_READ of them.

    Args:
        optional: client for optional requests.
        run: the DAG run, ended or not.
        tasks: its task instances.
        keep: number of lines to keep of each log.
        relay: callback for each failure, called as soon as its log is read.
        known_log: returns the log of a task instance if it was read before.
    """
    found = []
    for task in [task for task in tasks if task.state == "failed"][:MAX_LOGS_READ]:
        log = known_log(task) if known_log else None
        failure = _failure(optional, run, task, keep, log)
        relay(failure)
        found.append(failure)
    return tuple(found)


def other_logs(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...], keep: int
) -> Iterator[tuple[TaskInstance, TaskLog]]:
    """Yield the logs of task instances that did not fail, at most MAX_LOGS_READ of them."""
    for task in _others(tasks)[:MAX_LOGS_READ]:
        log = _log(optional, run, task, keep)
        if log is not None:
            yield task, log


def _others(tasks: tuple[TaskInstance, ...]) -> list[TaskInstance]:
    """Return the task instances that ran and did not fail."""
    return [
        task
        for task in tasks
        if task.state not in ("failed", "upstream_failed", "skipped", None) and task.try_number
    ]


def unread_logs(tasks: tuple[TaskInstance, ...], *, others: bool) -> Iterator[str]:
    """Yield a sentence about each limit because of which logs are not read.

    Args:
        tasks: the known task instances of the run.
        others: whether the logs of task instances that did not fail are read too.
    """
    failed = sum(task.state == "failed" for task in tasks)
    if failed > MAX_LOGS_READ:
        yield (
            f"Of {failed} failed task instances, only the first {MAX_LOGS_READ} logs are read. "
            "Airflow has the others"
        )
    ran = len(_others(tasks)) if others else 0
    if ran > MAX_LOGS_READ:
        yield (
            f"logs: all shows only the first {MAX_LOGS_READ} logs of the {ran} task instances that "
            "ran and did not fail. Airflow has the others; logs: live shows all logs during the run"
        )


def dagrun_timeout_exceeded(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> float | None:
    """Return the DAG's `dagrun_timeout` in seconds if it ended the run.

    Airflow does not report this. The run has failed although none of its tasks has failed
    (docs/notes/airflow-2.md#dag-run-timeout, docs/notes/airflow-3.md#dag-run-timeout).
    """
    if (
        run.state != "failed"
        or run.duration is None
        or run.cancelled
        or any(task.state == "failed" for task in tasks)
    ):
        return None
    limit = optional.fetch(
        Feature.DAG, lambda airflow: airflow.dagrun_timeout(run.dag_id), None, retry=True
    )
    return limit if limit is not None and run.duration >= limit - _TIMEOUT_MARGIN_SECONDS else None


def _log(optional: OptionalRequests, run: DagRun, task: TaskInstance, keep: int) -> TaskLog | None:
    return optional.fetch(
        Feature.LOGS, lambda airflow: airflow.log(run, task, keep), None, retry=True
    )


def _failure(
    optional: OptionalRequests, run: DagRun, task: TaskInstance, keep: int, log: TaskLog | None
) -> Failure:
    log = log or _log(optional, run, task, keep or MIN_LINES_READ)
    if log is None:
        return Failure(task, _never_started(task) or "its log could not be read")
    cause = (
        _chain(log.raised)
        or _never_started(task)
        or log.unavailable
        or log.last_error
        or _heartbeat_timeout(optional, run, task)
    )
    if not cause:
        cause = "its log ends without an error" if log.written else "its log no longer exists"
    if reason := retry_reason(task):
        cause = f"{cause} ({reason})"
    # A message may have several lines.
    cause = " ".join(cause.split())
    return Failure(task, cause, log.raised, log.lines if keep else (), log.lines_omitted)


def _heartbeat_timeout(optional: OptionalRequests, run: DagRun, task: TaskInstance) -> str:
    event = optional.fetch(
        Feature.EVENTS, lambda airflow: airflow.heartbeat_timeout(run, task), None
    )
    return f"its worker was lost. {event}".strip() if event is not None else ""


def _chain(raised: tuple[ExceptionInfo, ...]) -> str:
    """Return the exception and its root cause as text."""
    if not raised:
        return ""
    first, root = (" ".join(str(one).split()) for one in (raised[0], raised[-1]))
    return first if len(raised) == 1 or root == first else f"{first} (because of {root})"


def _never_started(task: TaskInstance) -> str:
    """Return the cause if the task instance failed before it started, else an empty text.

    The worker was lost before the start, or could not be started.
    Measured: docs/notes/airflow-3.md#tasks-that-never-started.
    """
    if task.start_date is not None and task.try_number > 0:
        return ""
    return "it never started: its worker died, or could not be started"
