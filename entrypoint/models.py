"""The data types that the packages share. No I/O, no messages, no Airflow versions.

All are named tuples: they are immutable, and defining one takes an eighth of the time of a frozen
dataclass. About forty are defined before the trigger is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from entrypoint.errors import ActionError, ExceptionInfo
    from entrypoint.permissions import Verdict

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""A JSON value."""
JsonObject = dict[str, Json]

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
"""States of a task instance. A request writes "none" for a task instance without a state.

Measured: docs/notes/airflow-3.md#task-states.
"""

ENDED: tuple[TaskState, ...] = ("success", "failed", "skipped", "upstream_failed", "removed")
"""The task instance has ended. Only a clear makes Airflow run it again."""
RUNNING: tuple[TaskState, ...] = ("running", "restarting")
"""A worker has the task instance."""
IDLE: tuple[TaskState | None, ...] = ("skipped", "removed", "upstream_failed", None)
"""Of an ended run: the task instance did not run."""
ACTIVE: tuple[TaskState, ...] = ("scheduled", "queued", *RUNNING)
"""A scheduler, an executor or a worker acts on the task instance."""
WAITING: tuple[TaskState, ...] = ("deferred", "awaiting_input", "up_for_retry", "up_for_reschedule")
"""The task instance has started, and waits for an event or a time."""
UNFINISHED: tuple[TaskState, ...] = ("none", *ACTIVE, *WAITING)
"""All states that are not in ENDED."""

Result = Literal["success", "failed", "timeout", "cancelled", "triggered", "checked", "error"]
"""The result of the step. Never mix it with the state that Airflow reports (`RunState`)."""

WORST_FIRST: tuple[Result, ...] = (
    "cancelled",
    "error",
    "failed",
    "timeout",
    "triggered",
    "checked",
    "success",
)
"""All results, the worst first."""
PASSING: tuple[Result, ...] = ("success", "triggered", "checked")
"""Results with which the workflow may go on."""

IfRunExists = Literal["resume", "attach", "restart", "fail"]
"""The policy for an existing DAG run."""

IfPaused = Literal["fail", "unpause", "queue", "drain"]
"""The policy for a paused DAG."""

ReportTo = Literal["none", "commit-status", "deployment"]
"""How GitHub shows a DAG run that the step does not wait for."""

Logs = Literal["failed", "all", "live", "none"]
"""The task instances whose logs the step prints."""

StopStatus = Literal["yes", "unconfirmed", "left", "nothing"]
"""The fate of a DAG run whose end the step did not wait for.

yes: this step stopped it. unconfirmed: it may still run. left: it runs on, as configured or because
the step does not own it. nothing: there was no run to stop, or it had ended by itself.
"""

TakenOver = Literal["attached", "resumed", "restarted"]
"""What the step did with an existing DAG run.

attached: nothing. resumed: it cleared the tasks that had not succeeded. restarted: it cleared all
tasks.
"""

MAX_TASKS_LISTED = 500
"""Task instances in the job summary. Of a run with more, the step does not read all."""

CANCELLED_MARK = "[stopped because its workflow was cancelled]"
"""The mark in a DAG run's note that tells a later attempt that the run was stopped."""


class DagSelector(NamedTuple):
    """A line of the input `dags`.

    Attributes:
        kind: `dag` names one DAG, `tag` those with a tag, `changed` those whose file changed.
        name: the DAG id, or the tag.
        conf: the `conf` of this line, None for that of the step.
    """

    kind: Literal["dag", "tag", "changed"]
    name: str = ""
    conf: JsonObject | None = None


class RunRequest(NamedTuple):
    """The DAG run that this step requests, and what the step needs from Airflow for it.

    All dates have a time zone. Airflow chooses the fields that are None.

    Attributes:
        commit: the commit whose code the run must use.
        drain: whether to run the DAG once although it is paused.
        bundle_version: the version of the DAG's bundle to which the run is pinned.
        xcoms: the XComs of the run that the step reads.
    """

    dag_id: str
    run_id: str
    conf: JsonObject
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    run_after: datetime | None = None
    partition_key: str | None = None
    note: str | None = None
    commit: str | None = None
    drain: bool = False
    bundle_version: str | None = None
    xcoms: tuple[XComName, ...] = ()


