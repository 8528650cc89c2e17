"""Run the main stage: connect, find or create the DAG runs, and wait for their ends.

`step_run.py` has what happens to one DAG run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.errors import ActionError
from entrypoint.github_api.commits import commits_of
from entrypoint.models import StepOutcome
from entrypoint.report.outputs import Outputs
from entrypoint.run.polling import poll
from entrypoint.run.stop import stop
from entrypoint.session import SETUP_SECONDS
from entrypoint.signals import Interrupted, Interrupts
from entrypoint.step_run import StepRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.airflow.client import Airflow
    from entrypoint.inputs.settings import Settings
    from entrypoint.run.polling import FollowedRun
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

CANCEL_SECONDS = 4.5
"""Seconds for stopping the runs of a cancelled workflow. SIGTERM follows 7.5 s after the cancel."""
CANCEL_REQUEST_SECONDS = 3.0
"""Maximum seconds of each request of that stop."""


class Step:
    """One execution of the main stage.

    Args:
        settings: the parsed inputs for each DAG run.
        context: commit, workflow run and job of the step.
        interrupts: source of the cancel signals.
        session: the connection to Airflow, not opened yet.

    Attributes:
        runs: the DAG runs of the step.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        context: Context,
        interrupts: Interrupts,
        session: Session,
    ) -> None:
        commits = commits_of(
            context.api_url, context.repository, settings[0].github_token, session.http_client
        )
        self.runs = tuple(
            StepRun(each, context, session, commits, self._publish) for each in settings
        )
        self._interrupts = interrupts
        self._session = session
        self._runner = session.runner
        self._outputs = Outputs(session.runner)
        self._saved_runs = "[]"
        self._cancelled = False
        self._optional: OptionalRequests | None = None

    def run(self) -> StepOutcome:
        """Run the step and return its outcome. The outputs are written in every case."""
        try:
            self._interrupts.arm()
            try:
                self._run()
            except ActionError as error:
                for run in self.runs:
                    run.fail(error)
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
        airflow = self._connect()
        optional = self._optional = OptionalRequests(airflow, self._session.retrier)
        followed: dict[FollowedRun, StepRun] = {}
        for run in self.runs:
            try:
                if (found := run.start(airflow, optional)) is not None:
                    followed[found] = run
            except ActionError as error:
                run.fail(error)
        for seen in poll(airflow, tuple(followed), self._session.retrier):
            try:
                followed[seen].see(seen)
            except ActionError as error:
                seen.done = True
                followed[seen].fail(error)

    def _connect(self) -> Airflow:
        code = self.runs[0].code
        code.require_known_commit()
        left = code.seconds_left()
        return self._session.connect(
            self._session.deadline(max(SETUP_SECONDS, left)),
            retry_unexpected=left > 0,
            retry_refused=left > 0,
        )

    def _on_cancel(self) -> None:
        """Stop the runs that this step owns, before the runner kills this process."""
        self._cancelled = True
        owned = [run for run in self.runs if run.cancel()]
        deadline = self._session.deadline(CANCEL_SECONDS, CANCEL_REQUEST_SECONDS)
        retrier = self._session.retrier.within(deadline)
        stopped = stop([run.to_stop(deadline) for run in owned], retrier, confirm=False)
        # Logged after the requests, because a log that blocks must not delay them.
        for run, result in zip(owned, stopped, strict=True):
            self._session.events.stopping(run.request.run_id)
            run.record_stop(result)

    def _publish(self) -> None:
        """Save the runs that the post stage may have to stop, and write the known outputs."""
        saved = json.dumps([run._asdict() for each in self.runs if (run := each.saved())])
        if saved != self._saved_runs:
            # Unknown until it is saved, because a cancel may interrupt, and the disk may be full.
            self._saved_runs = ""
            if self._runner.save_state("RUNS", saved):
                self._saved_runs = saved
            elif saved == "[]":
                # The file still has a run that this step does not own.
                self._runner.disarm_post_stage()
        self._outputs.write(self._outcome())

    def _finish(self) -> StepOutcome:
        disabled_features = self._optional.report_disabled() if self._optional else ()
        for run in self.runs:
            run.finish(disabled_features)
        self._outputs.write(self._outcome(), final=True)
        if not self._cancelled:
            self._runner.disarm_post_stage()
        return self._outcome()

    def _outcome(self) -> StepOutcome:
        return StepOutcome(tuple(run.outcome for run in self.runs))
