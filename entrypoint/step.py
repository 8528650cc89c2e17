"""Run the main stage: connect, find or create the DAG run, and wait for its end.

The outcome is updated after each part, so that it is complete however the step ends.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from entrypoint.airflow.client import Run
from entrypoint.diagnostics.collector import Diagnostics
from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import (
    ActionError,
    DagNotFound,
    Forbidden,
    InvalidConf,
    RunNotFound,
    StaleDag,
    StateUnknown,
    TriggerUnclear,
    Unauthorized,
)
from entrypoint.github_api.commits import commits_of
from entrypoint.models import DagRun, Outcome
from entrypoint.report.outputs import Outputs
from entrypoint.run.code_wait import CodeWait
from entrypoint.run.dag_checks import require_runnable, require_unpaused
from entrypoint.run.existing import (
    TakeOverAction,
    plan,
    require_own_run,
    require_same_request,
    take_over,
)
from entrypoint.run.polling import Seen, WaitLimits, poll
from entrypoint.run.request import build_request, derive_note, made_by
from entrypoint.run.result import has_failed_tasks, result_of
from entrypoint.run.stop import Known, stop
from entrypoint.run.trigger import trigger
from entrypoint.session import SETUP_SECONDS
from entrypoint.signals import Interrupted, Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import RunRequest
    from entrypoint.run.detached import DetachedReport
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

T = TypeVar("T")

END_SECONDS = 30.0
"""Seconds for reading the task instances of an ended run, or for stopping a run on timeout."""
RESULT_SECONDS = 300.0
"""Minimum seconds for reading the task instances if the result depends on them."""
CANCEL_SECONDS = 4.5
"""Seconds for stopping the run of a cancelled workflow. SIGTERM follows 7.5 s after the cancel."""
CANCEL_REQUEST_SECONDS = 3.0
"""Maximum seconds of each request of that stop."""


class Step:
    """One execution of the main stage.

    Args:
        settings: the parsed inputs.
        context: commit, workflow run and job of the step.
        interrupts: source of the cancel signals.
        session: the connection to Airflow, not opened yet.

    Attributes:
        outcome: the outcome so far.
    """

    def __init__(
        self, settings: Settings, context: Context, interrupts: Interrupts, session: Session
    ) -> None:
        self.outcome = Outcome(
            result="error",
            request=build_request(settings, context),
            post_stage_retries=context.system == "github",
        )
        self._settings = settings
        self._context = context
        self._interrupts = interrupts
        self._session = session
        commits = commits_of(
            context.api_url, context.repository, settings.github_token, session.http_client
        )
        self._code = CodeWait(settings, context, session, commits)
        self._clock = session.clock
        self._retrier = session.retrier
        self._events = session.events
        self._outputs = Outputs(session.runner)
        self._detached_report: DetachedReport | None = None
        self._airflow: Airflow | None = None
        self._diagnostics: Diagnostics | None = None
        self._owned = self._stale_mark = False
        self._since = session.clock()
        self._deadline = session.deadline(settings.timeout)

    def run(self) -> Outcome:
        """Run the step and return its outcome. The outputs are written in every case."""
        try:
            self._interrupts.arm()
            try:
                self._run()
            except ActionError as error:
                self._publish(self.outcome._replace(result="error", error=error))
            self._interrupts.disarm()
        except Interrupted:
            self._on_cancel()
        except BaseException:
            # After a bug in the action, the DAG run continues, so the post stage must not stop it.
            self._session.runner.disarm_post_stage()
            raise
        self._publish(self.outcome._replace(retries=self._retrier.retries))
        if self._diagnostics is not None:
            self._publish(
                self.outcome._replace(disabled_features=self._diagnostics.disabled_features)
            )
        self._outputs.write(self.outcome, final=True)
        if self.outcome.result != "cancelled":
            self._session.runner.disarm_post_stage()
        return self.outcome

    def _run(self) -> None:
        self._code.require_known_commit()
        left = self._code.seconds_left()
        self._airflow = airflow = self._session.connect(
            self._session.deadline(max(SETUP_SECONDS, left)),
            retry_unexpected=left > 0,
            retry_refused=left > 0,
        )
        if self._settings.report_to != "none":
            # Imported here, because other steps should not wait for this module.
            from entrypoint.run.detached import DetachedReport  # noqa: PLC0415

            self._detached_report = DetachedReport(
                self._settings, self._context, self._session, airflow.base_url
            )
        optional = OptionalRequests(airflow, self._retrier, self._session.deadline(SETUP_SECONDS))
        self._diagnostics = diagnostics = Diagnostics(
            optional, self._session, self._settings, self._context.workspace
        )
        self._publish(self.outcome._replace(airflow_version=airflow.version))
        try:
            run = self._find_or_create(airflow, diagnostics)
        except (DagNotFound, StaleDag, InvalidConf) as error:
            deadline = self._session.deadline(SETUP_SECONDS)
            raise diagnostics.with_import_error(error, deadline) from None
        if self._detached_report is not None:
            run, report = self._detached_report.begin(
                airflow, run, self.outcome.run_url or "", diagnostics.failed_task_names
            )
            self._publish(self.outcome._replace(run=run, report=report))
            self._events.reported(report)
        if self._settings.wait:
            run = self._follow(airflow, diagnostics, run)
            self._code.require(run, self._session.deadline(END_SECONDS))
        elif run.ended:
            self._update_tasks(diagnostics, run, self._deadline)
        if (
            self._settings.fail_on_failed_tasks
            and run.state == "success"
            and self.outcome.tasks is None
        ):
            deadline = self._session.deadline(max(RESULT_SECONDS, self._deadline.seconds_left()))
            self._update_tasks(diagnostics, run, deadline, required=True)
        failed_tasks = self._settings.fail_on_failed_tasks and has_failed_tasks(
            run, self.outcome.tasks
        )
        result = result_of(
            run, wait=self._settings.wait, failed_tasks=failed_tasks, stale_mark=self._stale_mark
        )
        self._publish(self.outcome._replace(result=result))
        if result == "timeout":
            self._on_timeout(airflow, diagnostics, run)
        if self._settings.wait:
            reasons = diagnostics.explain_end(run, self.outcome.tasks)
            self._publish(
                self.outcome._replace(
                    failures=reasons.failures,
                    dagrun_timeout_exceeded=reasons.dagrun_timeout_exceeded,
                )
            )
        if self._settings.xcom and run.ended:
            whole, needed = not self.outcome.unread, result == "success"
            self._publish(
                self.outcome._replace(
                    xcom=diagnostics.xcoms(run, self.outcome.tasks, whole=whole, needed=needed)
                )
            )

    def _publish(self, outcome: Outcome) -> None:
        """Keep the outcome so far, and write its outputs at once."""
        self.outcome = outcome
        self._outputs.write(outcome)

    # Find or create the DAG run.

    def _find_or_create(self, airflow: Airflow, diagnostics: Diagnostics) -> DagRun:
        request = self.outcome.request
        assert request is not None  # noqa: S101 - set in __init__
        airflow.check(request)
        note = request.note or derive_note(self._context)
        request = request._replace(
            note=self._detached_report.note(note) if self._detached_report else note
        )
        run = self._read_before_trigger(
            airflow, lambda airflow: airflow.get_run(request.dag_id, request.run_id)
        )
        if self._detached_report is not None:
            self._detached_report.check(airflow, request, run)
        created = False
        if run is None:
            run, created = self._create(airflow, diagnostics, request)
        self._publish(
            self.outcome._replace(
                run=run, created=created, run_url=airflow.run_url(run.dag_id, run.run_id)
            )
        )
        # Only the creation of a run starts the timeout.
        deadline = self._deadline if created else self._session.deadline(SETUP_SECONDS)
        self._code.require(run, deadline)
        if not created:
            run = self._take_over(airflow, diagnostics, run, request)
        self._events.run_found(self.outcome)
        return run

    def _create(
        self, airflow: Airflow, diagnostics: Diagnostics, request: RunRequest
    ) -> tuple[DagRun, bool]:
        if not self._settings.trigger:
            raise RunNotFound(
                "There is no such DAG run to wait for",
                f"Airflow knows no run {request.run_id} of {request.dag_id}, and trigger is false.",
                "Check run_id, and that the job which triggers the run has finished before "
                "this one.",
            )

        def send() -> tuple[DagRun, bool]:
            self._take_ownership()
            deadline, settle = self._start_timeout(), self._code.seconds_left() <= 0
            return trigger(
                airflow.within(deadline),
                request,
                self._retrier.within(deadline),
                settle_not_found=settle,
                may_be_ours=self._may_be_own_run,
            )

        try:
            run, created = self._call_when_deployed(airflow, diagnostics, send)
        except TriggerUnclear:
            self._publish(
                self.outcome._replace(run_url=airflow.run_url(request.dag_id, request.run_id))
            )
            raise
        if not created and not self._is_own_run(run):
            # Another workflow run created the run first, and owns it.
            self._owned = False
        elif created:
            self._session.runner.save_state("CREATED", "true")
        return run, created

    def _call_when_deployed(
        self, airflow: Airflow, diagnostics: Diagnostics, action: Callable[[], T]
    ) -> T:
        """Wait until Airflow has the expected code and would run it, then call `action`.

        If Airflow refuses, start again while the deployment may still be in progress.
        """
        while True:
            self._code.wait(airflow, diagnostics.dag_files)
            try:
                self._require_runnable(airflow)
                return action()
            except (DagNotFound, StaleDag, InvalidConf, Unauthorized, Forbidden) as error:
                if not self._code.wait_before_retry(error):
                    raise

    def _is_own_run(self, run: DagRun) -> bool:
        return made_by(run, self._settings.run_id, self._context)

    def _may_be_own_run(self, run: DagRun) -> bool:
        # An Airflow without notes cannot show which workflow run created it.
        return "note" in run.unknown_fields or self._is_own_run(run)

    def _take_over(
        self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun, request: RunRequest
    ) -> DagRun:
        action: TakeOverAction = "wait"
        if self._settings.trigger:
            require_same_request(run, request)
            if not self._settings.run_id:
                require_own_run(run, self._context)
            action = plan(run, self._settings.if_run_exists)
        if action != "wait" and self._settings.wait_for_dag:
            self._call_when_deployed(airflow, diagnostics, lambda: None)
        elif action != "wait":
            self._require_runnable(airflow)
        elif not run.ended:
            # The run has its code already, so there is no wait for new code.
            self._read_before_trigger(
                airflow,
                lambda airflow: require_unpaused(airflow, run.dag_id, self._settings.if_paused),
            )
        if action != "wait" or (not run.ended and self._is_own_run(run)):
            self._take_ownership()
        elif not self._owned:
            self._session.runner.disarm_post_stage()
        deadline = self._start_timeout()
        run, taken_over = take_over(
            airflow.within(deadline), run, action, self._retrier.within(deadline)
        )
        self._stale_mark = taken_over != "attached" and run.cancelled
        unambiguous = (
            self._settings.run_id or self._context.job_path or self._context.system != "github"
        )
        self._publish(
            self.outcome._replace(run=run, taken_over=taken_over, ambiguous=not unambiguous)
        )
        return run

    def _require_runnable(self, airflow: Airflow) -> None:
        self._read_before_trigger(
            airflow,
            lambda airflow: require_runnable(
                airflow, self._settings.dag_id, self._settings.if_paused
            ),
        )

    def _read_before_trigger(self, airflow: Airflow, fetch: Callable[[Airflow], T]) -> T:
        """Send a request before the trigger, with retries.

        While a deployment may be in progress, unexpected and refused responses are retried too.
        """
        left = self._code.seconds_left()
        deadline = self._session.deadline(max(SETUP_SECONDS, left))
        return self._retrier.within(deadline).read(
            partial(fetch, airflow.within(deadline)),
            retry_unexpected=left > 0,
            retry_refused=left > 0,
        )

    def _take_ownership(self) -> None:
        """Make this step stop the run on a cancel, even if the run does not exist yet.

        The run id is saved before the request, so that the post stage knows it even if the process
        is killed in between.
        """
        request = self.outcome.request
        if self._settings.trigger and request and self._airflow:
            self._owned = True
            self._session.runner.save_state("RUN_ID", request.run_id)
            self._session.runner.save_state(
                "RUN_URL", self._airflow.run_url(request.dag_id, request.run_id)
            )

    def _start_timeout(self) -> Deadline:
        self._since = self._clock()
        self._deadline = self._session.deadline(self._settings.timeout)
        return self._deadline

    # Wait for the end.

    def _follow(self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun) -> DagRun:
        """Wait for the end of the run. If the run is cleared after that, wait again."""
        settings = self._settings
        expected = None if run.ended else diagnostics.usual_duration(run, self._deadline)
        limits = WaitLimits(
            self._since, settings.timeout, settings.start_timeout, settings.poll_interval, expected
        )
        if not run.ended:
            diagnostics.update(run, self._deadline)
        while True:
            seen = self._poll_until_end(airflow, diagnostics, run, limits)
            run = seen.run
            now = self._clock()
            self._publish(
                self.outcome._replace(
                    run=run, waited=now - self._since, seconds_in_state=now - seen.since
                )
            )
            deadline = self._session.deadline(END_SECONDS)
            self._update_tasks(diagnostics, run, deadline)
            latest = self._read_again(airflow, run, deadline)
            if latest.ended == run.ended:
                self._publish(self.outcome._replace(run=latest))
                return latest
            self._events.run_cleared(run)
            run = latest

    def _update_tasks(
        self, diagnostics: Diagnostics, run: DagRun, deadline: Deadline, *, required: bool = False
    ) -> None:
        if (tasks := diagnostics.read_tasks(run, deadline, required=required)) is not None:
            self._publish(
                self.outcome._replace(
                    tasks=tasks.instances,
                    unread=tasks.unread,
                    unread_succeeded=tasks.unread_succeeded,
                )
            )

    def _poll_until_end(
        self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun, limits: WaitLimits
    ) -> Seen:
        """Poll the run until it or the time ends, and tell what happens."""
        seen = Seen(run, limits.since)
        try:
            for seen in poll(
                airflow.within(self._deadline), run, self._retrier, limits, diagnostics.next_update
            ):
                # Published at once, because the next poll may end the wait with an error.
                self._publish(self.outcome._replace(run=seen.run))
                if not seen.run.ended:
                    diagnostics.update(seen.run, self._deadline)
        except StateUnknown:
            # Airflow may answer again soon, so try to stop the run as after any timeout.
            if self._may_stop_on_timeout(seen.run):
                self._stop(airflow, self._session.deadline(END_SECONDS), confirm=True)
            raise
        return seen

    def _read_again(self, airflow: Airflow, run: DagRun, deadline: Deadline) -> DagRun:
        """Return the run as it is after its tasks were read, because it may have been cleared.

        A cleared run has unfinished tasks. If all tasks have ended, the run was not cleared, and no
        request is necessary. If the request fails, return the last known run.
        """
        tasks = self.outcome.tasks
        if not run.ended or (tasks is not None and all(task.ended for task in tasks)):
            return run
        try:
            fetch = partial(airflow.within(deadline).get_run, run.dag_id, run.run_id)
            return self._retrier.within(deadline).read(fetch, retry_refused=True) or run
        except ActionError:
            return run

    # Timeout and cancel.

    def _on_timeout(self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun) -> None:
        """Find out why the run does not move, and stop it if `on_timeout` is `cancel`."""
        deadline = self._session.deadline(END_SECONDS)
        self._publish(
            self.outcome._replace(
                blockers=diagnostics.blockers_of(run, self.outcome.tasks, deadline)
            )
        )
        if self._may_stop_on_timeout(run):
            self._stop(airflow, self._session.deadline(END_SECONDS), confirm=True)
        else:
            self._publish(self.outcome._replace(stopped="left"))

    def _may_stop_on_timeout(self, run: DagRun) -> bool:
        return self._settings.on_timeout == "cancel" and (self._owned or self._is_own_run(run))

    def _on_cancel(self) -> None:
        """Stop the run if this step owns it, before the runner kills this process."""
        self._publish(
            self.outcome._replace(
                result="cancelled",
                error=None,
                stopped="nothing",
                waited=self._clock() - self._since,
            )
        )
        if self._airflow is None or not self._owned:
            if self.outcome.run is not None and not self.outcome.run.ended:
                self._publish(self.outcome._replace(stopped="left"))
        elif self._settings.on_cancel == "leave":
            self._publish(self.outcome._replace(stopped="left"))
        else:
            self._stop(
                self._airflow,
                self._session.deadline(CANCEL_SECONDS, CANCEL_REQUEST_SECONDS),
                confirm=False,
            )

    def _stop(self, airflow: Airflow, deadline: Deadline, *, confirm: bool) -> None:
        request, last_seen = self.outcome.request, self.outcome.run
        assert request is not None  # noqa: S101 - set in __init__
        self._publish(
            self.outcome._replace(
                stopped="unconfirmed", run_url=airflow.run_url(request.dag_id, request.run_id)
            )
        )
        if confirm:
            self._events.stopping(request.run_id)
        run = Run(airflow.within(deadline), request.dag_id, request.run_id)
        stopped = stop(run, self._retrier.within(deadline), Known(last_seen), confirm=confirm)
        if not confirm:
            # Logged after the request, because a log that blocks must not delay it.
            self._events.stopping(request.run_id)
        self._publish(self.outcome._replace(run=stopped.run or last_seen, stop_error=stopped.error))
        # Without a run, the trigger may still be in progress. Only the post stage has the time to
        # wait for that.
        if stopped.confirmed and stopped.run is not None:
            self._publish(
                self.outcome._replace(stopped="yes" if stopped.by_this_step else "nothing")
            )
        if stopped.confirmed and stopped.by_this_step:
            self._session.runner.save_state("STOPPED", "true")
