"""The nouns that pass between the rooms, frozen and slotted. No I/O, no prose, no version of Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.errors import ActionError

RunState = Literal["queued", "running", "success", "failed"]
"""Airflow's four DAG run states; 2.x and 3.x know no other (airflow-2.md 6, airflow-3.md 5)."""

Result = Literal["success", "failed", "timeout", "cancelled", "triggered", "error"]
"""What the gate decided. Never to be mixed with what Airflow says (`RunState`)."""


IfRunExists = Literal["resume", "attach", "restart", "fail"]
"""The policy for a DAG run that exists already."""

Stopped = Literal["yes", "unconfirmed", "left", "nothing"]
"""What became of the DAG run when the step stopped waiting before its end."""

TakenOver = Literal["attached", "resumed", "restarted"]
"""What was done about a DAG run that existed already: nothing, its open tasks cleared, all its tasks cleared."""


CANCELLED = "[stopped because its workflow was cancelled]"
"""The mark in a DAG run's note by which a later attempt knows that this run was stopped."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Text that must not be seen. `reveal()` is the only way to it, so that every use can be found by that word."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __str__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class Token:
    """A ready bearer token."""

    token: Secret


@dataclass(frozen=True, slots=True)
class Password:
    """A user's name and password, both in clear."""

    username: str
    password: Secret


Credential = Token | Password


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The DAG run that this step asks for. Dates are aware; what is None is left to Airflow."""

    dag_id: str
    run_id: str
    conf: dict[str, Any]
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    run_after: datetime | None = None
    partition_key: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Dag:
    """What Airflow knows about a DAG, as far as it bears on running it."""

    dag_id: str
    is_paused: bool
    is_active: bool
    has_import_errors: bool


@dataclass(frozen=True, slots=True)
class DagRun:
    """One DAG run as Airflow last showed it. Dates are aware, None while Airflow has none."""

    dag_id: str
    run_id: str
    state: RunState
    conf: dict[str, Any]
    logical_date: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    bundle_version: str | None = None
    note: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether a cancelled workflow stopped it. What Airflow makes of it afterwards is no verdict (airflow-3.md 7)."""
        return CANCELLED in (self.note or "")

    @property
    def ended(self) -> bool:
        """Whether Airflow calls it over."""
        return self.state in ("success", "failed")

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, None unless both are known."""
        if self.start_date is None or self.end_date is None:
            return None
        return (self.end_date - self.start_date).total_seconds()


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task instance of a DAG run. `map_index` is -1 unless mapped; `state` None means that nothing was decided yet."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    duration: float | None
    url: str
    end_date: datetime | None = None

    @property
    def name(self) -> str:
        """`task_id`, with `[map_index]` for a mapped one: the form of the output `failed_tasks`."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gate decided, and everything that people are told about it.

    Whatever was not learned on the way is None: the request when the inputs were wrong, the run when none was made.
    """

    result: Result
    error: ActionError | None = None
    request: RunRequest | None = None
    run: DagRun | None = None
    run_url: str | None = None
    created: bool | None = None
    taken_over: TakenOver | None = None
    tasks: tuple[TaskInstance, ...] | None = None
    airflow_version: str | None = None
    stopped: Stopped | None = None
    stuck: str | None = None
    state_for: float = 0.0
    waited: float = 0.0
    post: bool = False
    ridden_out: int = 0

    @property
    def passes(self) -> bool:
        """Whether the workflow may go on: the contract's rule for exit 0."""
        return self.result in ("success", "triggered")

    @property
    def failed_tasks(self) -> tuple[TaskInstance, ...]:
        """The task instances that failed themselves (not those that could not start because of them)."""
        return tuple(task for task in self.tasks or () if task.state == "failed")
