"""Track the task instances of a running DAG run: log changes, and detect when it is stuck.

Each request asks only for changes, and the interval grows with the duration of the run
(docs/notes/waiting.md#polling-strategies). A run is wide if one response cannot hold its changes.
Then the tracker counts the ended task instances and reads only the failed and the unfinished ones.
"""

from __future__ import annotations

from datetime import timedelta
from math import inf, sqrt
from typing import TYPE_CHECKING

from entrypoint.diagnostics.task_lists import PAGE, read_wide_run
from entrypoint.models import RUNNING, Coordinates
from entrypoint.permissions import Feature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from entrypoint.deadline import Deadline
    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.http.retry import Retrier
    from entrypoint.models import Blocker, DagRun, TaskInstance, TaskKey, TaskList

MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS = 5.0, 60.0
"""Seconds between two requests for the task instances: at the start of a run, and at most."""
_INTERVAL_GROWTH = 6.0
"""The interval is this factor times the square root of the seconds since the run started.

That makes 13 requests in 10 minutes. With a hundred waiting steps, these requests cost Airflow more
than streaming the states does.
"""
STALL_SECONDS, STALL_SECONDS_ACTIVE = 15.0, 120.0
"""Seconds without a change before the tracker looks for blockers. The second value applies if a
task instance is in a state of _LONG_STATES.
"""
STALL_SECONDS_UNWATCHED = 900.0
"""The same for a running run whose task instances are not polled."""
RETRY_SECONDS, REPEAT_SECONDS = 60.0, 300.0
"""Seconds until the next search for blockers, doubled each time; and the minimum after a search
that found some.

Each search takes six requests.
"""
_LONG_STATES = (*RUNNING, "deferred", "up_for_retry", "up_for_reschedule")
"""States in which a task instance may stay for long without a problem."""
_CLOCK_SKEW = timedelta(seconds=30)
"""Difference between the clocks of Airflow's machines with which the tracker still sees all
changes. All task instances are read again at the end anyway.
"""

Change = tuple["TaskInstance | None", "TaskInstance"]
"""The earlier state of a task instance, None if it is new, and the current one."""


