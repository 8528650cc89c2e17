"""The task instances of a DAG run while it is waited for: what changed, and whether anything does.

Nothing here bears on the verdict. It asks only for what changed, and the less often the longer the
run takes (docs/notes/waiting.md#polling-strategies). Of a wide run, of which more has changed than
one answer holds, it counts what has ended and reads what failed.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from math import inf, sqrt
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.diagnostics.task_lists import PAGE, read_wide_run
from entrypoint.models import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.http.retry import Retrier
    from entrypoint.models import Blocker, DagRun, TaskInstance, TaskList

MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS = 5.0, 60.0
"""Seconds between two looks at the task instances, at the beginning of a run and in a long one."""
_INTERVAL_GROWTH = 6.0
"""By how much that grows, times the square root of the seconds that the run has been running: 13
looks in 10 minutes. What a hundred waiters cost Airflow is these looks more than the words that it
tells by itself."""
STALL_SECONDS, STALL_SECONDS_ACTIVE = 15.0, 120.0
"""Seconds without any change after which the reason is looked for: with nothing at work, and with
something.
"""
STALL_SECONDS_UNWATCHED = 900.0
"""The same for a run whose task instances are not looked at meanwhile."""
RETRY_SECONDS, REPEAT_SECONDS = 60.0, 300.0
"""Seconds until it is looked for once more, twice as long each time; and once a reason was told.
Each takes six requests.
"""
_MAY_TAKE_LONG = (*RUNNING, "deferred", "up_for_retry", "up_for_reschedule")
"""States of task instances for which nothing need change for a while."""
_CLOCK_SKEW = timedelta(seconds=30)
"""Clocks of Airflow's machines may differ by that much without a change being missed; the end is
read in full anyway.
"""

Key = tuple[str, int]
Change = tuple["TaskInstance | None", "TaskInstance"]
"""A task instance as it was seen before, if it was, and as it is now."""


class ProgressTracker:
    """Looks at a run's task instances, and tells progress and blockers.

    Args: optional: asks for what only explains. retrier: clock, and who is told. diagnose: finds
        out why the run does not move. live: whether to tell events. If not, the task instances of a
        running run are read only to find out why it stalls.
    """

    def __init__(
        self,
        optional: OptionalRequests,
        retrier: Retrier,
        find_blockers: Callable[[DagRun, tuple[TaskInstance, ...]], tuple[Blocker, ...]],
        *,
        live: bool = True,
    ) -> None:
        self.blockers: tuple[Blocker, ...] = ()
        self._optional = optional
        self._retrier = retrier
        self._diagnose = find_blockers
        self._live = live
        self._known: dict[Key, TaskInstance] = {}
        self._wide, self._counts = False, (0, 0)
        self._state: str | None = None
        self._since: datetime | None = None
        self._next_read = self._changed_at = self._entered = retrier.clock()
        self._diagnosis_due, self._pause, self._read_at = 0.0, RETRY_SECONDS, -inf

    @property
    def tasks(self) -> tuple[TaskInstance, ...]:
        """The task instances as last seen; of a wide run those that failed or have not ended."""
        return tuple(self._known.values())

    def update(self, run: DagRun) -> None:
        """Look at the task instances of a run that was just seen, if it is time to; find out why it
        stalls, if it does.
        """
        now = self._retrier.clock()
        if run.state != self._state:
            self._state, self._next_read, self._entered = run.state, now, now
            self._record_change()
        old = now - self._read_at >= MIN_INTERVAL_SECONDS
        if run.state == "running" and (
            (self._live and now >= self._next_read) or (old and now >= self._stalled_at())
        ):
            self._read(run)
            self._read_at = now
            self._next_read = now + min(
                max(MIN_INTERVAL_SECONDS, _INTERVAL_GROWTH * sqrt(now - self._entered)),
                MAX_INTERVAL_SECONDS,
            )
        if now >= self._stalled_at():
            told = {blocker.title for blocker in self.blockers}
            self.blockers = self._diagnose(run, self.tasks)
            self._diagnosis_due = now + (
                max(self._pause, REPEAT_SECONDS) if self.blockers else self._pause
            )
            self._pause *= 2
            for blocker in self.blockers:
                if blocker.title not in told:
                    self._retrier.events.blocked(blocker)

    def next_update(self, run: DagRun) -> float:
        """Return the moment on the clock from which on a run that is like this is to be looked at
        again.
        """
        if run.state != self._state:
            return self._retrier.clock() if self._live or run.state == "queued" else inf
        return self._next_read if run.state == "running" and self._live else self._stalled_at()

    def _stalled_at(self) -> float:
        """Return the moment on the clock at which to find out why the run does not move, unless it
        does until then.
        """
        if self._state == "running" and not self._live:
            retrier = STALL_SECONDS_UNWATCHED
        elif any(task.state in _MAY_TAKE_LONG for task in self._known.values()):
            retrier = STALL_SECONDS_ACTIVE
        else:
            retrier = STALL_SECONDS
        return max(self._changed_at + retrier, self._diagnosis_due)

    def record_final(self, tasks: TaskList) -> None:
        """Take note of the task instances as they are at the end, and tell what changed."""
        if not (self._wide or tasks.unread):
            self._record_all(tasks.instances)
            return
        failed = self._changes([task for task in tasks.instances if task.state == "failed"])
        self._retrier.events.wide_run_changed(
            [task for _, task in failed], "succeeded", tasks.succeeded, tasks.total
        )

    def _read(self, run: DagRun) -> None:
        airflow = self._optional.airflow
        if not self._wide:
            fetch = partial(
                airflow.task_instances, run.dag_id, run.run_id, changed_since=self._since, most=PAGE
            )
            tasks = self._optional.fetch(Feature.TASKS, fetch, None)
            if tasks is None:
                return
            if not tasks.unread:
                self._record_time()
                self._record_all(tasks.instances)
                return
            self._wide = True
        found = self._optional.fetch(
            Feature.TASKS, partial(read_wide_run, airflow, run, self._since), None
        )
        if found is not None:
            self._record_time()
            self._record_wide(*found)

    def _record_time(self) -> None:
        now = self._optional.airflow.now
        self._since = None if now is None else now - _CLOCK_SKEW

    def _record_all(self, tasks: tuple[TaskInstance, ...]) -> None:
        changes = self._changes(tasks)
        for task in tasks:
            self._known[task.key] = task
            if task.map_index >= 0:
                # What stood for all of them before the task was expanded is gone.
                self._known.pop((task.task_id, -1), None)
        if changes:
            self._record_change()
            self._retrier.events.tasks_changed(changes, self.tasks)

    def _record_wide(self, failed: TaskList, open_: TaskList, total: int) -> None:
        changes = self._changes(failed.instances)
        counts = (max(total - open_.total, 0), total)
        moved = changes or self._changes(open_.instances) or counts != self._counts
        earlier = [task for task in self.tasks if task.state == "failed"]
        self._known = {task.key: task for task in (*earlier, *failed.instances, *open_.instances)}
        self._counts = counts
        if moved:
            self._record_change()
            self._retrier.events.wide_run_changed([task for _, task in changes], "ended", *counts)

    def _changes(self, tasks: Iterable[TaskInstance]) -> list[Change]:
        seen = [(self._known.get(task.key), task) for task in tasks]
        return [(before, task) for before, task in seen if before != task]

    def _record_change(self) -> None:
        self._changed_at = self._retrier.clock()
        self._diagnosis_due, self._pause, self.blockers = 0.0, RETRY_SECONDS, ()
