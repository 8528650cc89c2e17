"""Let named tasks decide in place of the DAG run (input `required_tasks`).

It reads the task instances of these tasks while the run goes on, and says when they have decided.
It never guesses: what could not be read, or was read only in part, decides nothing.
"""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

from entrypoint.errors import (
    ActionError,
    Forbidden,
    GatewayRefused,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import BACKOFF_SECONDS, Refusals
from entrypoint.models import ACTIVE, TaskVerdict
from entrypoint.text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, RunState, TaskInstance, TaskKey, TaskState

POLL_SECONDS, ACTIVE_POLL_SECONDS = 1.5, 1.0
"""Seconds between two polls of the tasks of a running run. The second value applies while one of
them is about to run or runs, so that its end is the next thing to happen.

With jitter, and with the requests of a decision, its end is seen within 2 s
(docs/benchmarks.md#required-tasks-measured).
"""
RECHECK_SECONDS = 1.0
"""Seconds until the next poll of a task that failed although it has retries left."""
MIN_DOUBT_SECONDS = RECHECK_SECONDS / 2
"""Seconds after which a failure that is still there decides. Less than RECHECK_SECONDS, because of
the jitter; enough that the final read, which may follow a poll at once, is no second opinion.
"""
MAX_SHARE = 1 / 3
"""Share of the time that these polls may take, so that an Airflow that is slow for long gets fewer.
One slow response does not count: the deciding task may have ended during it.
"""
PAGE = 100
"""Task instances that one response may hold in every supported Airflow. More are counted."""

_UNSUCCESSFUL: tuple[TaskState, ...] = ("failed", "skipped", "upstream_failed", "removed")
_MAX_NEAREST = 3
_MIN_SIMILARITY = 0.5


def fitting(pattern: str, task_ids: Iterable[str]) -> set[str]:
    """Return the tasks that a line of the input means.

    The id of a task means this task. Anything else is compared with the ids of the tasks and of
    the task groups around them; `*` stands for any characters.
    """
    ids = set(task_ids)
    if pattern in ids:
        return {pattern}
    return {one for one in ids if any(fnmatchcase(name, pattern) for name in _names(one))}


def _names(task_id: str) -> Iterable[str]:
    """Return the id of a task and those of its groups: `a.b.c`, `a.b` and `a`."""
    return accumulate(task_id.split("."), "{}.{}".format)


def unknown_tasks(dag_id: str, patterns: Iterable[str], task_ids: Iterable[str]) -> ActionError:
    """Return the error for lines that fit no task of the DAG, with the nearest names."""
    names = sorted({name for task_id in task_ids for name in _names(task_id)})
    lines = []
    for pattern in patterns:
        nearest = get_close_matches(pattern.strip("*"), names, _MAX_NEAREST, _MIN_SIMILARITY)
        other = f"It has {list_names(names)}." if names else "Airflow lists no task of it."
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else other
        lines.append(f"{pattern} fits no task and no task group of {dag_id}. {hint}")
    return ActionError(
        "A required task does not exist",
        "\n".join(lines),
        "Correct required_tasks: write the id of a task or of a task group on each line. Nothing "
        "was triggered.",
    )


def unread_tasks(error: ActionError, *, triggered: bool = True) -> ActionError:
    """Return the error for required tasks that cannot be read.

    Args:
        error: why they cannot be read.
        triggered: whether there is a DAG run already.
    """
    again = "Re-running this job reads the tasks of the same DAG run again."
    hint = error.hint
    if isinstance(error, Forbidden) and not isinstance(error, GatewayRefused):
        hint = 'Give the credential the permission "can read on Task Instances".'
    return ActionError(
        "The required tasks could not be read",
        "required_tasks decide the result of this step, and what they have decided is unknown. "
        f"Last error: {error.title}. {error.detail}",
        f"{hint} {again if triggered else 'Nothing was triggered.'}".lstrip(),
    )


def decide(
    wanted: Mapping[str, set[str]],
    tasks: Iterable[TaskInstance],
    doubtful: Iterable[TaskKey] = (),
) -> TaskVerdict:
    """Return what the task instances of a run have decided.

    A loop may go on with further task instances until its last gate has ended
    (docs/notes/airflow-versions.md#loops).

    Args:
        wanted: for each line of the input the tasks of the run that it means.
        tasks: all task instances of these tasks, and the gates of their loops; others do not count.
        doubtful: the keys of task instances whose failure decides nothing yet.
    """
    tasks = tuple(tasks)
    ids = {task.task_id for task in tasks}
    required = [task for task in tasks if any(task.task_id in each for each in wanted.values())]
    loops = {task.loop_id for task in required if task.loop_id}
    open_loops = any(
        task.is_loop_gate and task.loop_id in loops and not task.ended for task in tasks
    )
    missing = tuple(pattern for pattern, each in wanted.items() if not each or each - ids)
    unsuccessful = tuple(task for task in required if task.ended and task.state != "success")
    unfinished = tuple(task for task in required if not task.ended)
    verdict = TaskVerdict(
        tuple(wanted),
        total=len(required),
        succeeded=len(required) - len(unsuccessful) - len(unfinished),
        unsuccessful=unsuccessful,
        unfinished=unfinished,
        missing=missing,
    )
    if any(task.key not in doubtful for task in unsuccessful):
        return verdict._replace(result="failed")
    decided = not (unsuccessful or unfinished or missing or open_loops)
    return verdict._replace(result="success") if decided else verdict


class RequiredTasks:
    """The tasks of one DAG run that decide in its place.

    Args:
        patterns: the lines of the input.
        retrier: clock, jitter and events.
        poll_interval: fixed seconds between two polls, None for automatic ones.

    Attributes:
        verdict: what they had decided at the last poll.
        error: the error of the last request, None if it succeeded.
    """

    def __init__(
        self, patterns: tuple[str, ...], retrier: Retrier, poll_interval: float | None = None
    ) -> None:
        self.verdict = TaskVerdict(patterns)
        self.error: ActionError | None = None
        self._patterns = patterns
        self._retrier = retrier
        self._poll_interval = poll_interval
        self._wanted: dict[str, set[str]] = {}
        self._ids: tuple[str, ...] = ()
        self._gates: frozenset[str] = frozenset()
        self._is_wide = self._is_large_run = False
        self._total = 0
        self._can_filter = True
        self._failures, self._refusals = 0, Refusals()
        self._failed_before: dict[TaskKey, tuple[object, float]] = {}
        self._state: RunState | None = None
        self._next, self._took = -inf, 0.0

    def unknown(self, task_ids: Iterable[str]) -> tuple[str, ...]:
        """Return the lines of the input that fit none of these tasks."""
        ids = tuple(task_ids)
        return tuple(pattern for pattern in self._patterns if not fitting(pattern, ids))

    def next_read(self, run: DagRun) -> float:
        """Return the clock time of the next poll of the tasks.

        Nothing moves in a run that is queued, so one poll is enough until it starts.
        """
        if self.error is not None:
            return self._next
        if run.state != self._state:
            return -inf
        return inf if run.state == "queued" else self._next

    def poll(self, airflow: Airflow, run: DagRun) -> TaskVerdict:
        """Poll the tasks if it is time to, and return what they have decided.

        A request that fails is repeated later.

        Raises:
            ActionError: Airflow refuses the request, and has done so for a while.
        """
        began = self._retrier.clock()
        if began < self.next_read(run):
            return self.verdict._replace(result=None)
        if run.state != self._state:
            # The tasks of a cleared run may be others, and those of the end before decide nothing.
            self._ids, self._failed_before = (), {}
        try:
            self._record(self._read(airflow, run))
        except (Unauthorized, Forbidden) as refusal:
            self._refusals.record(self._retrier.clock())
            if self._refusals.final(self._retrier.clock()):
                raise unread_tasks(refusal) from None
            self.record_error(refusal)
            return self.verdict._replace(result=None)
        except (TransientError, UnexpectedResponse) as error:
            self.record_error(error)
            return self.verdict._replace(result=None)
        self._state = run.state
        now = self._retrier.clock()
        pause = self._poll_interval or self._retrier.jittered(self._pause())
        took, self._took = min(self._took, now - began), now - began
        self._next = now + max(pause, took * (1 / MAX_SHARE - 1))
        return self.verdict

    def _pause(self) -> float:
        if self._failed_before:
            return RECHECK_SECONDS
        active = any(task.state in ACTIVE for task in self.verdict.unfinished)
        return ACTIVE_POLL_SECONDS if active else POLL_SECONDS

    def confirm(self, airflow: Airflow, run: DagRun) -> TaskVerdict:
        """Read again what the last poll has decided.

        Unless the run is large, also look for tasks that a new version of the DAG has added.

        Raises:
            ActionError: the request failed.
        """
        if not (self._is_wide or self._is_large_run):
            self._ids = ()
        self._record(self._read(airflow, run))
        return self.verdict

    def read_final(self, airflow: Airflow, run: DagRun, retrier: Retrier) -> TaskVerdict:
        """Read the tasks of a run that is over, or at the end of the time, with retries.

        Raises:
            ActionError: they cannot be read.
        """
        self._ids = ()
        if run.ended:
            self._failed_before = {}

        def fetch() -> TaskVerdict:
            tasks = self._fetch_all(airflow, run)
            # Airflow may still retry what it has just called failed, unless the run is over.
            return decide(self._wanted, tasks) if run.ended else self._decide(tasks)

        try:
            self._record(retrier.read(fetch, retry_refused=True, refusals=self._refusals))
        except ActionError as error:
            raise unread_tasks(error) from None
        return self.verdict

    def _record(self, verdict: TaskVerdict) -> None:
        self.verdict, self.error = verdict, None
        self._failures, self._refusals = 0, Refusals()

    def record_error(self, error: ActionError) -> None:
        """Record a failed request, so that the next one comes later after each failure."""
        pause = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
        pause = self._retrier.jittered(max(pause, getattr(error, "retry_after", None) or 0.0))
        self.error, self._failures = error, self._failures + 1
        self._next = self._retrier.clock() + pause
        self._retrier.events.request_failed(error, pause)

    def _read(self, airflow: Airflow, run: DagRun) -> TaskVerdict:
        """Read the tasks once. Of a wide run, read what has failed and count the others."""
        if self._ids and self._can_filter:
            try:
                return self._read_named(airflow, run)
            except (Forbidden, UnexpectedResponse):
                # A gateway or an auth manager may allow only the list of one run.
                self._can_filter = False
        return self._read_all(airflow, run)

    def _read_all(self, airflow: Airflow, run: DagRun) -> TaskVerdict:
        tasks = self._fetch_all(airflow, run)
        required = {one for each in self._wanted.values() for one in each}
        loops = {task.loop_id for task in tasks if task.loop_id and task.task_id in required}
        gates = {task.task_id for task in tasks if task.is_loop_gate and task.loop_id in loops}
        verdict = self._decide(tasks)
        self._is_large_run = len(tasks) > PAGE
        self._gates = frozenset(gates - required)
        # A task may still be added to the run, so look for it again.
        self._ids = () if verdict.missing else tuple(sorted(required | gates))
        return verdict

    def _fetch_all(self, airflow: Airflow, run: DagRun) -> tuple[TaskInstance, ...]:
        """Return all task instances, and find out which tasks the lines of the input mean.

        Raises:
            TransientError: some are missing, because others came between two pages.
        """
        found = airflow.task_instances(run.dag_id, run.run_id)
        if found.unread:
            raise TransientError(
                "The list of task instances changed while it was read",
                f"{found.unread} of {found.total} are missing.",
                "Re-run this job.",
            )
        ids = {task.task_id for task in found.instances}
        self._wanted = {pattern: fitting(pattern, ids) for pattern in self._patterns}
        return found.instances

    def _read_named(self, airflow: Airflow, run: DagRun) -> TaskVerdict:
        if not self._is_wide:
            found = airflow.task_instances(run.dag_id, run.run_id, task_ids=self._ids, most=PAGE)
            if not found.unread:
                return self._decide(found.instances)
            self._is_wide, self._total = True, found.total
        unsuccessful = self._decide(
            airflow.task_instances(
                run.dag_id,
                run.run_id,
                task_ids=tuple(one for one in self._ids if one not in self._gates) or self._ids,
                states=_UNSUCCESSFUL,
                most=PAGE,
            ).instances
        )
        # In this order. The number of task instances only grows, so if it equals that of the
        # successes, all had succeeded at the time of the first request.
        succeeded = airflow.task_instances(
            run.dag_id, run.run_id, task_ids=self._ids, states=("success",), most=0
        ).total
        if succeeded >= self._total:
            self._total = airflow.task_instances(
                run.dag_id, run.run_id, task_ids=self._ids, most=0
            ).total
        total = self._total
        complete = succeeded == total and total >= len(self._ids) and not unsuccessful.unsuccessful
        failed = unsuccessful.result == "failed"
        return unsuccessful._replace(
            result="failed" if failed else "success" if complete else None,
            total=total,
            succeeded=succeeded,
            missing=(),
        )

    def _decide(self, tasks: Iterable[TaskInstance]) -> TaskVerdict:
        """Return what they have decided.

        A failure with retries left decides only if it is still there some time after it was first
        seen: Airflow may still retry it.
        """
        tasks, now = tuple(tasks), self._retrier.clock()
        failed: dict[TaskKey, tuple[object, float]] = {}
        for task in tasks:
            if task.state == "failed" and task.try_number <= task.max_tries:
                last_try = task.try_number, task.end_date
                before, seen_at = self._failed_before.get(task.key, (last_try, now))
                failed[task.key] = last_try, seen_at if before == last_try else now
        doubtful = [
            key for key, (_, seen_at) in failed.items() if now - seen_at < MIN_DOUBT_SECONDS
        ]
        verdict = decide(self._wanted, tasks, doubtful)
        self._failed_before = failed
        return verdict
