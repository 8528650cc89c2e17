"""DAGs, DAG runs and task instances of the scripted Airflow. They know no HTTP, no dialect and not each other's rules."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
FAILED = frozenset({"failed", "upstream_failed"})


@dataclass(frozen=True, slots=True)
class FakeTask:
    """One task of a DAG. `ends` per try, the last one repeats. A try that ends failed raises `error` (type, text)."""

    task_id: str
    ends: str | tuple[str, ...] = "success"
    map_index: int = -1
    log: tuple[str, ...] = ("working on it",)
    error: tuple[str, str] = ("ValueError", "it broke")
    xcom: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FakeDag:
    """One DAG, and what becomes of its runs.

    `ends`: how a run ends, per attempt (a clear begins a new one), the last one repeats; None: failed if a task failed.
    `looks`: at which look a run has ended; the first shows queued, those between running.
    `params_schema`: param name to JSON schema; a schema with "default" makes the param optional.
    `after_cancel`: what a look shows after the run was set to failed: 3.3.2 may make it success (airflow-3.md 7).
    `parsed_after`: so many GETs of the DAG find nothing yet. `broken`: the stack trace of its import error.
    `bundle_version`: per GET of the DAG, the last one repeats; a run gets the one of its trigger.
    """

    dag_id: str
    tasks: tuple[FakeTask, ...] = (FakeTask("extract"), FakeTask("load"))
    ends: str | tuple[str, ...] | None = None
    looks: int = 3
    paused: bool = False
    params_schema: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    after_cancel: str = "failed"
    parsed_after: int = 0
    broken: str = ""
    bundle_version: str | tuple[str, ...] | None = None


@dataclass(slots=True)
class FakeTaskInstance:
    """A task instance as the server has it. `outcomes`: try number and state, of every end it had."""

    task: FakeTask
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    outcomes: list[tuple[int, str]] = field(default_factory=list)
    start_date: datetime | None = None
    end_date: datetime | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def start(self) -> None:
        """The next try begins."""
        self.state, self.start_date, self.end_date, self.try_number = "running", now(), None, self.try_number + 1

    def end(self, state: str | None = None) -> None:
        """The try ends, as scripted unless told how; what ends upstream_failed never ran."""
        scripted = nth(self.task.ends, len(self.outcomes) + 1)
        if state is None and self.state is None and scripted != "upstream_failed":
            self.start()
        elif self.start_date is None:
            self.start_date = now()
        self.state, self.end_date = state or scripted, now()
        self.outcomes.append((self.try_number, self.state))

    @property
    def pushed(self) -> Mapping[str, Any]:
        """The XComs of a success."""
        return self.task.xcom if self.state == "success" else {}

    def reset(self) -> None:
        """Cleared: to be run again; what the last try left stays to be seen until then."""
        self.state, self.max_tries, self.id = None, self.max_tries + 1, str(uuid.uuid4())


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
        return (self.end_date - self.start_date).total_seconds() if self.start_date and self.end_date else None

    def instance(self, task_id: str, map_index: int) -> FakeTaskInstance | None:
        """One of its task instances."""
        found = (one for one in self.instances if (one.task.task_id, one.task.map_index) == (task_id, map_index))
        return next(found, None)

    def enter(self, state: str) -> None:
        """The run, and with it its task instances, go to a state."""
        if state == self.state:
            return
        self.state = state
        if state == "queued":
            self.queued_at, self.start_date, self.end_date = now(), None, None
            return
        self.start_date = self.start_date or now()
        if state == "running":
            self.end_date = None
            for instance in [i for i in self.instances if i.state is None][:1]:
                instance.start()
        else:
            self.end_date = now()
            self.settle()

    def settle(self) -> None:
        """Every task instance that has not ended ends as scripted."""
        for instance in self.instances:
            if instance.state not in FINISHED:
                instance.end()


def nth(values: str | tuple[str, ...], number: int) -> str:
    """The value for the number-th time, counted from 1; the last one repeats."""
    return values if isinstance(values, str) else values[min(max(number, 1), len(values)) - 1]


def now() -> datetime:
    """The moment, which decides nothing here."""
    return datetime.now(UTC)