class Ancestry(NamedTuple):
    """Whether one commit contains another.

    Attributes:
        contains: the answer, None if it is unknown.
        source: a sentence for the user that names the source, or why there is no answer.
    """

    contains: bool | None
    source: str


class Event(NamedTuple):
    """The event that started the workflow: its name, and its payload as GitHub documents it.

    Both are empty outside a GitHub workflow.
    """

    name: str
    payload: JsonObject

    def text_at(self, *path: str) -> str:
        """Return the text at this path of the payload, empty if there is none."""
        value: Json = self.payload
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) else ""


class ChangedFiles(NamedTuple):
    """The files of the repository that an event changed. A rename is a deletion and an addition.

    All paths are relative to the root of the repository.

    Attributes:
        changed: the added and modified files.
        deleted: the deleted files.
        namesakes: the files of the new commit that have the name of a changed one, and the ZIP
            archives; None if they are unknown.
        source: a sentence for the user that names the compared commits.
        added: those of the changed files that are new.
    """

    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    namesakes: tuple[str, ...] | None
    source: str
    added: tuple[str, ...] = ()


class ChangedDags(NamedTuple):
    """The DAGs that the changed files belong to.

    Attributes:
        files: for each changed DAG, by its id, the changed files that it is defined in.
        other_files: the changed files that belong to no DAG.
    """

    files: dict[str, tuple[str, ...]]
    other_files: tuple[str, ...]


class XComName(NamedTuple):
    """A requested XCom: the line of the input, and its parts."""

    line: str
    task_id: str
    key: str


class Dag(NamedTuple):
    """The properties of a DAG that matter for running it.

    Attributes:
        file: the DAG file, with the same name as in Airflow's import errors: relative to its bundle
            on Airflow 3, absolute on Airflow 2.
        fileloc: the absolute path of the DAG file on Airflow's machines.
        bundle: the bundle of the file, empty on Airflow 2, which has no bundles.
        bundle_version: the version of the bundle at the last parsing, None unless the bundle has
            versions (Airflow 3).
        is_draining: whether Airflow pauses the DAG when its runs have ended (Airflow 3.4).
        allows_manual_runs: whether its `allowed_run_types` allow a trigger (Airflow 3.2).
        last_parsed: the end of the last successful parsing.
        file_token: the token for a request to parse the file again.
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
    fileloc: str = ""
    is_draining: bool = False
    allows_manual_runs: bool = True


class DagRun(NamedTuple):
    """A DAG run as in Airflow's latest response. All dates have a time zone.

    Attributes:
        unknown_fields: the names of the fields that this Airflow version does not return. They are
            None here, but that does not mean that the run has no such value.
    """

    dag_id: str
    run_id: str
    state: RunState
    conf: JsonObject
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
        """Whether a cancelled workflow stopped the run.

        Its state does not count after that, because the scheduler may still overwrite it.
        Measured: docs/notes/airflow-3.md#stopping-a-run.
        """
        return CANCELLED_MARK in (self.note or "")

    @property
    def ended(self) -> bool:
        """Whether the run is in a final state."""
        return self.state in ("success", "failed")

    @property
    def duration(self) -> float | None:
        """The seconds from start to end, None unless both are known."""
        if self.start_date is None or self.end_date is None:
            return None
        return (self.end_date - self.start_date).total_seconds()


def stopped_note(run: DagRun) -> str:
    """Return the run's note with the mark of a cancelled workflow, in at most 1000 characters.

    Airflow does not accept a longer note.
    """
    note = (run.note or "").replace(CANCELLED_MARK, "").rstrip()
    return f"{note[: 999 - len(CANCELLED_MARK)]}\n{CANCELLED_MARK}".lstrip()


class Coordinates(NamedTuple):
    """Which of the task instances of one task in a DAG run.

    Attributes:
        map_index: the index of a mapped task instance, otherwise -1.
        region_id: Airflow's id of the loop, or of the mapped task in one of its iterations; empty
            outside a loop (Airflow 3.4 and later).
        region_index: the index within the region, -1 while a mapped task is not expanded.
    """

    map_index: int = -1
    region_id: str = ""
    region_index: int = -1


TaskKey = tuple[str, Coordinates]
"""The task id and the coordinates: the key of a task instance within its run."""


class TaskInstance(NamedTuple):
    """A task instance of a DAG run.

    Attributes:
        map_index: the index of a mapped task instance, otherwise -1.
        state: the state, None while Airflow has not set one.
        id: Airflow's own id of the current try, empty on Airflow 2.
        region_id, region_index: as in `Coordinates`.
        iteration: the number of the innermost loop's iteration, counted from 0 as Airflow does;
            None outside a loop.
        state_reason: why a retry policy ended or repeated a try (Airflow 3.4 and later).
        loop_id: the task group of the innermost loop, empty outside a loop.
        is_loop_gate: whether it decides if its loop goes on with a further iteration.
        control: whether it only decides which tasks after it run (a branch, a short circuit), or
            only marks a place (an empty task); empty if it does work.
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
    id: str = ""
    region_id: str = ""
    region_index: int = -1
    iteration: int | None = None
    state_reason: str | None = None
    loop_id: str = ""
    is_loop_gate: bool = False
    control: Literal["", "decision", "marker"] = ""

    @property
    def coordinates(self) -> Coordinates:
        """Which of the task's instances it is."""
        return Coordinates(self.map_index, self.region_id, self.region_index)

    @property
    def key(self) -> TaskKey:
        """The key of the task instance within its run."""
        return self.task_id, self.coordinates

    @property
    def ended(self) -> bool:
        """Whether the task instance is in a final state, which only a clear can change."""
        return self.state in ENDED

    @property
    def cut_off(self) -> bool:
        """Whether a `dagrun_timeout` stopped the task instance while it ran.

        Airflow sets it to skipped and leaves its end date empty (measured on 2.11.2 and 3.3.2).
        """
        return self.state == "skipped" and self.start_date is not None and self.end_date is None

    @property
    def name(self) -> str:
        """The name in the output `failed_tasks`.

        It is `task_id`, or `task_id[map_index]` if mapped; in a loop followed by ` (iteration N)`.
        """
        mapped = "" if self.map_index < 0 else f"[{self.map_index}]"
        loop = "" if self.iteration is None else f" (iteration {self.iteration})"
        return f"{self.task_id}{mapped}{loop}"


