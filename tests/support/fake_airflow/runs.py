"""DAG runs and task instances as the scripted Airflow has them. They know no HTTP, no dialect and
not each other's rules.
"""

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
AT_WORK = frozenset({"running", "deferred", "awaiting_input", "up_for_reschedule", "restarting"})
WAITING = frozenset({"scheduled", "queued"})
NEVER_RAN = frozenset({"skipped", "upstream_failed", "removed"})


@dataclass(slots=True)
class FakeTaskInstance:
    """A task instance as the server has it. `outcomes`: try number and state, of every end it had.

    `started`: the last try that began to run. `held`: somebody else decides about its state.
    `wants`: where it would go if its pool had room.
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

    def __post_init__(self) -> None:
        self.updated_at = self.created
        self.max_tries = self.task.retries

    def go(self, state: str | None, at: datetime, run_began: datetime | None = None) -> None:
        """It goes to a state; "ends": as scripted. A try begins where Airflow counts it: when it is
        scheduled.
        """
        if state == "ends":
            state = nth(self.task.ends, len(self.outcomes) + 1)
        if state is None or state == self.state:
            return
        resting = self.state not in WAITING | AT_WORK
        never = state in NEVER_RAN and self.state not in AT_WORK
        if resting and not never:
            self.try_number += 1
            self.scheduled_at = self.queued_at = None
        if state == "scheduled":
            self.scheduled_at = at
        elif state == "queued":
            self.scheduled_at, self.queued_at = self.scheduled_at or at, at
        elif state in AT_WORK or (resting and not never):
            self._begin(at, run_began)
        if state in FINISHED or state == "up_for_retry":
            self._end(state, at, run_began, never=never)
        self.state, self.updated_at = state, at

    def finish(self, at: datetime, run_began: datetime | None) -> None:
        """The run ends: so does this, as scripted, and it did run, unless its script says that it
        never did.
        """
        if self.state in WAITING and nth(self.task.ends, len(self.outcomes) + 1) not in NEVER_RAN:
            self.go("running", at, run_began)
        self.go("ends", at, run_began)

    def cut_off(self, at: datetime, untouched: str | None) -> None:
        """A dagrun_timeout: skipped without an end; `untouched` is what Airflow makes of what had
        not begun.
        """
        self.state, self.updated_at = ("skipped" if self.state is not None else untouched), at

    def reset(self, at: datetime) -> None:
        """Cleared: to be run again; what the last try left stays to be seen until then."""
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

    def _end(self, state: str, at: datetime, run_began: datetime | None, *, never: bool) -> None:
        if never:
            self.start_date = self.start_date or at
        self.end_date = self._moment(1, at, run_began)
        if self.start_date and (never or self.started == self.try_number):
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
    """A DAG run as the server has it."""

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
    looks: int = 0
    script: tuple[str, ...] = ()
    instances: list[FakeTaskInstance] = field(default_factory=list)

    @property
    def duration(self) -> float | None:
        """Seconds, once ended."""
        return (
            (self.end_date - self.start_date).total_seconds()
            if self.start_date and self.end_date
            else None
        )

    def instance(self, task_id: str, map_index: int) -> FakeTaskInstance | None:
        """One of its task instances."""
        found = (
            one
            for one in self.instances
            if (one.task.task_id, one.task.map_index) == (task_id, map_index)
        )
        return next(found, None)

    def settle(self, at: datetime) -> None:
        """Every task instance that has not ended ends as scripted."""
        for instance in self.instances:
            if instance.state not in FINISHED:
                instance.finish(at, self.start_date)
        self.end_date = max([at, *(one.end_date for one in self.instances if one.end_date)])

    def time_out(self, at: datetime, after: float, untouched: str | None) -> None:
        """The run ends as a dagrun_timeout ends it."""
        self.start_date = self.start_date or at
        for instance in self.instances:
            if instance.state not in FINISHED:
                instance.cut_off(at, untouched)
        self.state, self.end_date = (
            "failed",
            max(at, self.start_date + timedelta(seconds=after + 0.5)),
        )
