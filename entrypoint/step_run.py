"""One DAG run of the step: find or create it, judge its end, and stop it.

`step.py` calls it for each DAG run. The outcome is published after each part, so that it is
complete however the step ends.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.airflow.client import Run
from entrypoint.diagnostics.collector import Diagnostics
from entrypoint.errors import (
    ActionError,
    DagNotFound,
    Forbidden,
    InvalidConf,
    StaleDag,
    StartPostponed,
    StateUnknown,
    TransientError,
    TriggerUnclear,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.models import DagRun, Outcome, SavedRun
from entrypoint.run.code_wait import CodeWait, DagFiles
from entrypoint.run.dag_checks import for_existing_run, require_unpaused, stale_dag
from entrypoint.run.existing import (
    TakeOverAction,
    plan,
    require_own_run,
    require_same_request,
    take_over,
    wait_for_creation,
)
from entrypoint.run.polling import FollowedRun, WaitLimits
from entrypoint.run.request import build_request, derive_note, made_by
from entrypoint.run.result import result_of
from entrypoint.run.stop import RunToStop, Stopped, stop
from entrypoint.run.trigger import (
    HTTP_SERVER_ERROR,
    SETTLE_POLL_SECONDS,
    Attempts,
    adopt,
    trigger,
    trigger_unclear,
)
from entrypoint.session import SETUP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Dag, RunRequest, TaskList, TaskVerdict
    from entrypoint.run.code_version import Commits
    from entrypoint.run.detached import DetachedReport
    from entrypoint.run.required_tasks import RequiredTasks
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

T = TypeVar("T")

END_SECONDS = 30.0
"""Seconds for reading the task instances of an ended run, or for stopping a run on timeout."""
RESULT_SECONDS = 300.0
"""Minimum seconds for reading the task instances if the result depends on them."""
NEW_TASKS_SECONDS = 30.0
"""Seconds for which Airflow's web server may show the tasks of a DAG before its last parsing."""
MAX_LIST_FAILURES = 3
"""Failures of Airflow to list a DAG's tasks until the step goes on without that list."""