class ProgressTracker:
    """Poll a run's task instances, and log progress and blockers.

    Args:
        optional: client for optional requests.
        retrier: clock and events.
        find_blockers: function that returns the reasons why the run does not progress.
        live: whether to log progress. If not, the task instances of a running run are read only to
            find its blockers.
    """

    def __init__(
        self,
        optional: OptionalRequests,
        retrier: Retrier,
        find_blockers: Callable[[DagRun, tuple[TaskInstance, ...], Deadline], tuple[Blocker, ...]],
        *,
        live: bool = True,
    ) -> None:
        self.blockers: tuple[Blocker, ...] = ()
        self._optional = optional
        self._retrier = retrier
        self._find_blockers = find_blockers
        self._live = live
        self._tasks: dict[TaskKey, TaskInstance] = {}
        self._is_wide, self._counts, self._knows_unfinished = False, (0, 0), True
        self._state: str | None = None
        self._since: datetime | None = None
        self._next_read = self._changed_at = self._entered = retrier.clock()
        self._search_due, self._search_interval, self._read_at = 0.0, RETRY_SECONDS, -inf

    @property
    def tasks(self) -> tuple[TaskInstance, ...]:
        """The last known task instances; of a wide run the failed and the unfinished ones."""
        return tuple(self._tasks.values())

    @property
    def knows_unfinished(self) -> bool:
        """Whether `tasks` has all unfinished ones. A wide run may have more than one page."""
        return self._knows_unfinished

    def update(self, run: DagRun, deadline: Deadline) -> None:
        """Poll the task instances if it is time to, and look for blockers if the run is stuck."""
        now = self._retrier.clock()
        if run.state != self._state:
            self._state, self._next_read, self._entered = run.state, now, now
            self._record_change()
        may_read = now - self._read_at >= MIN_INTERVAL_SECONDS
        if run.state == "running" and (
            (self._live and now >= self._next_read) or (may_read and now >= self._stalled_at())
        ):
            self.refresh(run, deadline)
        if now >= self._stalled_at():
            reported = {blocker.title for blocker in self.blockers}
            self.blockers = self._find_blockers(run, self.tasks, deadline)
            self._search_due = now + (
                max(self._search_interval, REPEAT_SECONDS)
                if self.blockers
                else self._search_interval
            )
            self._search_interval *= 2
            for blocker in self.blockers:
                if blocker.title not in reported:
                    self._retrier.events.blocked(blocker)

    def refresh(self, run: DagRun, deadline: Deadline) -> None:
        """Read the task instances now, and log what changed."""
        self._read_at = now = self._retrier.clock()
        self._read(run, self._optional.within(deadline))
        self._next_read = now + min(
            max(MIN_INTERVAL_SECONDS, _INTERVAL_GROWTH * sqrt(max(now - self._entered, 0.0))),
            MAX_INTERVAL_SECONDS,
        )

    def is_new_state(self, run: DagRun) -> bool:
        """Return whether `update` has not seen the run in its state yet."""
        return run.state != self._state

    @property
    def read_at(self) -> float:
        """Clock time at which the task instances were read last."""
        return self._read_at

    def next_update(self, run: DagRun) -> float:
        """Return the clock time from which `update` has work to do for a run in this state."""
        if run.state != self._state:
            return self._retrier.clock() if self._live or run.state == "queued" else inf
        return self._next_read if run.state == "running" and self._live else self._stalled_at()

    def _stalled_at(self) -> float:
        """Return the clock time at which to look for blockers, unless something changes before."""
        if self._state == "running" and not self._live:
            stall_seconds = STALL_SECONDS_UNWATCHED
        elif any(task.state in _LONG_STATES for task in self._tasks.values()):
            stall_seconds = STALL_SECONDS_ACTIVE
        else:
            stall_seconds = STALL_SECONDS
        return max(self._changed_at + stall_seconds, self._search_due)

    def record_final(self, tasks: TaskList) -> None:
        """Record the final task instances, and log what changed."""
        if not (self._is_wide or tasks.unread):
            self._record_all(tasks.instances)
            return
        failed = self._changes([task for task in tasks.instances if task.state == "failed"])
        self._retrier.events.wide_run_changed(
            [task for _, task in failed], "succeeded", tasks.succeeded, tasks.total
        )

    def _read(self, run: DagRun, optional: OptionalRequests) -> None:
        if not self._is_wide:
            tasks = optional.fetch(
                Feature.TASKS,
                lambda airflow: airflow.task_instances(
                    run.dag_id, run.run_id, changed_since=self._since, most=PAGE
                ),
                None,
            )
            if tasks is None:
                return
            if not tasks.unread:
                self._record_time()
                self._record_all(tasks.instances)
                return
            self._is_wide = True
        found = optional.fetch(
            Feature.TASKS, lambda airflow: read_wide_run(airflow, run, self._since), None
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
            self._tasks[task.key] = task
            if task.map_index >= 0:
                # Airflow removes the placeholder of a mapped task when it expands the task. In a
                # loop it has the same region (docs/notes/airflow-versions.md#loops).
                self._tasks.pop((task.task_id, Coordinates(region_id=task.region_id)), None)
        if changes:
            self._record_change()
            self._retrier.events.tasks_changed(changes, self.tasks)

    def _record_wide(self, failed: TaskList, open_: TaskList, total: int) -> None:
        changes = self._changes(failed.instances)
        counts = (max(total - open_.total, 0), total)
        changed = changes or self._changes(open_.instances) or counts != self._counts
        earlier = [task for task in self.tasks if task.state == "failed"]
        self._tasks = {task.key: task for task in (*earlier, *failed.instances, *open_.instances)}
        self._counts, self._knows_unfinished = counts, not open_.unread
        if changed:
            self._record_change()
            self._retrier.events.wide_run_changed([task for _, task in changes], "ended", *counts)

    def _changes(self, tasks: Iterable[TaskInstance]) -> list[Change]:
        seen = [(self._tasks.get(task.key), task) for task in tasks]
        return [(before, task) for before, task in seen if before != task]

    def _record_change(self) -> None:
        self._changed_at = self._retrier.clock()
        self._search_due, self._search_interval, self.blockers = 0.0, RETRY_SECONDS, ()
