"""The nouns that pass between the rooms. No I/O, no prose, no version of Airflow.

Tuples with names, as all nouns here: nothing can change them, and to make such a class takes an
eighth of the time of a frozen dataclass. The trigger waits for forty of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.errors import ActionError, ExceptionInfo

RunState = Literal["queued", "running", "success", "failed"]
"""Airflow's four DAG run states; 2.x and 3.x know no other.

Measured: docs/notes/airflow-2.md#run-states, docs/notes/airflow-3.md#run-states.
"""

TaskState = Literal[
    "none",
    "scheduled",
    "queued",
    "running",
    "restarting",
    "deferred",
    "awaiting_input",
    "up_for_retry",
    "up_for_reschedule",
    "success",
    "failed",
    "skipped",
    "upstream_failed",
    "removed",
]
"""States of a task instance; "none" in a request means that Airflow has not decided anything yet.

Measured: docs/notes/airflow-3.md#task-states.
"""

ENDED: tuple[TaskState, ...] = ("success", "failed", "skipped", "upstream_failed", "removed")
"""Airflow does nothing more about the task instance, unless somebody clears it."""
RUNNING: tuple[TaskState, ...] = ("running", "restarting")
"""A worker has the task instance."""
ACTIVE: tuple[TaskState, ...] = ("scheduled", "queued", *RUNNING)
"""A scheduler, an executor or a worker acts on the task instance."""
WAITING: tuple[TaskState, ...] = ("deferred", "awaiting_input", "up_for_retry", "up_for_reschedule")
"""The task instance has begun, and waits for an event or a time."""
UNFINISHED: tuple[TaskState, ...] = ("none", *ACTIVE, *WAITING)
"""All that are not in ENDED."""

Result = Literal["success", "failed", "timeout", "cancelled", "triggered", "error"]
"""What the gate decided. Never to be mixed with what Airflow says (`RunState`)."""


IfRunExists = Literal["resume", "attach", "restart", "fail"]
"""The policy for a DAG run that exists already."""

IfPaused = Literal["fail", "unpause", "queue"]
"""The policy for a paused DAG."""

ReportTo = Literal["none", "commit-status", "deployment"]
"""What stands on GitHub for a DAG run that nobody waits for."""

Logs = Literal["failed", "all", "none"]
"""Whose task logs are relayed."""

StopStatus = Literal["yes", "unconfirmed", "left", "nothing"]
"""What became of the DAG run when the step stopped waiting before its end."""

TakenOver = Literal["attached", "resumed", "restarted"]
"""What was done about a DAG run that existed already: nothing, its open tasks cleared, all its
tasks cleared.
"""


MAX_TASKS_LISTED = 500
"""Task instances that the job summary lists; of a run that has more not all are read."""

CANCELLED_MARK = "[stopped because its workflow was cancelled]"
"""The mark in a DAG run's note by which a later attempt knows that this run was stopped."""


class RunRequest(NamedTuple):
    """The DAG run that this step asks for, and the commit whose code it is to run.

    Dates are aware; what is None is left to Airflow.
    """

    dag_id: str
    run_id: str
    conf: dict[str, Any]
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    run_after: datetime | None = None
    partition_key: str | None = None
    note: str | None = None
    commit: str | None = None


class Ancestry(NamedTuple):
    """Whether one commit contains another, as far as `who` could be asked; None: it could not be
    found out.
    """

    contains: bool | None
    who: str


class XComName(NamedTuple):
    """An XCom that was asked for: the line of the input, and what it means."""

    line: str
    task_id: str
    key: str