class TaskList(NamedTuple):
    """The task instances of a DAG run that the step has read, and the number of all.

    Attributes:
        unread_succeeded: the number of successes among the unread ones, if they were counted.
    """

    instances: tuple[TaskInstance, ...]
    total: int
    unread_succeeded: int = 0

    @property
    def unread(self) -> int:
        """The number of task instances that were not read."""
        return max(self.total - len(self.instances), 0)

    @property
    def succeeded(self) -> int:
        """The number of task instances that are known to have succeeded."""
        return sum(task.state == "success" for task in self.instances) + self.unread_succeeded


class TaskVerdict(NamedTuple):
    """What the tasks of the input `required_tasks` have decided so far.

    Attributes:
        patterns: the lines of the input.
        result: None as long as the tasks have decided nothing.
        total: the known number of their task instances.
        succeeded: the number of those that succeeded.
        unsuccessful: those that ended without success; in a wide run as many as one page has.
        unfinished: those that were read and have not ended.
        missing: the lines that fit no task instance of the run.
    """

    patterns: tuple[str, ...]
    result: Literal["success", "failed"] | None = None
    total: int = 0
    succeeded: int = 0
    unsuccessful: tuple[TaskInstance, ...] = ()
    unfinished: tuple[TaskInstance, ...] = ()
    missing: tuple[str, ...] = ()


class Failure(NamedTuple):
    """Why a task instance failed, according to Airflow.

    Attributes:
        cause: the reason in one line.
        raised: the exception that ended the last try, then its causes; empty if none is known.
        log: the last lines of the log of that try.
        lines_omitted: the number of log lines before those.
    """

    task: TaskInstance
    cause: str
    raised: tuple[ExceptionInfo, ...] = ()
    log: tuple[str, ...] = ()
    lines_omitted: int = 0


class Blocker(NamedTuple):
    """A reason why the DAG run does not move, with the evidence and a hint."""

    title: str
    detail: str
    hint: str
    url: str | None = None


class Report(NamedTuple):
    """The commit status or deployment on GitHub that shows the state of a DAG run.

    Attributes:
        kind: "commit status" or "deployment".
        name: the context of the status, or the environment.
        commit: the full SHA.
        state: pending, success or failure.
        status_url: the URL of a commit status.
        deployment_id: the id of a deployment.
    """

    kind: str
    name: str
    commit: str
    state: str
    status_url: str | None
    deployment_id: int | None


