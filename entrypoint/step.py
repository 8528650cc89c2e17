"""The story: connect, obtain the DAG run, follow it, judge; and what is known meanwhile, so that every way out tells it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from entrypoint.diagnostics.collector import Explainer
from entrypoint.diagnostics.optional import Extras
from entrypoint.errors import (
    ActionError,
    AirflowSilent,
    DagLost,
    DagNotFound,
    Forbidden,
    InvalidConf,
    RunNotFound,
    TriggerUnclear,
    Unauthorized,
)
from entrypoint.github_api.commits import commits_of
from entrypoint.models import DagRun, Outcome
from entrypoint.report.outputs import Outputs
from entrypoint.run.code_wait import CodeWait
from entrypoint.run.dag_checks import keep_moving, prepare
from entrypoint.run.existing import Todo, plan, require_ours, require_same, take_over
from entrypoint.run.polling import Times, wait
from entrypoint.run.request import derive_note, made_by, request_of
from entrypoint.run.result import has_red_tasks, judge
from entrypoint.run.stop import stop
from entrypoint.run.trigger import trigger
from entrypoint.session import BEFORE_TRIGGER
from entrypoint.signals import Interrupted, Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import RunRequest
    from entrypoint.run.detached import Detach
    from entrypoint.runners.base import Context
    from entrypoint.session import Connection

T = TypeVar("T")

AT_THE_END = 30.0
"""Seconds for reading the task instances of a run that has ended, and for stopping one whose time is over."""
FOR_VERDICT = 300.0
"""Seconds, if not more of the timeout are left, for reading task instances on which the verdict depends."""
ON_CANCEL = 4.5
ONE_REQUEST = 3.0
"""Seconds for stopping the run of a cancelled workflow, and for one request of that: SIGTERM follows after 7.5 s."""


class Gate:
    """One step. `outcome` is what is known so far.

    Args:
        settings: what the user asked for.
        context: for which commit, in which workflow run.
        interrupts: tells when the workflow is cancelled.
        line: the connection to Airflow, not opened yet.
    """

    def __init__(self, settings: Settings, context: Context, interrupts: Interrupts, line: Connection) -> None:
        self.outcome = Outcome(
            result="error", request=request_of(settings, context), retried=context.system == "github"
        )
        self._settings = settings
        self._context = context
        self._interrupts = interrupts
        self._line = line
        commits = commits_of(context.api_url, context.repository, settings.github_token, line.wire)
        self._code = CodeWait(settings, context, line, commits)
        self._clock = line.clock
        self._patience = line.patience
        self._console = line.console
        self._outputs = Outputs(line.runner)
        self._detach: Detach | None = None
        self._airflow: Airflow | None = None
        self._explain: Explainer | None = None
        self._answerable = self._old_mark = False
        self._since = line.clock()

    def run(self) -> Outcome:
        """Live through the story and return its outcome; the outputs are written on every way out."""
        try:
            self._interrupts.arm()
            try:
                self._story()
            except ActionError as error:
                self._learn(result="error", error=error)
            self._interrupts.disarm()
        except Interrupted:
            self._cancelled()
        except BaseException:
            # A fault of ours is no reason to stop a DAG run, neither here nor in the post stage.
            self._line.runner.end_stage()
            raise
        self._learn(ridden_out=self._patience.ridden_out)
        if self._explain is not None:
            self._learn(turned_off=self._explain.turned_off)
        self._outputs.write(self.outcome, final=True)
        if self.outcome.result != "cancelled":
            self._line.runner.end_stage()
        return self.outcome

    def _story(self) -> None:
        self._code.require_known()
        left = self._code.left()
        self._airflow = airflow = self._line.open(max(BEFORE_TRIGGER, left), unexpected=left > 0, allowed=left > 0)
        if self._settings.report_to != "none":
            # Nobody else should wait for a trigger while this is loaded.
            from entrypoint.run.detached import Detach  # noqa: PLC0415

            self._detach = Detach(self._settings, self._context, self._line, airflow.base_url)
        extras = Extras(airflow, self._patience, self._line.brief, self._line.left)
        self._explain = explain = Explainer(extras, self._line, self._settings, self._context.workspace)
        self._learn(airflow_version=airflow.version)
        try:
            run = self._obtain(airflow, explain)
        except (DagNotFound, DagLost, InvalidConf) as error:
            raise explain.refusal(error) from None
        if self._detach is not None:
            run, report = self._detach.begin(airflow, run, self.outcome.run_url or "", explain.failed_names)
            self._learn(run=run, report=report)
            self._console.reported(report)
        if self._settings.wait:
            run = self._follow(airflow, explain, run)
            self._code.require(run)
        elif run.ended:
            self._learn_tasks(explain, run)
        if self._settings.fail_on_failed_tasks and run.state == "success" and self.outcome.tasks is None:
            self._line.allow(max(FOR_VERDICT, self._since + self._settings.timeout - self._clock()))
            self._learn_tasks(explain, run, until=self._line.until)
        red_tasks = self._settings.fail_on_failed_tasks and has_red_tasks(run, self.outcome.tasks)
        result = judge(run, wait=self._settings.wait, red_tasks=red_tasks, old_mark=self._old_mark)
        self._learn(result=result)
        if result == "timeout":
            self._time_is_over(airflow, explain, run)
        if self._settings.wait:
            self._learn(**explain.end(run, self.outcome.tasks))
        if self._settings.xcom and run.ended:
            whole, needed = not self.outcome.unread, result == "success"
            self._learn(xcom=explain.xcoms(run, self.outcome.tasks, whole=whole, needed=needed))

    def _learn(self, **known: Any) -> None:
        self.outcome = self.outcome._replace(**known)
        self._outputs.write(self.outcome)

    # The DAG run of this step: made now, or found and taken over.

    def _obtain(self, airflow: Airflow, explain: Explainer) -> DagRun:
        request = self.outcome.request
        assert request is not None  # noqa: S101 - set from the start
        airflow.check(request)
        note = request.note or derive_note(self._context)
        request = request._replace(note=self._detach.note(note) if self._detach else note)
        look = partial(airflow.get_run, request.dag_id, request.run_id)
        run = self._before_trigger(look)
        if self._detach is not None:
            self._detach.require_possible(airflow, request, run)
        created = False
        if run is None:
            run, created = self._make(airflow, explain, request)
        self._learn(run=run, created=created, run_url=airflow.run_url(run.dag_id, run.run_id))
        self._code.require(run)
        if not created:
            run = self._take_over(airflow, explain, run, request)
        self._console.found(self.outcome)
        return run

    def _make(self, airflow: Airflow, explain: Explainer, request: RunRequest) -> tuple[DagRun, bool]:
        if not self._settings.trigger:
            raise RunNotFound(
                "There is no such DAG run to wait for",
                f"Airflow knows no run {request.run_id} of {request.dag_id}, and trigger is false.",
                "Check run_id, and that the job which triggers the run has finished before this one.",
            )

        def send() -> tuple[DagRun, bool]:
            self._become_answerable()
            until, once = self._start_timeout(), self._code.left() <= 0
            return trigger(airflow, request, self._patience, until=until, once=once, ours=self._may_be_ours)

        try:
            run, created = self._once_deployed(airflow, explain, send)
        except TriggerUnclear:
            self._learn(run_url=airflow.run_url(request.dag_id, request.run_id))
            raise
        if not created and not self._is_ours(run):
            # Another workflow was faster, and is answerable for it.
            self._answerable = False
        elif created:
            self._line.runner.save_state("CREATED", "true")
        return run, created

    def _once_deployed(self, airflow: Airflow, explain: Explainer, send: Callable[[], T]) -> T:
        """Return what `send` returns once Airflow has the code, if that is waited for, and would run it."""
        while True:
            self._code.wait(airflow, explain.dag_files)
            try:
                self._prepare(airflow)
                return send()
            except (DagNotFound, DagLost, InvalidConf, Unauthorized, Forbidden) as lack:
                if not self._code.goes_on(lack):
                    raise

    def _is_ours(self, run: DagRun) -> bool:
        return made_by(run, self._settings.run_id, self._context)

    def _may_be_ours(self, run: DagRun) -> bool:
        # Where Airflow knows no notes, nothing tells.
        return "note" in run.untold or self._is_ours(run)

    def _take_over(self, airflow: Airflow, explain: Explainer, run: DagRun, request: RunRequest) -> DagRun:
        todo: Todo = "wait"
        if self._settings.trigger:
            require_same(run, request)
            if not self._settings.run_id:
                require_ours(run, self._context)
            todo = plan(run, self._settings.if_run_exists)
        if todo != "wait" and self._settings.wait_for_dag:
            self._once_deployed(airflow, explain, lambda: None)
        elif todo != "wait":
            self._prepare(airflow)
        elif not run.ended:
            # Whatever runs has its code already.
            self._before_trigger(partial(keep_moving, airflow, run.dag_id, self._settings.if_paused))
        if todo != "wait" or (not run.ended and self._is_ours(run)):
            self._become_answerable()
        elif not self._answerable:
            self._line.runner.end_stage()
        run, taken_over = take_over(airflow, run, todo, self._patience, until=self._start_timeout())
        self._old_mark = taken_over != "attached" and run.cancelled
        told_apart = self._settings.run_id or self._context.job_path or self._context.system != "github"
        self._learn(run=run, taken_over=taken_over, ambiguous=not told_apart)
        return run

    def _prepare(self, airflow: Airflow) -> None:
        self._before_trigger(partial(prepare, airflow, self._settings.dag_id, self._settings.if_paused))

    def _before_trigger(self, look: Callable[[], T]) -> T:
        """Return what is asked while nothing depends on it yet; it may be answered oddly only while a deployment goes on."""
        left = self._code.left()
        until = self._line.allow(max(BEFORE_TRIGGER, left))
        return self._patience.read(look, until=until, unexpected=left > 0, allowed=left > 0)

    def _become_answerable(self) -> None:
        """From here on a run exists, or may, that this step has to stop when it is cancelled.

        Saved before anything is sent: a process that is killed in between must leave the post stage a trace.
        """
        request = self.outcome.request
        if self._settings.trigger and request and self._airflow:
            self._answerable = True
            self._line.runner.save_state("RUN_ID", request.run_id)
            self._line.runner.save_state("RUN_URL", self._airflow.run_url(request.dag_id, request.run_id))

    def _start_timeout(self) -> float:
        self._since = self._clock()
        return self._line.allow(self._settings.timeout)

    # Its end.

    def _follow(self, airflow: Airflow, explain: Explainer, run: DagRun) -> DagRun:
        """Wait for the run's end, and for the next one if somebody cleared the run in the meantime."""
        settings = self._settings
        expected = None if run.ended else explain.usual(run)
        times = Times(self._since, settings.timeout, settings.start_timeout, settings.poll_interval, expected)
        if not run.ended:
            explain.look(run)
        seen = partial(self._seen, explain)
        while True:
            try:
                run, entered = wait(airflow, run, self._patience, times, meanwhile=seen, due=explain.due)
            except AirflowSilent:
                # It may come back, and the run is to be stopped once its time is over.
                if self._may_stop_late(self.outcome.run or run):
                    self._stop(airflow, once=False, until=self._line.allow(AT_THE_END))
                raise
            now = self._clock()
            self._learn(run=run, waited=now - self._since, state_for=now - entered)
            self._line.allow(AT_THE_END)
            self._learn_tasks(explain, run)
            again = self._look_again(airflow, run)
            if again.ended == run.ended:
                self._learn(run=again)
                return again
            self._console.cleared(run)
            self._line.allow(self._since + settings.timeout - self._clock())
            run = again

    def _learn_tasks(self, explain: Explainer, run: DagRun, until: float | None = None) -> None:
        if (tasks := explain.read_tasks(run, until)) is not None:
            self._learn(tasks=tasks.instances, unread=tasks.unread, unread_succeeded=tasks.unread_succeeded)

    def _seen(self, explain: Explainer, run: DagRun) -> None:
        """Remember the run as it is at each look: the next one may end the wait with an error."""
        self._learn(run=run)
        explain.look(run)

    def _look_again(self, airflow: Airflow, run: DagRun) -> DagRun:
        """Return the run as it is now that its tasks are read: an end can be taken back. What cannot be read stands.

        A clear leaves tasks unfinished, so if none is there was none before they were read.
        """
        tasks = self.outcome.tasks
        if not run.ended or (tasks is not None and all(task.over for task in tasks)):
            return run
        try:
            look = partial(airflow.get_run, run.dag_id, run.run_id)
            return self._patience.read(look, until=self._line.until, allowed=True) or run
        except ActionError:
            return run

    # The ends before its end.

    def _time_is_over(self, airflow: Airflow, explain: Explainer, run: DagRun) -> None:
        """Say why the run may be stuck, and stop it if that is wanted."""
        self._learn(blockers=explain.stuck(run, self.outcome.tasks))
        if self._may_stop_late(run):
            self._stop(airflow, once=False, until=self._line.allow(AT_THE_END))
        else:
            self._learn(stopped="left")

    def _may_stop_late(self, run: DagRun) -> bool:
        return self._settings.on_timeout == "cancel" and (self._answerable or self._is_ours(run))

    def _cancelled(self) -> None:
        """The workflow was cancelled: stop the run that this step is answerable for, in the seconds that are left."""
        self._learn(result="cancelled", error=None, stopped="nothing", waited=self._clock() - self._since)
        if self._airflow is None or not self._answerable:
            if self.outcome.run is not None and not self.outcome.run.ended:
                self._learn(stopped="left")
        elif self._settings.on_cancel == "leave":
            self._learn(stopped="left")
        else:
            self._stop(self._airflow, once=True, until=self._line.allow(ON_CANCEL, ONE_REQUEST))

    def _stop(self, airflow: Airflow, *, once: bool, until: float) -> None:
        request, last = self.outcome.request, self.outcome.run
        assert request is not None  # noqa: S101 - set from the start
        self._learn(stopped="unconfirmed", run_url=airflow.run_url(request.dag_id, request.run_id))
        if not once:
            self._console.stopping(request.run_id)
        end = stop(airflow, request.dag_id, request.run_id, self._patience, last=last, once=once, until=until)
        if once:
            # Not before: a reader that does not read must not keep the order back.
            self._console.stopping(request.run_id)
        self._learn(run=end.run or last, stop_fault=end.fault)
        # A run that is not there yet may still be on its way: only the post stage has the time to find out.
        if end.confirmed and end.run is not None:
            self._learn(stopped="yes" if end.ours else "nothing")
        if end.confirmed and end.ours:
            self._line.runner.save_state("STOPPED", "true")