class StepRun:
    """One DAG run of the step, not connected to Airflow yet.

    Args:
        settings: the parsed inputs.
        context: commit, workflow run and job of the step.
        session: clock, retrier and events.
        commits: history of the repository.
        published: called after each change of the outcome.

    Attributes:
        outcome: what is known of the DAG run so far.
        code: the wait for the code of the commit.
        active: whether Airflow runs it whatever this step does: it did when `check` was called, or
            another client triggers it.
    """

    def __init__(
        self,
        settings: Settings,
        context: Context,
        session: Session,
        commits: Commits,
        published: Callable[[], None],
    ) -> None:
        self.request = build_request(settings, context)
        self.outcome = Outcome(
            result="error", request=self.request, post_stage_retries=context.system == "github"
        )
        self._settings = settings
        self._context = context
        self._session = session = session.named(settings.dag_id) if settings.dags else session
        self.code = CodeWait(settings, context, session, commits)
        self._published = published
        self._retrier = session.retrier
        self._events = session.events
        self._airflow: Airflow
        self._diagnostics: Diagnostics
        self._detached_report: DetachedReport | None = None
        self._required_tasks: RequiredTasks | None = None
        # Several DAG runs share one patience. A single one has its own.
        self._attempts = Attempts() if settings.dags else None
        self.active = not settings.trigger
        self._stale_mark = self._stopped = self._waited_for_creation = False
        self._since = session.clock()
        self._creation_deadline: Deadline | None = None
        self._deadline = session.deadline(settings.timeout)

    def publish(self, outcome: Outcome) -> None:
        """Keep what is known of the run, and publish it at once."""
        self.outcome = outcome
        self._published()

    def fail(self, error: ActionError) -> None:
        """End this run's part of the step with an error."""
        self.publish(self.outcome._replace(result="error", error=error, finished=True))

    # Find or create the DAG run.

    def connect(self, airflow: Airflow, optional: OptionalRequests) -> None:
        """Set the Airflow that has the run.

        Args:
            airflow: API client.
            optional: client for optional requests to the same Airflow.

        Raises:
            ActionError: the run cannot be reported as the inputs ask for.
        """
        self._airflow = airflow
        self._diagnostics = Diagnostics(
            optional, self._session, self._settings, self._context.workspace
        )
        self.publish(self.outcome._replace(airflow_version=airflow.version))
        if self._settings.report_to != "none":
            # Imported here, because other steps should not wait for this module.
            from entrypoint.run.detached import DetachedReport  # noqa: PLC0415

            self._detached_report = DetachedReport(
                self._settings, self._context, self._session, airflow.base_url
            )

        if self._settings.required_tasks:
            from entrypoint.run.required_tasks import RequiredTasks  # noqa: PLC0415 - the same

            self._required_tasks = RequiredTasks(
                self._settings.required_tasks, self._retrier, self._settings.poll_interval
            )

    @property
    def dag_files(self) -> DagFiles:
        """Optional requests about DAG files."""
        files = self._diagnostics.dag_files
        if not self._settings.dry_run:
            return files
        # Imported here, because other steps should not wait for this module.
        from entrypoint.dry_run import ReadOnlyDagFiles  # noqa: PLC0415

        return ReadOnlyDagFiles(files)

    def check(self) -> None:
        """Check that the DAG could be triggered, without any effect.

        Raises:
            ActionError: it could not.
        """
        self._airflow.check(self.request)
        run = self.code.read(self._airflow, self._get_run) if self._may_exist() else None
        if run is not None:
            self.active = not run.ended
            return  # `start` checks what this run still needs
        # The DAG is unpaused only when it is triggered.
        if_paused = self._settings.if_paused
        if_paused = "queue" if if_paused == "unpause" else if_paused
        try:
            dag = self.code.require_runnable(self._airflow, if_paused)
            if dag.has_import_errors:
                raise stale_dag(dag)
            # Airflow itself decides if its schema cannot be read now.
            with suppress(TransientError, UnexpectedResponse, Forbidden):
                self.code.read(self._airflow, lambda airflow: airflow.check_conf(self.request))
        except (DagNotFound, StaleDag) as error:
            raise self._with_import_error(error) from None

    def dry_run(self, code_error: ActionError | None) -> None:
        """Check everything up to the trigger, change nothing, and publish what was found.

        Args:
            code_error: why the common wait of several DAGs for new code failed for this one.
        """
        # Imported here, because other steps should not wait for this module.
        from entrypoint.dry_run import DryRun  # noqa: PLC0415

        report = self._detached_report
        dry_run = DryRun(
            self._airflow,
            request=self.request,
            settings=self._settings,
            context=self._context,
            session=self._session,
            code=self.code,
            dag_files=self.dag_files,
            code_error=code_error,
            with_import_error=self._with_import_error,
            check_report=None
            if report is None
            else partial(report.check, self._airflow, self._with_note(self.request)),
            check_tasks=self.require_known_tasks if self._settings.required_tasks else None,
        )
        found, error = dry_run.check()
        outcome = self.outcome._replace(dry_run=found, error=error, finished=True)
        outcome = outcome._replace(result="error" if error else "checked")
        if dry_run.run is not None:
            outcome = outcome._replace(run=dry_run.run, created=False, run_url=self._url())
        self.publish(outcome)
        self._events.dry_run(found)

    def _may_exist(self) -> bool:
        """Return whether an earlier attempt, or another client, may have created the run."""
        return self._context.attempt > 1 or self._settings.run_id is not None

    def _get_run(self, airflow: Airflow) -> DagRun | None:
        return airflow.get_run(self.request.dag_id, self.request.run_id)

    def _with_import_error(self, error: ActionError) -> ActionError:
        deadline = self._session.deadline(SETUP_SECONDS)
        return self._diagnostics.with_import_error(error, deadline)

    @property
    def triggered(self) -> bool:
        """Whether a trigger had no clear response."""
        return self._attempts is not None and (self._attempts.sent > 0 or self._attempts.unclear)

    @property
    def unclear(self) -> bool:
        """Whether no request since the last trigger has told if the run exists."""
        return self._attempts is not None and self._attempts.unclear

    def start(self, *, last_chance: bool = False) -> FollowedRun | None:
        """Find or create the DAG run; return what is to be followed, None if the step is over.

        Args:
            last_chance: whether to use up the triggers of one of several runs.

        Raises:
            StartPostponed: one of several runs cannot be started now.
            ActionError: there is no such run, or nobody knows.
        """
        self.code.postpones = self._attempts is not None
        try:
            run = self._find_or_create(last_chance=last_chance)
        except StartPostponed as postponed:
            if postponed.outage and self.triggered and self._deadline.has_passed():
                raise trigger_unclear(self.request, postponed.error) from None
            raise
        except (DagNotFound, StaleDag, InvalidConf) as error:
            raise self._with_import_error(error) from None
        if self._detached_report is not None:
            run, report = self._detached_report.begin(
                self._airflow, run, self._url(), self._diagnostics.failed_task_names
            )
            self.publish(self.outcome._replace(run=run, report=report))
            self._events.reported(report)
        if self._settings.wait:
            return self._to_follow(run)
        if run.ended:
            self._update_tasks(self._diagnostics.read_tasks(run, self._deadline))
        self._conclude(run)
        return None

    def _find_or_create(self, *, last_chance: bool) -> DagRun:
        request, airflow = self.request, self._airflow
        airflow.check(request)
        request = self._with_note(request)
        run = self._find()
        self.active = self.active and (run is not None or not self._settings.trigger)
        if self._detached_report is not None:
            self._detached_report.check(airflow, request, run)
        created = False
        if run is None and not self._settings.trigger:
            run = self._wait_for_creation(request)
        elif run is None:
            self._require_repeatable(last_chance=last_chance)
            run, created = self._create(request)
        elif self.triggered:
            run, created = adopt(self._airflow, request, run, self._may_be_own_run)
            self._record_owner(run, created=created)
        self.publish(self.outcome._replace(run=run, created=created, run_url=self._url()))
        if created:
            self.code.require(run, self._deadline)
        else:
            self.require_known_tasks(run)
            run = self._take_over(run, request)
        self._events.run_found(self.outcome)
        return run

    def _find(self) -> DagRun | None:
        """Return the DAG run, None if it does not exist."""
        if self._attempts is None or not self.triggered:
            return self.code.read(self._airflow, self._get_run)
        deadline = self._session.deadline(SETUP_SECONDS)
        retrier = self._retrier.within(deadline).postponing()
        try:
            return self._attempts.find(
                partial(self._get_run, self._airflow.within(deadline)), retrier
            )
        except (Unauthorized, Forbidden) as refusal:
            raise trigger_unclear(self.request, refusal) from None

    def _with_note(self, request: RunRequest) -> RunRequest:
        note = request.note or derive_note(self._context)
        return request._replace(
            note=self._detached_report.note(note) if self._detached_report else note
        )

    def _url(self) -> str:
        return self._airflow.run_url(self.request.dag_id, self.request.run_id)

    def _require_repeatable(self, *, last_chance: bool) -> None:
        if self._attempts is not None:
            try:
                self._attempts.require_repeatable(last_chance=last_chance)
            except ActionError:
                self.publish(self.outcome._replace(owned=False))
                raise

    def _create(self, request: RunRequest) -> tuple[DagRun, bool]:
        def send(dag: Dag) -> tuple[DagRun, bool]:
            self.require_known_tasks()
            self._take_ownership()
            # Draining would pause an active DAG. A DAG that drains already is paused as soon as
            # its runs have ended, perhaps before the trigger.
            drain = request.drain and (dag.is_paused or dag.is_draining)
            pinned = request._replace(drain=drain, bundle_version=self.code.bundle_version)
            deadline, settle = self._start_timeout(), self.code.seconds_left() <= 0
            retrier = self._retrier.within(deadline)
            return trigger(
                self._airflow.within(deadline),
                pinned,
                retrier if self._attempts is None else retrier.postponing(),
                settle_not_found=settle,
                may_be_ours=self._may_be_own_run,
                attempts=self._attempts,
            )

        files = self.dag_files
        try:
            run, created = self.code.call_when_deployed(
                self._airflow, files, self._settings.if_paused, send
            )
        except TriggerUnclear:
            self.publish(self.outcome._replace(run_url=self._url()))
            raise
        except StartPostponed:
            # A run that was triggered may still appear.
            self.publish(self.outcome._replace(owned=self.triggered))
            raise
        except ActionError:
            self.publish(self.outcome._replace(owned=False))
            raise
        self._record_owner(run, created=created)
        return run, created

    def _record_owner(self, run: DagRun, *, created: bool) -> None:
        # Otherwise another workflow run created the run first, and owns it.
        owned = created or self._is_own_run(run)
        self.publish(self.outcome._replace(owned=owned and self.outcome.owned))

    def require_known_tasks(self, run: DagRun | None = None) -> bool:
        """Check that each line of `required_tasks` fits a task of the DAG, or of the run.

        Returns:
            Whether that is certain. If Airflow fails to list the tasks, the end of the run shows
            it: a line that fits none is never a success.

        Raises:
            ActionError: one of them fits none, or the tasks cannot be read.
        """
        required, dag_id = self._required_tasks, self.request.dag_id
        if required is None:
            return True
        from entrypoint.run.required_tasks import unknown_tasks, unread_tasks  # noqa: PLC0415

        ids: set[str] = set()
        settled = self._session.deadline(NEW_TASKS_SECONDS if self.code.may_be_new else 0.0)
        try:
            if run is not None:
                tasks = self.code.read(
                    self._airflow, lambda airflow: airflow.task_instances(dag_id, run.run_id)
                )
                ids = {task.task_id for task in tasks.instances}
            while required.unknown(ids):
                if (listed := self._list_tasks()) is None:
                    return False
                ids.update(listed)
                unknown = required.unknown(ids)
                if unknown and settled.has_passed():
                    raise unknown_tasks(dag_id, unknown, ids)
                if unknown:
                    self._retrier.sleep(self._retrier.jittered(SETTLE_POLL_SECONDS))
        except Forbidden as refusal:
            raise unread_tasks(refusal, triggered=run is not None) from None
        return True

    def _list_tasks(self) -> tuple[str, ...] | None:
        """Return the ids of the DAG's tasks, None if Airflow itself fails to list them.

        It may do so for days, and only for this DAG
        (docs/notes/airflow-versions.md#tasks-that-cannot-be-listed).
        """
        failures = 0

        def fetch(airflow: Airflow) -> tuple[str, ...] | None:
            nonlocal failures
            try:
                return airflow.task_ids(self.request.dag_id)
            except TransientError as error:
                failures += error.status == HTTP_SERVER_ERROR
                if failures < MAX_LIST_FAILURES:
                    raise
                self._events.optional_failed(
                    "the check of required_tasks before the trigger", error
                )
                return None

        return self.code.read(self._airflow, fetch)

    def _wait_for_creation(self, request: RunRequest) -> DagRun:
        """Wait for a run that another client creates, until `start_timeout` if it is given."""
        start_timeout = self._settings.start_timeout
        if self._creation_deadline is None:
            self._since = self._session.clock()
            self._creation_deadline = self._session.deadline(
                0.0 if start_timeout == inf else start_timeout
            )
        deadline = self._creation_deadline
        self._waited_for_creation = start_timeout != inf
        return wait_for_creation(
            self._airflow.within(deadline),
            request,
            self._retrier.within(deadline),
            self._settings.poll_interval,
            waited=self._session.clock() - self._since,
            postpones=self._attempts is not None,
        )

    def _is_own_run(self, run: DagRun) -> bool:
        return made_by(run, self._settings.run_id, self._context)

    def _may_be_own_run(self, run: DagRun) -> bool:
        # An Airflow without notes cannot show which workflow run created it.
        return "note" in run.unknown_fields or self._is_own_run(run)

    def _take_over(self, run: DagRun, request: RunRequest) -> DagRun:
        action: TakeOverAction = "wait"
        if self._settings.trigger:
            require_same_request(run, request)
            if not self._settings.run_id:
                require_own_run(run, self._context)
            action = plan(run, self._settings.if_run_exists)
        # Only an Airflow that can run a cleared run with the latest code changes its commit.
        latest = (
            action != "wait" and request.commit is not None and self._airflow.can_clear_to_latest
        )
        if not latest:
            self.code.require(run, self._session.deadline(SETUP_SECONDS))
        if_paused = for_existing_run(self._settings.if_paused)
        if latest or (action != "wait" and self._settings.wait_for_dag):
            self.code.call_when_deployed(self._airflow, self.dag_files, if_paused, lambda _: None)
        elif action != "wait":
            self.code.require_runnable(self._airflow, if_paused)
        elif not run.ended:
            # The run has its code already, so there is no wait for new code.
            self.code.read(
                self._airflow, lambda airflow: require_unpaused(airflow, run.dag_id, if_paused)
            )
        if action != "wait" or (not run.ended and self._is_own_run(run)):
            self._take_ownership()
        began = self._since
        deadline = self._start_timeout()
        if self._waited_for_creation:
            # The start_timeout includes the time in which there was no run.
            self._since = began
        run, taken_over = take_over(
            self._airflow.within(deadline),
            run,
            action,
            self._retrier.within(deadline),
            latest=latest,
        )
        if latest:
            self.code.require(run, self._session.deadline(SETUP_SECONDS))
        self._stale_mark = taken_over != "attached" and run.cancelled
        unambiguous = (
            self._settings.run_id or self._context.job_path or self._context.system != "github"
        )
        self.publish(
            self.outcome._replace(run=run, taken_over=taken_over, ambiguous=not unambiguous)
        )
        return run

    def _take_ownership(self) -> None:
        """Make this step stop the run on a cancel, even if the run does not exist yet.

        The run is saved before the request, so that the post stage knows it even if the process is
        killed in between.
        """
        if self._settings.trigger:
            self.publish(self.outcome._replace(owned=True))

    def _start_timeout(self) -> Deadline:
        self._since = self._session.clock()
        self._deadline = self._session.deadline(self._settings.timeout)
        return self._deadline

    # Wait for the end.

    def _to_follow(self, run: DagRun) -> FollowedRun:
        settings, seen_at = self._settings, self._session.clock()
        # With several DAGs, one more request for each is more than it saves.
        known = run.ended or settings.dags
        expected = None if known else self._diagnostics.usual_duration(run, self._deadline)
        limits = WaitLimits(
            self._since, self._deadline, settings.start_timeout, settings.poll_interval, expected
        )
        diagnostics = self._diagnostics
        return FollowedRun(
            run,
            limits,
            seen_at,
            diagnostics.next_update,
            self._events.run_state,
            next_read=self._required_tasks.next_read if self._required_tasks else lambda _: inf,
            work=diagnostics.work,
        )

    def see(self, followed: FollowedRun) -> None:
        """Publish the state of the run, and once it is over, everything that is to be known.

        If the run was cleared after its end, it is followed again.

        Raises:
            ActionError: the run cannot be followed any more, or its result cannot be found out.
        """
        run = followed.run
        # Published at once, because the next part may end with an error.
        self.publish(self.outcome._replace(run=run))
        if followed.error is not None:
            self._on_unknown_state(followed.error, run)
        decided = not followed.done and self._decided_by_tasks(followed)
        if not followed.done and not decided:
            self._diagnostics.update(run, self._deadline)
            return
        run, followed.done = followed.run, True
        now = self._session.clock()
        self.publish(
            self.outcome._replace(waited=now - self._since, seconds_in_state=now - followed.since)
        )
        if self._required_tasks is not None and not decided:
            self._read_required_tasks(self._required_tasks, run)
        deadline = self._session.deadline(END_SECONDS)
        self._update_tasks(self._diagnostics.read_tasks(run, deadline))
        latest = self._read_again(run, deadline)
        if latest.ended != run.ended:
            self._events.run_cleared(run)
            # The task instances are those of the end before the clear. They must decide nothing.
            self.publish(
                self.outcome._replace(tasks=None, unread=0, unread_succeeded=0, verdict=None)
            )
            followed.record(latest, self._session.clock())
            return
        self.publish(self.outcome._replace(run=latest))
        self.code.require(latest, self._session.deadline(END_SECONDS))
        self._conclude(latest)

    def _decided_by_tasks(self, followed: FollowedRun) -> bool:
        """Return whether the required tasks of a run that goes on have decided.

        What they have decided is read twice, and the run in between, so that a clear at the same
        time is noticed and the outputs have the run's state at the decision.

        Raises:
            ActionError: they cannot be read any more.
        """
        required = self._required_tasks
        if required is None:
            return False
        airflow, run = self._airflow.within(self._deadline), followed.run
        result = required.poll(airflow, run).result
        if result is None:
            return False
        try:
            latest = airflow.get_run(run.dag_id, run.run_id)
            if latest is None or required.confirm(airflow, latest).result != result:
                return False
        except ActionError as error:
            required.record_error(error)
            return False
        followed.record(latest, self._session.clock())
        self._on_verdict(required.verdict, latest)
        return True

    def _read_required_tasks(self, required: RequiredTasks, run: DagRun) -> None:
        """Read what the required tasks have decided, of a run that is over or at its timeout.

        Raises:
            ActionError: it is unknown.
        """
        left = self._deadline.seconds_left()
        deadline = self._session.deadline(max(RESULT_SECONDS, left) if run.ended else END_SECONDS)
        try:
            verdict = required.read_final(
                self._airflow.within(deadline), run, self._retrier.within(deadline)
            )
        except ActionError:
            if not run.ended and self._may_stop_on_timeout(run):
                self._stop_on_timeout()
            raise
        self._on_verdict(verdict, run)

    def _on_verdict(self, verdict: TaskVerdict, run: DagRun) -> None:
        """Publish what the required tasks have decided.

        The run goes on after that, so this step does not own it any more: nothing may stop it.
        """
        owned = self.outcome.owned and (verdict.result is None or run.ended)
        self.publish(self.outcome._replace(run=run, verdict=verdict, owned=owned))
        if verdict.result is not None:
            self._events.tasks_decided(verdict, run)

    def _on_unknown_state(self, error: ActionError, run: DagRun) -> None:
        # Airflow may answer again soon, so try to stop the run as after any timeout.
        if isinstance(error, StateUnknown) and self._may_stop_on_timeout(run):
            self._stop_on_timeout()
        raise error

    def _update_tasks(self, tasks: TaskList | None) -> None:
        if tasks is not None:
            self.publish(
                self.outcome._replace(
                    tasks=tasks.instances,
                    unread=tasks.unread,
                    unread_succeeded=tasks.unread_succeeded,
                )
            )

    def _read_again(self, run: DagRun, deadline: Deadline) -> DagRun:
        """Return the run as it is after its tasks were read, because it may have been cleared.

        A cleared run has unfinished tasks. If all tasks have ended, the run was not cleared, and no
        request is necessary. If the request fails, return the last known run.
        """
        tasks = self.outcome.tasks
        if not run.ended or (tasks is not None and all(task.ended for task in tasks)):
            return run
        try:
            fetch = partial(self._airflow.within(deadline).get_run, run.dag_id, run.run_id)
            return self._retrier.within(deadline).read(fetch, retry_refused=True) or run
        except ActionError:
            return run

    def _conclude(self, run: DagRun) -> None:
        """Decide the result, and collect its reasons and the XComs."""
        settings, diagnostics = self._settings, self._diagnostics
        decided_by_tasks = settings.fail_on_failed_tasks and run.state == "success"
        if decided_by_tasks and self.outcome.tasks is None:
            deadline = self._session.deadline(max(RESULT_SECONDS, self._deadline.seconds_left()))
            self._update_tasks(diagnostics.require_tasks(run, deadline))
        failed_tasks = settings.fail_on_failed_tasks and bool(self.outcome.failed_tasks)
        result = result_of(
            run,
            wait=settings.wait,
            failed_tasks=failed_tasks,
            stale_mark=self._stale_mark,
            verdict=self.outcome.verdict,
        )
        self.publish(self.outcome._replace(result=result))
        if result == "timeout":
            self._on_timeout(run)
        if settings.wait:
            reasons = diagnostics.explain_end(run, self.outcome.tasks)
            self.publish(
                self.outcome._replace(
                    failures=reasons.failures,
                    dagrun_timeout_exceeded=reasons.dagrun_timeout_exceeded,
                    dag_start_date=reasons.dag_start_date,
                )
            )
        decided = self.outcome.verdict is not None and self.outcome.verdict.result is not None
        if settings.xcom and (run.ended or decided):
            whole, needed = not self.outcome.unread, result == "success"
            xcom = diagnostics.xcoms(run, self.outcome.tasks, whole=whole, needed=needed)
            self.publish(self.outcome._replace(xcom=xcom))
        self.publish(self.outcome._replace(finished=True))

    # Timeout and cancel.

    def _on_timeout(self, run: DagRun) -> None:
        """Find out why the run does not move, and stop it if `on_timeout` is `cancel`."""
        deadline = self._session.deadline(END_SECONDS)
        blockers = self._diagnostics.blockers_of(run, self.outcome.tasks, deadline)
        self.publish(self.outcome._replace(blockers=blockers))
        if self._may_stop_on_timeout(run):
            self._stop_on_timeout()
        else:
            self.publish(self.outcome._replace(stopped="left"))

    def _may_stop_on_timeout(self, run: DagRun) -> bool:
        return self._settings.on_timeout == "cancel" and (
            self.outcome.owned or self._is_own_run(run)
        )

    def _stop_on_timeout(self) -> None:
        deadline = self._session.deadline(END_SECONDS)
        self.publish(self.outcome._replace(stopped="unconfirmed", run_url=self._url()))
        self._events.stopping(self.request.run_id)
        to_stop = self.to_stop(deadline)
        if self._settings.dags and self.outcome.run is not None:
            # Since it was seen, the ends of other runs may have been explained for minutes.
            to_stop = to_stop._replace(last_seen=None, created=True)
        self.record_stop(*stop([to_stop], self._retrier.within(deadline), confirm=True))

    def cancel(self) -> bool:
        """Record that the workflow was cancelled; return whether this step has to stop the run."""
        outcome = self.outcome
        must_stop = self.saved() is not None and self._settings.on_cancel != "leave"
        # One that was left running at its timeout is stopped now, because of the cancel.
        if must_stop or not self.outcome.finished:
            outcome = outcome._replace(
                result="cancelled", error=None, waited=self._session.clock() - self._since
            )
        if must_stop:
            outcome = outcome._replace(stopped="unconfirmed", run_url=self._url())
        elif outcome.result == "cancelled":
            left = outcome.owned or (outcome.run is not None and not outcome.run.ended)
            outcome = outcome._replace(stopped="left" if left else "nothing")
        self.publish(outcome)
        return must_stop

    def saved(self) -> SavedRun | None:
        """Return the run for the post stage, None if a cancelled workflow need not stop it."""
        outcome = self.outcome
        ended = outcome.run is not None and outcome.run.ended
        if not outcome.owned or (outcome.finished and ended):
            return None
        return SavedRun(
            self.request.dag_id,
            self.request.run_id,
            self._url(),
            created=outcome.created is True,
            stopped=self._stopped,
        )

    def finish(self, disabled_features: tuple[str, ...]) -> None:
        """Publish what is known only at the end of the step."""
        self.publish(
            self.outcome._replace(
                retries=self._retrier.retries, disabled_features=disabled_features
            )
        )

    def to_stop(self, deadline: Deadline) -> RunToStop:
        """Return what `stop` needs to know."""
        airflow = self._airflow.within(deadline)
        run = Run(airflow, self.request.dag_id, self.request.run_id)
        return RunToStop(run, self.outcome.run, stopped=self._stopped)

    def record_stop(self, stopped: Stopped, *, log: bool = False) -> None:
        """Record what has become of a run that was to be stopped, and log that if asked to."""
        if log:
            self._events.stopping(self.request.run_id)
        run = stopped.run or self.outcome.run
        self._stopped = self._stopped or (stopped.confirmed and stopped.by_this_step)
        outcome = self.outcome._replace(run=run, stop_error=stopped.error)
        # Without a run, the trigger may still be in progress. Only the post stage has the time to
        # wait for that.
        if stopped.confirmed and stopped.run is not None:
            outcome = outcome._replace(stopped="yes" if stopped.by_this_step else "nothing")
        self.publish(outcome)