class Check(NamedTuple):
    """One check of a dry run.

    Attributes:
        name: what was checked.
        verdict: `ok`, `failed` (the step would not get past it), or `skipped`: it could not be
            checked, because a permission is missing or an earlier check failed.
        text: what was found, as plain text.
    """

    name: str
    verdict: Literal["ok", "failed", "skipped"]
    text: str


class FeatureAccess(NamedTuple):
    """Whether the credential may use a feature of this action.

    Attributes:
        label: the feature, as Markdown.
        use: whether this step needs it to get past the trigger, only uses it, or does not use it.
        verdict: whether Airflow allows it.
        missing: the permissions to grant for it.
        unclear: permissions that may have been granted already. A refusal does not name the missing
            permission, so they show only once those in `missing` are granted.
    """

    label: str
    use: Literal["needed", "used", "unused"]
    verdict: Verdict
    missing: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()


class DryRunReport(NamedTuple):
    """What a dry run has found out about one DAG run.

    Attributes:
        checks: the checks, in the order in which the step would meet them.
        access: the features, in the order of the README; empty if Airflow was not asked for them.
        bundle_version: the version of the DAG's bundle, None if it is unknown or has none.
        next_step: what the step would do now, as a sentence; empty after a failed check.
    """

    checks: tuple[Check, ...]
    access: tuple[FeatureAccess, ...] = ()
    bundle_version: str | None = None
    next_step: str = ""


class Outcome(NamedTuple):
    """What is known of one DAG run of the step; outputs, saved state and reports are made from it.

    A field is None if the step did not get far enough to know its value: `request` if the inputs
    were wrong, `run` if there is no DAG run.

    Attributes:
        finished: whether nothing more is to be found out about the run.
        owned: whether a cancelled workflow has to stop the run: this workflow created it, or
            started it again.
        tasks: the task instances; of a wide run all failed ones and as many others as are shown.
        unread: the number of task instances that are not in `tasks`.
        unread_succeeded: the number of successes among the unread ones.
        blockers: why the run does not move, with the most likely reason first.
        failures: why task instances failed; fewer than `failed_tasks` if very many failed.
        dagrun_timeout_exceeded: the `dagrun_timeout` in seconds, if it ended the run.
        dag_start_date: the DAG's start date, read if a successful run has no task instance.
        xcom: the requested values, keyed by the lines of the input.
        disabled_features: a sentence for each feature that the credential does not permit.
        report: the commit status or deployment on GitHub for the run.
        stop_error: why the step could not confirm that the run is stopped.
        post_stage_retries: whether a post stage follows that tries again to stop the run.
        ambiguous: whether an existing run may belong to another call of the reusable workflow.
        dry_run: what a dry run has found out, None if it was none.
        verdict: what the required tasks decided; None without the input `required_tasks`.
    """

    result: Result
    error: ActionError | None = None
    request: RunRequest | None = None
    run: DagRun | None = None
    run_url: str | None = None
    created: bool | None = None
    owned: bool = False
    finished: bool = False
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
    dag_start_date: datetime | None = None
    xcom: JsonObject | None = None
    disabled_features: tuple[str, ...] = ()
    seconds_in_state: float = 0.0
    waited: float = 0.0
    post: bool = False
    retries: int = 0
    ambiguous: bool = False
    report: Report | None = None
    dry_run: DryRunReport | None = None
    verdict: TaskVerdict | None = None

    @property
    def passes(self) -> bool:
        """Whether the workflow may go on (exit code 0)."""
        return self.result in PASSING

    @property
    def stop_settled(self) -> bool:
        """Whether no more is to be done to stop the run: it is over, or goes on on purpose."""
        return self.stopped in ("yes", "nothing", "left")

    @property
    def may_go_on(self) -> bool:
        """Whether Airflow may still run the run although the step no longer waits for it."""
        goes_on = self.finished and self.run is not None and not self.run.ended
        return goes_on and self.stopped not in ("yes", "nothing")

    @property
    def task_count(self) -> int:
        """The known number of task instances of the run."""
        return len(self.tasks or ()) + self.unread

    @property
    def failed_tasks(self) -> tuple[TaskInstance, ...]:
        """The task instances in state `failed`, without those in `upstream_failed`."""
        return tuple(task for task in self.tasks or () if task.state == "failed")

    @property
    def nothing_ran(self) -> bool:
        """Whether the run is a success in which no task did any work.

        It has no task instance, all were skipped or removed, or the others were skipped by a task
        that decides.
        """
        if self.result != "success" or self.verdict is not None or self.tasks is None:
            return False
        ran = [task for task in self.tasks if task.state not in IDLE]
        if not ran:
            return not self.unread_succeeded
        is_skipped = any(task.state == "skipped" for task in self.tasks)
        works = any(not task.control or task.state != "success" for task in ran)
        return is_skipped and not works and not self.unread_succeeded

    @property
    def decisive_failures(self) -> tuple[TaskInstance, ...]:
        """The task instances of the output `failed_tasks`.

        With required tasks those that did not succeed, otherwise all in state `failed`.
        """
        if self.verdict is None:
            return self.failed_tasks
        ended = self.run is not None and self.run.ended
        return self.verdict.unsuccessful + (self.verdict.unfinished if ended else ())


