"""DAG runs and task instances of the fake Airflow. Must not know HTTP or an API version."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.models import FakeTask, nth

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
FAILED = frozenset({"failed", "upstream_failed"})
ACTIVE = frozenset({"running", "deferred", "awaiting_input", "up_for_reschedule", "restarting"})
WAITING = frozenset({"scheduled", "queued"})
NEVER_RAN = frozenset({"skipped", "upstream_failed", "removed"})


@dataclass(slots=True)
class FakeTaskInstance:
    """A task instance as the server has it.

    Attributes:
        outcomes: try number and state of each end
        started: number of the last try that began to run
        held: whether a test sets its state
        wants: state that it enters once its pool has a free slot
    """

    task: FakeTask
    created: datetime
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    outcomes: list[tuple[int, str]] = field(default_factory=list)
    started: int = 0
    held: bool = False
    wants: str | None = None
    scheduled_at: datetime | None = None
    queued_at: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    duration: float | None = None
    updated_at: datetime = field(init=False)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def region(self) -> tuple[str, int] | None:
        """Region id and index in a loop, None outside one.

        The region is the loop's, and of a mapped task its own in each iteration.
        """
        task = self.task
        if task.iteration is None:
            return None
        mapped = f"{task.task_id} {task.iteration}" if task.map_index >= 0 else ""
        name = uuid.uuid5(uuid.NAMESPACE_OID, mapped or "loop")
        return str(name), task.map_index if mapped else task.iteration

    def __post_init__(self) -> None:
        self.updated_at = self.created
        self.max_tries = self.task.retries

    def enter_state(
        self, state: str | None, at: datetime, run_began: datetime | None = None
    ) -> None:
        """Enter a state; "ends" is the scripted one.

        A new try begins when the task instance is scheduled, as Airflow counts.
        """
        if state == "ends":
            state = nth(self.task.ends, len(self.outcomes) + 1)
        if state is None or state == self.state:
            return
        idle = self.state not in WAITING | ACTIVE
        not_run = state in NEVER_RAN and self.state not in ACTIVE
        if idle and not not_run:
            self.try_number += 1
            self.scheduled_at = self.queued_at = None
        if state == "scheduled":
            self.scheduled_at = at
        elif state == "queued":
            self.scheduled_at, self.queued_at = self.scheduled_at or at, at
        elif state in ACTIVE or (idle and not not_run):
            self._begin(at, run_began)
        if state in FINISHED or state == "up_for_retry":
            self._end(state, at, run_began, not_run=not_run)
        self.state, self.updated_at = state, at

    def finish(self, at: datetime, run_began: datetime | None) -> None:
        """End with the run, as scripted; it ran before, unless its script says otherwise."""
        if self.state in WAITING and nth(self.task.ends, len(self.outcomes) + 1) not in NEVER_RAN:
            self.enter_state("running", at, run_began)
        self.enter_state("ends", at, run_began)

    def mark_timed_out(self, at: datetime, not_started: str | None) -> None:
        """End by a dagrun_timeout: skipped without an end date.

        `not_started` is the new state of a task instance without a state.
        """
        self.state, self.updated_at = ("skipped" if self.state is not None else not_started), at

    def reset(self, at: datetime) -> None:
        """Clear the task instance; the data of its last try stay until the next one."""
        self.state, self.max_tries, self.id = None, self.max_tries + 1, str(uuid.uuid4())
        self.held, self.wants, self.updated_at = False, None, at

    @property
    def pushed(self) -> Mapping[str, Any]:
        """The XComs of a success."""
        return self.task.xcom if self.state == "success" else {}

    def _begin(self, at: datetime, run_began: datetime | None) -> None:
        if self.started == self.try_number:
            return
        self.scheduled_at, self.queued_at = self.scheduled_at or at, self.queued_at or at
        self.start_date, self.end_date, self.started = (
            self._moment(0, at, run_began),
            None,
            self.try_number,
        )

    def _end(self, state: str, at: datetime, run_began: datetime | None, *, not_run: bool) -> None:
        if not_run:
            self.start_date = self.start_date or at
        self.end_date = self._moment(1, at, run_began)
        if self.start_date and (not_run or self.started == self.try_number):
            self.duration = (self.end_date - self.start_date).total_seconds()
        self.outcomes.append((self.try_number, state))

    def _moment(self, which: int, at: datetime, run_began: datetime | None) -> datetime:
        return (
            run_began + timedelta(seconds=self.task.span[which])
            if self.task.span and run_began
            else at
        )


@dataclass(slots=True)
class FakeRun:
    dag_id: str
    run_id: str
    conf: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    run_after: datetime | None = None
    partition_key: str | None = None
    bundle_version: str | None = None
    user: str = "admin"
    state: str = "queued"
    queued_at: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    attempt: int = 1
    polls: int = 0
    script: tuple[str, ...] = ()
    instances: list[FakeTaskInstance] = field(default_factory=list)

    @property
    def duration(self) -> float | None:
        """Seconds, once the run has ended."""
        return (
            (self.end_date - self.start_date).total_seconds()
            if self.start_date and self.end_date
            else None
        )

    def instance(self, task_id: str, map_index: int) -> FakeTaskInstance | None:
        found = (
            one
            for one in self.instances
            if (one.task.task_id, one.task.map_index) == (task_id, map_index)
        )
        return next(found, None)

    def settle(self, at: datetime) -> None:
        """End every unfinished task instance as scripted."""
        for instance in self.instances:
            if instance.state not in FINISHED:
                instance.finish(at, self.start_date)
        self.end_date = max([at, *(one.end_date for one in self.instances if one.end_date)])

    def time_out(self, at: datetime, after: float, not_started: str | None) -> None:
        """End the run as a dagrun_timeout does."""
        self.start_date = self.start_date or at
        for instance in self.instances:
            if instance.state not in FINISHED:
                instance.mark_timed_out(at, not_started)
        self.state, self.end_date = (
            "failed",
            max(at, self.start_date + timedelta(seconds=after + 0.5)),
        )
