"""Run the main stage: connect, find or create the DAG runs, and wait for their ends.

`step_run.py` has what happens to one DAG run, and `run/selection.py` which DAGs are meant.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from entrypoint import form
from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import ActionError, DagsNotRunnable, TransientError
from entrypoint.github_api.commits import commits_of
from entrypoint.inputs.parsers import conf_size
from entrypoint.models import StepOutcome
from entrypoint.report.outputs import Outputs
from entrypoint.run.code_wait import wait_for_all
from entrypoint.run.polling import poll
from entrypoint.run.starting import Starter
from entrypoint.run.stop import stop
from entrypoint.session import SETUP_SECONDS
from entrypoint.signals import Interrupted, Interrupts
from entrypoint.step_run import StepRun

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.inputs.settings import Settings
    from entrypoint.run.code_wait import CodeWait
    from entrypoint.run.selection import Selection, Selector
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

CANCEL_SECONDS = 4.5
"""Seconds for stopping the runs of a cancelled workflow. SIGTERM follows 7.5 s after the cancel."""
CANCEL_REQUEST_SECONDS = 3.0
"""Maximum seconds of each request of that stop."""

MAX_SAVED_CHARS = form.MAX_SAVED_CHARS
"""Characters of the saved runs above which they are saved without their URLs and the names of their
fields.
"""
LARGE_CONF_BYTES = 65_536
"""Bytes of a conf above which a notice says that Airflow's database is no store for data."""