class Dag(NamedTuple):
    """What Airflow knows about a DAG, as far as it bears on running it.

    Attributes: file: as Airflow's import errors name it. bundle: in which the file is; empty on
        Airflow 2, which knows no bundles. bundle_version: of the bundle from which it was parsed
        last; None unless the bundle has versions (Airflow 3). last_parsed: the end of the last
        parsing that worked. file_token: by which Airflow can be asked to parse the file.
    """

    dag_id: str
    is_paused: bool
    is_active: bool
    has_import_errors: bool
    file: str = ""
    max_active_runs: int | None = None
    bundle: str = ""
    bundle_version: str | None = None
    last_parsed: datetime | None = None
    file_token: str = ""


class DagRun(NamedTuple):
    """One DAG run as Airflow last showed it. Dates are aware, None while Airflow has none.

    `untold`: names of the fields that this Airflow does not show; they are None here, which means
    nothing.
    """

    dag_id: str
    run_id: str
    state: RunState
    conf: dict[str, Any]
    logical_date: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    bundle_version: str | None = None
    note: str | None = None
    run_after: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    partition_key: str | None = None
    unknown_fields: tuple[str, ...] = ()

    @property
    def cancelled(self) -> bool:
        """Whether a cancelled workflow stopped it. What Airflow makes of it afterwards is no
        verdict.

        Measured: docs/notes/airflow-3.md#stopping-a-run.
        """
        return CANCELLED_MARK in (self.note or "")

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


def stopped_note(run: DagRun) -> str:
    """Return the run's note with the mark of a cancelled workflow, within Airflow's 1000
    characters.
    """
    note = (run.note or "").replace(CANCELLED_MARK, "").rstrip()
    return f"{note[: 999 - len(CANCELLED_MARK)]}\n{CANCELLED_MARK}".lstrip()


class TaskInstance(NamedTuple):
    """One task instance of a DAG run. `map_index` is -1 unless mapped; `state` None means that
    nothing was decided yet.
    """

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    duration: float | None
    url: str
    start_date: datetime | None = None
    end_date: datetime | None = None
    max_tries: int = 0
    pool: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the others of its run."""
        return self.task_id, self.map_index

    @property
    def over(self) -> bool:
        """Whether Airflow will do nothing more about it, unless somebody clears it."""
        return self.state in ENDED

    @property
    def cut_off(self) -> bool:
        """Whether a `dagrun_timeout` ended it while it ran: skipped, begun, and never ended
        (measured on 2.11.2 and 3.3.2).
        """
        return self.state == "skipped" and self.start_date is not None and self.end_date is None

    @property
    def name(self) -> str:
        """`task_id`, with `[map_index]` for a mapped one: the form of the output `failed_tasks`."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class TaskList(NamedTuple):
    """Task instances of a DAG run as far as they were read, and how many there are in all.

    `unread_succeeded`: how many of those that were not read succeeded, if that was counted.
    """

    instances: tuple[TaskInstance, ...]
    total: int
    unread_succeeded: int = 0

    @property
    def unread(self) -> int:
        """How many there are beyond those that were read."""
        return max(self.total - len(self.instances), 0)

    @property
    def succeeded(self) -> int:
        """How many succeeded, as far as is known."""
        return sum(task.state == "success" for task in self.instances) + self.unread_succeeded


class Failure(NamedTuple):
    """Why a task instance failed, as far as Airflow shows it.

    Attributes:
        cause: one line.
        raised: the exception that ended its last try, then its causes; empty if none is known.
        log: the tail of that try's log.
        lines_omitted: how many lines there were before that tail.
    """

    task: TaskInstance
    cause: str
    raised: tuple[ExceptionInfo, ...] = ()
    log: tuple[str, ...] = ()
    lines_omitted: int = 0


class Blocker(NamedTuple):
    """Something that keeps the DAG run from moving: what it is, the evidence, what to do."""

    title: str
    detail: str
    hint: str
    url: str | None = None


class Report(NamedTuple):
    """What stands on GitHub for a DAG run that nobody waits for.

    Attributes:
        kind: commit status, or deployment.
        name: the status's context, or the environment.
        commit: the whole SHA.
        state: pending, success or failure.
        status_url: of a commit status.
        deployment_id: of a deployment.
    """

    kind: str
    name: str
    commit: str
    state: str
    status_url: str | None
    deployment_id: int | None