class StepOutcome(NamedTuple):
    """The outcome of the step: those of its DAG runs, in the order of the inputs.

    Attributes:
        runs: the DAG runs; empty if several were asked for and none is known or selected.
        several: whether the input `dags` was given.
        error: why none of several DAGs was triggered.
        cancelled: whether the workflow was cancelled.
        unmatched: changed files that belong to no DAG.
        new_files: those of them that are new and may define a DAG that Airflow does not have.
    """

    runs: tuple[Outcome, ...]
    several: bool = False
    error: ActionError | None = None
    cancelled: bool = False
    unmatched: tuple[str, ...] = ()
    new_files: tuple[str, ...] = ()

    @property
    def result(self) -> Result:
        """The worst result of the runs; without any, that of the step itself."""
        results = [run.result for run in self.runs]
        if self.error is not None:
            results.append("error")
        if self.cancelled and not self.runs:
            results.append("cancelled")
        return next((result for result in WORST_FIRST if result in results), "success")

    @property
    def passes(self) -> bool:
        """Whether the workflow may go on (exit code 0)."""
        return self.result in PASSING


class SavedRun(NamedTuple):
    """A DAG run that the main stage saves for the post stage, which stops it after a cancel.

    Attributes:
        created: whether Airflow confirmed that it created the run.
        stopped: whether the main stage has already stopped the run.
    """

    dag_id: str
    run_id: str
    run_url: str | None = None
    created: bool = False
    stopped: bool = False


class TaskLog(NamedTuple):
    """The log of one try of a task instance.

    Attributes:
        lines: the last lines.
        lines_omitted: the number of lines before those.
        raised: the exception that ended the try, then its causes; empty if the log has none.
        unavailable: why this Airflow does not return the log, empty if it does.
        last_error: the last line of level error or worse, None if there is none.
        written: whether the try wrote a log; if not, the lines only say where Airflow searched.
    """

    lines: tuple[str, ...]
    lines_omitted: int = 0
    raised: tuple[ExceptionInfo, ...] = ()
    last_error: str | None = None
    written: bool = True
    unavailable: str = ""


class Health(NamedTuple):
    """Which components of Airflow send heartbeats.

    None means that this Airflow has no such component, or has never had one.
    """

    scheduler: bool | None
    dag_processor: bool | None
    triggerer: bool | None


class Pool(NamedTuple):
    """A pool with its number of slots and of open slots."""

    name: str
    slots: int
    open_slots: int


class DagImportError(NamedTuple):
    """An import error of a DAG file.

    Attributes:
        filename: the path of the file as Airflow reports it.
        trace: the traceback.
        raised: the exceptions of the traceback.
        bundle: the bundle of the file, empty on Airflow 2, which has no bundles.
        seen_at: when Airflow last failed to import the file.
        file_token: the token for a request to parse the file again, empty before Airflow 3.4.
    """

    filename: str
    trace: str
    raised: tuple[ExceptionInfo, ...] = ()
    bundle: str = ""
    seen_at: datetime | None = None
    file_token: str = ""


class DagBundle(NamedTuple):
    """A bundle of DAG files, with the version that Airflow fetched last, None without versions."""

    name: str
    version: str | None


class HitlRequest(NamedTuple):
    """A question of a task instance that waits for a human's answer."""

    task_id: str
    map_index: int
    subject: str
    url: str