class Step:
    """One execution of the main stage.

    Args:
        settings: the parsed inputs.
        context: commit, workflow run and job of the step.
        interrupts: source of the cancel signals.
        session: the connection to Airflow, not opened yet.
    """

    def __init__(
        self, settings: Settings, context: Context, interrupts: Interrupts, session: Session
    ) -> None:
        self._settings = settings
        self._context = context
        self._interrupts = interrupts
        self._session = session
        self._runner = session.runner
        self._commits = commits_of(session.github_repository(context))
        self._outputs = Outputs(session.runner, session.clock)
        self._saved_runs = "[]"
        self._optional: OptionalRequests | None = None
        self._selector: Selector | None = None
        self._selection: Selection | None = None
        self._outcome = StepOutcome((), several=bool(settings.dags))
        self._runs: tuple[StepRun, ...] = () if settings.dags else (self._run_of(settings),)

    def _run_of(self, settings: Settings) -> StepRun:
        return StepRun(settings, self._context, self._session, self._commits, self._publish)

    def run(self) -> StepOutcome:
        """Run the step and return its outcome. The outputs are written in every case."""
        try:
            self._interrupts.arm()
            try:
                self._run()
            except ActionError as error:
                self._fail(error)
            self._interrupts.disarm()
        except Interrupted:
            self._on_cancel()
        except BaseException:
            # After a bug in the action, the DAG runs continue, so the post stage must not stop
            # them.
            self._runner.disarm_post_stage()
            raise
        return self._finish()

    def _run(self) -> None:
        if self._context.commit_remark:
            self._session.events.commit_chosen(self._context.commit_remark)
        confs = (self._settings.conf, *(one.conf for one in self._settings.dags if one.conf))
        if (size := max(map(conf_size, confs))) > LARGE_CONF_BYTES:
            self._session.events.conf_is_large(size)
        airflow = self._connect()
        self._optional = OptionalRequests(airflow, self._session.retrier)
        if self._settings.dags:
            self._select(airflow)
        for run in self._runs:
            run.connect(airflow, self._optional)
        if self._settings.dry_run:
            several = self._settings.dags and self._settings.trigger
            errors = self._wait_for_code(airflow) if several else {}
            for run in self._runs:
                run.dry_run(errors.get(run.code))
            return
        if self._settings.dags and self._settings.trigger:
            self._check_all(airflow)
        self._follow(airflow)

    def _connect(self) -> Airflow:
        code = (self._runs or (self._run_of(self._settings),))[0].code
        code.require_known_commit()
        left = code.seconds_left()
        return self._session.connect(
            self._session.deadline(max(SETUP_SECONDS, left)),
            retry_unexpected=left > 0,
            retry_refused=left > 0,
        )

    def _select(self, airflow: Airflow) -> None:
        """Find the DAGs that the input `dags` means."""
        # Imported here, because a step with one DAG should not wait for this module.
        from entrypoint.diagnostics.import_errors import read_import_errors  # noqa: PLC0415
        from entrypoint.run.selection import Selector  # noqa: PLC0415

        assert self._optional is not None  # noqa: S101 - set before
        optional = self._optional
        selector = Selector(
            airflow,
            self._settings,
            self._context,
            self._session,
            lambda deadline: read_import_errors(optional.within(deadline)),
        )
        selection = selector.select()
        self._selector, self._selection = selector, selection
        # A single one is followed and logged as if it were the input dag_id, unless the new code
        # may have more.
        waits = bool(self._settings.wait_for_dag or self._settings.expect_commit)
        several = len(selection.dags) > 1 or (waits and bool(selection.changed))
        base = self._settings if several else self._settings._replace(dags=())
        self._runs = tuple(
            self._run_of(base._replace(dag_id=dag_id, conf=base.conf if conf is None else conf))
            for dag_id, conf in selection.dags.items()
        )
        self._session.events.dags_selected(tuple(selection.dags), selection.unmatched)
        self._outcome = self._outcome._replace(
            unmatched=selection.unmatched, new_files=selection.new_files
        )
        self._publish()

    def _check_all(self, airflow: Airflow) -> None:
        """Check all DAGs before any is triggered.

        Raises:
            DagsNotRunnable: one of them could not be triggered. Each run has its own error.
        """
        found = self._wait_for_code(airflow)
        errors = {run: found[run.code] for run in self._runs if run.code in found}
        for run in self._runs:
            try:
                if run not in errors:
                    run.check()
            except TransientError as error:
                # Airflow does not answer, and would not for the others: each takes a minute.
                errors[run] = error
                break
            except ActionError as error:
                errors[run] = error
        if not errors:
            return
        lines = [
            f"{run.request.dag_id}: {wrong.title}. {wrong.detail}" for run, wrong in errors.items()
        ]
        for run, wrong in errors.items():
            run.fail(wrong)
        raise DagsNotRunnable(
            "Not all of the DAGs can run",
            "\n".join(
                [f"{len(errors)} of {len(self._runs)} cannot. Nothing was triggered.", *lines]
            ),
            "Correct these DAGs, or remove them from dags; then re-run this job.",
        )

    def _wait_for_code(self, airflow: Airflow) -> dict[CodeWait, ActionError]:
        """Wait until each DAG may be triggered, and return why that is not so for some.

        The runs become those of the DAGs that the changed files define in the new code.
        """
        waits = [run.code for run in self._runs if run.code.begin(airflow, run.dag_files)]
        selection = self._selection
        if not waits or selection is None or not selection.changed:
            return wait_for_all(waits, self._session.retrier)
        # Imported here, because other steps should not wait for this module.
        from entrypoint.run.changed_code import ChangedCode  # noqa: PLC0415

        assert self._selector is not None and self._optional is not None  # noqa: S101, PT018 - set
        optional, end = self._optional, waits[0].end

        def add(dag_id: str) -> CodeWait:
            run = self._run_of(self._settings._replace(dag_id=dag_id))
            run.connect(airflow, optional)
            run.code.begin_new(airflow, run.dag_files, end)
            self._runs += (run,)
            return run.code

        code = ChangedCode(
            waits, selection.removable, self._selector.changed_dags, add, self._session.clock
        )
        known = self._runs
        found = wait_for_all(waits, self._session.retrier, code.revise)
        self._runs = tuple(run for run in self._runs if run.code not in code.removed)
        if self._runs != known:
            new = [run.request.dag_id for run in self._runs if run not in known]
            old = [each.dag_id for each in code.removed]
            self._session.events.dags_redefined(new, old)
            self._publish()
        return found

    def _fail(self, error: ActionError) -> None:
        """End the step with an error, before any of several DAGs was triggered."""
        if self._settings.dags:
            self._outcome = self._outcome._replace(error=error)
        for run in self._runs:
            if not run.outcome.finished:
                run.fail(error)
        self._publish()

    def fail(self, error: ActionError) -> StepOutcome:
        """End the step after a bug, and keep what is known of its runs."""
        self._fail(error)
        self._outputs.write(self._outcome, final=True)
        return self._outcome

    def _follow(self, airflow: Airflow) -> None:
        """Start the runs, at most `max_parallel` at the same time, and follow each to its end."""
        settings = self._settings
        starter = Starter(
            self._runs, settings.max_parallel, self._session.retrier, settings.timeout
        )
        starter.start()
        for seen in poll(airflow, starter.followed, self._session.retrier):
            if (run := starter.run_of(seen)) is not None:
                try:
                    run.see(seen)
                except ActionError as error:
                    seen.done = True
                    run.fail(error)
            starter.start()
            self._report_totals()

    def _on_cancel(self) -> None:
        """Stop the runs that this step owns, before the runner kills this process."""
        self._outcome = self._outcome._replace(cancelled=True)
        owned = [run for run in self._runs if run.cancel()]
        deadline = self._session.deadline(CANCEL_SECONDS, CANCEL_REQUEST_SECONDS)
        retrier = self._session.retrier.within(deadline)
        stopped = stop([run.to_stop(deadline) for run in owned], retrier, confirm=False)
        # Logged after the requests, because a log that blocks must not delay them.
        for run, result in zip(owned, stopped, strict=True):
            run.record_stop(result, log=True)

    def _report_totals(self, *, final: bool = False) -> None:
        if self._outcome.several and self._runs:
            self._session.events.totals([run.outcome for run in self._runs], final=final)

    def _publish(self) -> None:
        """Save the runs that the post stage may have to stop, and write the known outputs."""
        runs = [run for each in self._runs if (run := each.saved())]
        saved = json.dumps([run._asdict() for run in runs])
        if len(saved) > MAX_SAVED_CHARS:
            saved = json.dumps([(run.dag_id, run.run_id, None, *run[3:]) for run in runs])
        if saved != self._saved_runs:
            # Unknown until it is saved, because a cancel may interrupt, and the disk may be full.
            self._saved_runs = ""
            if self._runner.save_state("RUNS", saved):
                self._saved_runs = saved
            elif saved == "[]":
                # The file still has a run that this step does not own.
                self._runner.disarm_post_stage()
        self._outcome = self._outcome._replace(runs=tuple(run.outcome for run in self._runs))
        self._outputs.write(self._outcome)

    def _finish(self) -> StepOutcome:
        disabled_features = self._optional.report_disabled() if self._optional else ()
        for run in self._runs:
            run.finish(disabled_features)
        self._report_totals(final=True)
        self._outputs.write(self._outcome, final=True)
        if not self._outcome.cancelled:
            self._runner.disarm_post_stage()
        return self._outcome