class Outcome(NamedTuple):
    """What the gate decided, and everything that people are told about it.

    Whatever was not learned on the way is None: the request when the inputs were wrong, the run
        when none was made.

    Attributes: tasks: its task instances; of a wide run all that failed, and as many others as are
        shown. unread: how many there are beyond those. unread_succeeded: how many of these
        succeeded. blockers: why the run does not move, the likeliest reason first. failures: the
        reasons of failed task instances; fewer than `failed_tasks` if there are very many.
        dagrun_timeout_exceeded: the DAG's `dagrun_timeout` in seconds, if that is what ended the
        run. xcom: the values that were asked for, by the lines of the input. disabled_features: a
        sentence for each feature that this credential may not use. report: what stands on GitHub
        for the run. stop_error: why it could not be confirmed that the run is stopped, if that is
        known. retried: whether a post stage tries once more what this stage could not. ambiguous:
        whether the run, which was there already, may be that of another call of the same reusable
        workflow.
    """

    result: Result
    error: ActionError | None = None
    request: RunRequest | None = None
    run: DagRun | None = None
    run_url: str | None = None
    created: bool | None = None
    taken_over: TakenOver | None = None
    tasks: tuple[TaskInstance, ...] | None = None
    unread: int = 0
    unread_succeeded: int = 0
    airflow_version: str | None = None
    stopped: StopStatus | None = None
    stop_error: ActionError | None = None
    post_stage_retries: bool = False
    blockers: tuple[Blocker, ...] = ()
    failures: tuple[Failure, ...] = ()
    dagrun_timeout_exceeded: float | None = None
    xcom: dict[str, Any] | None = None
    disabled_features: tuple[str, ...] = ()
    seconds_in_state: float = 0.0
    waited: float = 0.0
    post: bool = False
    retries: int = 0
    ambiguous: bool = False
    report: Report | None = None

    @property
    def passes(self) -> bool:
        """Whether the workflow may go on, which is exit code 0."""
        return self.result in ("success", "triggered")

    @property
    def task_count(self) -> int:
        """How many task instances the run has, as far as is known."""
        return len(self.tasks or ()) + self.unread

    @property
    def failed_tasks(self) -> tuple[TaskInstance, ...]:
        """The task instances that failed themselves (not those that could not start because of
        them).
        """
        return tuple(task for task in self.tasks or () if task.state == "failed")


class TaskLog(NamedTuple):
    """What a task instance's log says.

    Attributes: lines: its tail. lines_omitted: how many lines there were before that tail. raised:
        the exception that ended the try, then its cause, then the cause's; empty if the log shows
        none. last_error: the last line of level error or worse, None if there is none. written:
        whether the try wrote anything; otherwise the lines only say where a log was looked for.
    """

    lines: tuple[str, ...]
    lines_omitted: int = 0
    raised: tuple[ExceptionInfo, ...] = ()
    last_error: str | None = None
    written: bool = True


class Health(NamedTuple):
    """Which of Airflow's components send heartbeats. None: it has no such component, or never
    had.
    """

    scheduler: bool | None
    dag_processor: bool | None
    triggerer: bool | None


class Pool(NamedTuple):
    """A pool, and how many of its slots are free."""

    name: str
    slots: int
    open_slots: int


class DagImportError(NamedTuple):
    """A DAG file that Airflow cannot import: its path as Airflow names it, and the traceback.

    `bundle`: in which the path is; empty on Airflow 2, which knows no bundles.
    """

    filename: str
    trace: str
    raised: tuple[ExceptionInfo, ...] = ()
    bundle: str = ""


class HitlRequest(NamedTuple):
    """A question that a task waits for a human to answer."""

    task_id: str
    map_index: int
    subject: str
    url: str
