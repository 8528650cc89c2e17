"""The story: connect, obtain the DAG run, follow it, judge; and what is known meanwhile, so that
every way out tells it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

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
from entrypoint.run.polling import WaitLimits, wait_for_end
from entrypoint.run.request import build_request, derive_note, made_by
from entrypoint.run.result import has_failed_tasks, result_of
from entrypoint.run.stop import stop
from entrypoint.run.trigger import trigger
from entrypoint.session import SETUP_SECONDS
from entrypoint.signals import Interrupted, Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import RunRequest
    from entrypoint.run.detached import DetachedReport
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

T = TypeVar("T")

END_SECONDS = 30.0
"""Seconds for reading the task instances of a run that has ended, and for stopping one whose time
is over.
"""
RESULT_SECONDS = 300.0
"""Seconds, if not more of the timeout are left, for reading task instances on which the verdict
depends.
"""
CANCEL_SECONDS = 4.5
CANCEL_REQUEST_SECONDS = 3.0
"""Seconds for stopping the run of a cancelled workflow, and for one request of that: SIGTERM
follows after 7.5 s.
"""


class Step:
    """One step. `outcome` is what is known so far.

    Args:
        settings: what the user asked for.
        context: for which commit, in which workflow run.
        interrupts: tells when the workflow is cancelled.
        session: the connection to Airflow, not opened yet.
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
        self._detach: DetachedReport | None = None
        self._airflow: Airflow | None = None
        self._diagnostics: Diagnostics | None = None
        self._owned = self._stale_mark = False
        self._since = session.clock()

    def run(self) -> Outcome:
        """Live through the story and return its outcome; the outputs are written on every way
        out.
        """
        try:
            self._interrupts.arm()
            try:
                self._run()
            except ActionError as error:
                self._update(result="error", error=error)
            self._interrupts.disarm()
        except Interrupted:
            self._on_cancel()
        except BaseException:
            # A fault of ours is no reason to stop a DAG run, neither here nor in the post stage.
            self._session.runner.disarm_post_stage()
            raise
        self._update(retries=self._retrier.retries)
        if self._diagnostics is not None:
            self._update(disabled_features=self._diagnostics.disabled_features)
        self._outputs.write(self.outcome, final=True)
        if self.outcome.result != "cancelled":
            self._session.runner.disarm_post_stage()
        return self.outcome

    def _run(self) -> None:
        self._code.require_known_commit()
        left = self._code.seconds_left()
        self._airflow = airflow = self._session.connect(
            max(SETUP_SECONDS, left), retry_unexpected=left > 0, retry_refused=left > 0
        )
        if self._settings.report_to != "none":
            # Nobody else should wait for a trigger while this is loaded.
            from entrypoint.run.detached import DetachedReport  # noqa: PLC0415

            self._detach = DetachedReport(
                self._settings, self._context, self._session, airflow.base_url
            )
        optional = OptionalRequests(
            airflow, self._retrier, self._session.limit_requests, self._session.seconds_left
        )
        self._diagnostics = diagnostics = Diagnostics(
            optional, self._session, self._settings, self._context.workspace
        )
        self._update(airflow_version=airflow.version)
        try:
            run = self._find_or_create(airflow, diagnostics)
        except (DagNotFound, StaleDag, InvalidConf) as error:
            raise diagnostics.with_import_error(error) from None
        if self._detach is not None:
            run, report = self._detach.begin(
                airflow, run, self.outcome.run_url or "", diagnostics.failed_task_names
            )
            self._update(run=run, report=report)
            self._events.reported(report)
        if self._settings.wait:
            run = self._follow(airflow, diagnostics, run)
            self._code.require(run)
        elif run.ended:
            self._update_tasks(diagnostics, run)
        if (
            self._settings.fail_on_failed_tasks
            and run.state == "success"
            and self.outcome.tasks is None
        ):
            self._session.set_deadline(
                max(RESULT_SECONDS, self._since + self._settings.timeout - self._clock())
            )
            self._update_tasks(diagnostics, run, until=self._session.deadline)
        failed_tasks = self._settings.fail_on_failed_tasks and has_failed_tasks(
            run, self.outcome.tasks
        )
        result = result_of(
            run, wait=self._settings.wait, failed_tasks=failed_tasks, stale_mark=self._stale_mark
        )
        self._update(result=result)
        if result == "timeout":
            self._on_timeout(airflow, diagnostics, run)
        if self._settings.wait:
            self._update(**diagnostics.explain_end(run, self.outcome.tasks))
        if self._settings.xcom and run.ended:
            whole, needed = not self.outcome.unread, result == "success"
            self._update(
                xcom=diagnostics.xcoms(run, self.outcome.tasks, whole=whole, needed=needed)
            )

    def _update(self, **known: Any) -> None:
        self.outcome = self.outcome._replace(**known)
        self._outputs.write(self.outcome)

    # The DAG run of this step: made now, or found and taken over.

    def _find_or_create(self, airflow: Airflow, diagnostics: Diagnostics) -> DagRun:
        request = self.outcome.request
        assert request is not None  # noqa: S101 - set from the start
        airflow.check(request)
        note = request.note or derive_note(self._context)
        request = request._replace(note=self._detach.note(note) if self._detach else note)
        fetch = partial(airflow.get_run, request.dag_id, request.run_id)
        run = self._before_trigger(fetch)
        if self._detach is not None:
            self._detach.check(airflow, request, run)
        created = False
        if run is None:
            run, created = self._create(airflow, diagnostics, request)
        self._update(run=run, created=created, run_url=airflow.run_url(run.dag_id, run.run_id))
        self._code.require(run)
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
            until, settle = self._start_timeout(), self._code.seconds_left() <= 0
            return trigger(
                airflow,
                request,
                self._retrier,
                until=until,
                settle_not_found=settle,
                may_be_ours=self._may_be_ours,
            )

        try:
            run, created = self._when_deployed(airflow, diagnostics, send)
        except TriggerUnclear:
            self._update(run_url=airflow.run_url(request.dag_id, request.run_id))
            raise
        if not created and not self._is_ours(run):
            # Another workflow was faster, and is answerable for it.
            self._owned = False
        elif created:
            self._session.runner.save_state("CREATED", "true")
        return run, created

    def _when_deployed(
        self, airflow: Airflow, diagnostics: Diagnostics, send: Callable[[], T]
    ) -> T:
        """Return what `send` returns once Airflow has the code, if that is waited for, and would
        run it.
        """
        while True:
            self._code.wait(airflow, diagnostics.dag_files)
            try:
                self._prepare(airflow)
                return send()
            except (DagNotFound, StaleDag, InvalidConf, Unauthorized, Forbidden) as lack:
                if not self._code.keep_waiting(lack):
                    raise

    def _is_ours(self, run: DagRun) -> bool:
        return made_by(run, self._settings.run_id, self._context)

    def _may_be_ours(self, run: DagRun) -> bool:
        # Where Airflow knows no notes, nothing tells.
        return "note" in run.unknown_fields or self._is_ours(run)

    def _take_over(
        self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun, request: RunRequest
    ) -> DagRun:
        todo: TakeOverAction = "wait"
        if self._settings.trigger:
            require_same_request(run, request)
            if not self._settings.run_id:
                require_own_run(run, self._context)
            todo = plan(run, self._settings.if_run_exists)
        if todo != "wait" and self._settings.wait_for_dag:
            self._when_deployed(airflow, diagnostics, lambda: None)
        elif todo != "wait":
            self._prepare(airflow)
        elif not run.ended:
            # Whatever runs has its code already.
            self._before_trigger(
                partial(require_unpaused, airflow, run.dag_id, self._settings.if_paused)
            )
        if todo != "wait" or (not run.ended and self._is_ours(run)):
            self._take_ownership()
        elif not self._owned:
            self._session.runner.disarm_post_stage()
        run, taken_over = take_over(airflow, run, todo, self._retrier, until=self._start_timeout())
        self._stale_mark = taken_over != "attached" and run.cancelled
        told_apart = (
            self._settings.run_id or self._context.job_path or self._context.system != "github"
        )
        self._update(run=run, taken_over=taken_over, ambiguous=not told_apart)
        return run

    def _prepare(self, airflow: Airflow) -> None:
        self._before_trigger(
            partial(require_runnable, airflow, self._settings.dag_id, self._settings.if_paused)
        )

    def _before_trigger(self, fetch: Callable[[], T]) -> T:
        """Return what is asked while nothing depends on it yet; it may be answered oddly only while
        a deployment goes on.
        """
        left = self._code.seconds_left()
        until = self._session.set_deadline(max(SETUP_SECONDS, left))
        return self._retrier.read(
            fetch, until=until, retry_unexpected=left > 0, retry_refused=left > 0
        )

    def _take_ownership(self) -> None:
        """From here on a run exists, or may, that this step has to stop when it is cancelled.

        Saved before anything is sent: a process that is killed in between must leave the post stage
        a trace.
        """
        request = self.outcome.request
        if self._settings.trigger and request and self._airflow:
            self._owned = True
            self._session.runner.save_state("RUN_ID", request.run_id)
            self._session.runner.save_state(
                "RUN_URL", self._airflow.run_url(request.dag_id, request.run_id)
            )

    def _start_timeout(self) -> float:
        self._since = self._clock()
        return self._session.set_deadline(self._settings.timeout)

    # Its end.

    def _follow(self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun) -> DagRun:
        """Wait for the run's end, and for the next one if somebody cleared the run in the
        meantime.
        """
        settings = self._settings
        expected = None if run.ended else diagnostics.usual_duration(run)
        times = WaitLimits(
            self._since, settings.timeout, settings.start_timeout, settings.poll_interval, expected
        )
        if not run.ended:
            diagnostics.update(run)
        seen = partial(self._seen, diagnostics)
        while True:
            try:
                run, entered = wait_for_end(
                    airflow,
                    run,
                    self._retrier,
                    times,
                    on_poll=seen,
                    next_poll=diagnostics.next_update,
                )
            except StateUnknown:
                # It may come back, and the run is to be stopped once its time is over.
                if self._may_stop_on_timeout(self.outcome.run or run):
                    self._stop(airflow, confirm=True, until=self._session.set_deadline(END_SECONDS))
                raise
            now = self._clock()
            self._update(run=run, waited=now - self._since, seconds_in_state=now - entered)
            self._session.set_deadline(END_SECONDS)
            self._update_tasks(diagnostics, run)
            again = self._confirm_end(airflow, run)
            if again.ended == run.ended:
                self._update(run=again)
                return again
            self._events.run_cleared(run)
            self._session.set_deadline(self._since + settings.timeout - self._clock())
            run = again

    def _update_tasks(
        self, diagnostics: Diagnostics, run: DagRun, until: float | None = None
    ) -> None:
        if (tasks := diagnostics.read_tasks(run, until)) is not None:
            self._update(
                tasks=tasks.instances, unread=tasks.unread, unread_succeeded=tasks.unread_succeeded
            )

    def _seen(self, diagnostics: Diagnostics, run: DagRun) -> None:
        """Remember the run as it is at each look: the next one may end the wait with an error."""
        self._update(run=run)
        diagnostics.update(run)

    def _confirm_end(self, airflow: Airflow, run: DagRun) -> DagRun:
        """Return the run as it is now that its tasks are read: an end can be taken back. What
        cannot be read stands.

        A clear leaves tasks unfinished, so if none is there was none before they were read.
        """
        tasks = self.outcome.tasks
        if not run.ended or (tasks is not None and all(task.over for task in tasks)):
            return run
        try:
            fetch = partial(airflow.get_run, run.dag_id, run.run_id)
            return (
                self._retrier.read(fetch, until=self._session.deadline, retry_refused=True) or run
            )
        except ActionError:
            return run

    # The ends before its end.

    def _on_timeout(self, airflow: Airflow, diagnostics: Diagnostics, run: DagRun) -> None:
        """Say why the run may be stuck, and stop it if that is wanted."""
        self._update(blockers=diagnostics.blockers_of(run, self.outcome.tasks))
        if self._may_stop_on_timeout(run):
            self._stop(airflow, confirm=True, until=self._session.set_deadline(END_SECONDS))
        else:
            self._update(stopped="left")

    def _may_stop_on_timeout(self, run: DagRun) -> bool:
        return self._settings.on_timeout == "cancel" and (self._owned or self._is_ours(run))

    def _on_cancel(self) -> None:
        """The workflow was cancelled: stop the run that this step is answerable for, in the seconds
        that are left.
        """
        self._update(
            result="cancelled", error=None, stopped="nothing", waited=self._clock() - self._since
        )
        if self._airflow is None or not self._owned:
            if self.outcome.run is not None and not self.outcome.run.ended:
                self._update(stopped="left")
        elif self._settings.on_cancel == "leave":
            self._update(stopped="left")
        else:
            self._stop(
                self._airflow,
                confirm=False,
                until=self._session.set_deadline(CANCEL_SECONDS, CANCEL_REQUEST_SECONDS),
            )

    def _stop(self, airflow: Airflow, *, confirm: bool, until: float) -> None:
        request, last = self.outcome.request, self.outcome.run
        assert request is not None  # noqa: S101 - set from the start
        self._update(stopped="unconfirmed", run_url=airflow.run_url(request.dag_id, request.run_id))
        if confirm:
            self._events.stopping(request.run_id)
        end = stop(
            airflow,
            request.dag_id,
            request.run_id,
            self._retrier,
            last_seen=last,
            confirm=confirm,
            until=until,
        )
        if not confirm:
            # Not before: a reader that does not read must not keep the order back.
            self._events.stopping(request.run_id)
        self._update(run=end.run or last, stop_error=end.fault)
        # A run that is not there yet may still be on its way: only the post stage has the time to
        # find out.
        if end.confirmed and end.run is not None:
            self._update(stopped="yes" if end.by_this_step else "nothing")
        if end.confirmed and end.by_this_step:
            self._session.runner.save_state("STOPPED", "true")
