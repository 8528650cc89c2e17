"""Collect what explains a DAG run: progress, blockers, failures, logs and XComs.

`step_run.py` calls it. The other modules of this package do the work, and the log shows the results
immediately.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from entrypoint.diagnostics.blockers import find_blockers
from entrypoint.diagnostics.failures import (
    dagrun_timeout_exceeded,
    failures_of,
    other_logs,
    unread_logs,
)
from entrypoint.diagnostics.import_errors import OptionalDagFiles, import_error_behind
from entrypoint.diagnostics.progress import ProgressTracker
from entrypoint.diagnostics.task_lists import read_for_report
from entrypoint.diagnostics.xcoms import read_xcoms
from entrypoint.errors import ActionError, Forbidden, GatewayRefused, as_action_error
from entrypoint.permissions import Feature
from entrypoint.run.dag_checks import ImportErrorMatcher
from entrypoint.run.polling import TOLERANCE_SECONDS
from entrypoint.run.schedule import median, usual_duration
from entrypoint.runners.checkout import names
from entrypoint.text import shortened, try_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from entrypoint.deadline import Deadline
    from entrypoint.diagnostics.live_logs import LiveLogs
    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Blocker, DagRun, Failure, JsonObject, TaskInstance, TaskList
    from entrypoint.run.polling import Work
    from entrypoint.run.schedule import UsualDuration
    from entrypoint.session import Session

DIAGNOSTICS_SECONDS = 120.0
"""Seconds for reading logs and other explanations after the end of the run; as many for XComs."""
REST_SECONDS = 30.0
"""Seconds for what the live logs have not shown at the end of the run."""
_LIVE = "live logs"
_MAX_TITLE_CHARS = 200
"""Characters of the cause of a failure in the title of a log group."""
_MAX_NAMES = 20
"""Failed task instances of which `failed_task_names` returns the names."""

Tasks = tuple["TaskInstance", ...]
T = TypeVar("T")
D = TypeVar("D")


class EndReasons(NamedTuple):
    """Why a run ended.

    Attributes:
        failures: why task instances failed.
        dagrun_timeout_exceeded: the DAG's `dagrun_timeout` in seconds, if it ended the run.
        dag_start_date: the DAG's start date, read if a successful run has no task instance.
    """

    failures: tuple[Failure, ...] = ()
    dagrun_timeout_exceeded: float | None = None
    dag_start_date: datetime | None = None


class Diagnostics:
    """Explain one DAG run.

    Args:
        optional: client for optional requests to the Airflow that has the run.
        session: connection, with its clock and events.
        settings: inputs of the step.
        workspace: checkout, searched for files that Airflow cannot import.
    """

    def __init__(
        self, optional: OptionalRequests, session: Session, settings: Settings, workspace: Path
    ) -> None:
        self._airflow = optional.airflow
        self._session = session
        self._settings = settings
        self.optional = optional
        self._broken: set[str] = set()
        # Cached, because it walks through the checkout and an import error may be checked often.
        relevant = ImportErrorMatcher(
            settings.dag_id, cache(lambda files: names(files, settings.dag_id, workspace))
        )
        self.dag_files = OptionalDagFiles(optional, relevant)
        self._progress = ProgressTracker(
            self.optional,
            session.retrier,
            self._find_blockers,
            live=settings.logs != "none" and not settings.dags,
        )
        self._live: LiveLogs | None = None
        if settings.logs == "live":
            # Imported here, because other steps should not wait for this module.
            from entrypoint.diagnostics.live_logs import LiveLogs  # noqa: PLC0415

            self._live = LiveLogs(
                optional, session.clock, session.events, self._progress, settings.log_lines
            )

    def with_import_error(self, error: ActionError, deadline: Deadline) -> ActionError:
        """Return the error for a refused DAG, with the import error behind it if there is one."""
        explain = partial(
            import_error_behind,
            self.optional.within(deadline),
            self._settings.dag_id,
            error,
            self.dag_files.relevant,
        )
        return self._guard("import errors", explain, error)

    def failed_task_names(self, run: DagRun, deadline: Deadline) -> list[str]:
        """Return the names of the first failed task instances; empty if they cannot be read."""
        failed = self.optional.within(deadline).fetch(
            Feature.TASKS,
            lambda airflow: airflow.task_instances(
                run.dag_id, run.run_id, states=("failed",), most=_MAX_NAMES
            ),
            None,
        )
        return [task.name for task in failed.instances] if failed else []

    def usual_duration(self, run: DagRun, deadline: Deadline) -> UsualDuration | None:
        """Log how long the DAG usually takes, and return it if enough runs support it."""
        durations = self.optional.within(deadline).fetch(
            Feature.RUNS, lambda airflow: airflow.recent_durations(run.dag_id), ()
        )
        if durations:
            self._session.events.usual_duration(median(durations))
        return usual_duration(durations)

    def update(self, run: DagRun, deadline: Deadline) -> None:
        """Update the task instances after a poll of the run; log changes or blockers."""
        self._guard("live progress", partial(self._progress.update, run, deadline), None)
        # Of several DAG runs, the first would always come first; `poll` lets them take turns.
        if not self._settings.dags and self.due(run) <= self._session.clock():
            self.do(run, deadline)

    def next_update(self, run: DagRun) -> float:
        """Return the clock time from which `update` has work to do for a run in this state."""
        if self._live is not None and not self._progress.is_new_state(run):
            return inf  # `do` updates them, so that no stream ends for that
        return self._next_update(run)

    def _next_update(self, run: DagRun) -> float:
        return self._guard("live progress", partial(self._progress.next_update, run), inf)

    @property
    def work(self) -> Work | None:
        """What there is to do between two polls of the run."""
        return self if self._live else None

    def due(self, run: DagRun) -> float:
        """Return the clock time from which progress or live logs have something to do."""
        live = self._live
        if live is None or self._progress.is_new_state(run):
            return inf  # the next poll updates the progress
        return min(self._next_update(run), self._guard(_LIVE, partial(live.due, run), inf))

    def do(self, run: DagRun, deadline: Deadline) -> None:
        """Update the progress if it is time to, otherwise read a part of the live logs."""
        now, live = self._session.clock(), self._live
        if self._next_update(run) <= now:
            self._guard("live progress", partial(self._progress.update, run, deadline), None)
        elif live is not None and self._guard(_LIVE, partial(live.due, run), inf) <= (
            now + TOLERANCE_SECONDS
        ):
            self._guard(_LIVE, partial(live.do, run, deadline), None)

    def read_tasks(self, run: DagRun, deadline: Deadline) -> TaskList | None:
        """Return the current task instances for the report; None if they cannot be read."""
        tasks = self.optional.within(deadline).fetch(
            Feature.TASKS, lambda airflow: read_for_report(airflow, run), None, retry=True
        )
        if tasks is not None:
            self._progress.record_final(tasks)
        return tasks

    def require_tasks(self, run: DagRun, deadline: Deadline) -> TaskList:
        """Return the current task instances of a run whose result depends on them.

        Raises:
            ActionError: they cannot be read.
        """
        try:
            # For a disabled feature, the first further refusal is final.
            retry_refused = Feature.TASKS not in self.optional.disabled_features
            fetch = partial(read_for_report, self._airflow.within(deadline), run)
            tasks = self._session.retrier.within(deadline).read(fetch, retry_refused=retry_refused)
        except Exception as error:  # noqa: BLE001 - any error: success would be a guess
            raise _unread_tasks(as_action_error(error)) from None
        self.optional.record_success(Feature.TASKS)
        self._progress.record_final(tasks)
        return tasks

    def blockers_of(
        self, run: DagRun, tasks: Tasks | None, deadline: Deadline
    ) -> tuple[Blocker, ...]:
        """Return why the run does not progress, once the step stops waiting for it."""
        nothing: tuple[Blocker, ...] = ()
        return (
            self._guard(
                "the reason why the run does not progress",
                partial(self._find_blockers, run, tasks or (), deadline),
                nothing,
            )
            or self._progress.blockers
        )

    def explain_end(self, run: DagRun, tasks: Tasks | None) -> EndReasons:
        """Return why the run ended, and relay the requested logs."""
        if self._live is not None:
            rest = self._session.deadline(REST_SECONDS)
            self._guard(_LIVE, partial(self._live.finish, run, tasks or (), rest), None)
        optional = self.optional.within(self._session.deadline(DIAGNOSTICS_SECONDS))
        return self._guard(
            "the reasons why the run ended",
            partial(self._explain_end, optional, run, tasks),
            EndReasons(),
        )

    def _explain_end(
        self, optional: OptionalRequests, run: DagRun, found: Tasks | None
    ) -> EndReasons:
        if found == () and run.state == "success":
            fetch = optional.fetch(
                Feature.DAG, lambda airflow: airflow.dag_start_date(run.dag_id), None, retry=True
            )
            return EndReasons(dag_start_date=fetch)
        tasks = found or ()
        keep = 0 if self._settings.logs == "none" else self._settings.log_lines
        for sentence in unread_logs(tasks, others=self._settings.logs == "all"):
            self._session.events.unshown_logs(sentence)
        known = self._live.log_of if self._live else None
        failures = failures_of(optional, run, tasks, keep, self._relay, known_log=known)
        if self._settings.logs == "all":
            for task, log in other_logs(optional, run, tasks, keep):
                self._session.events.task_log(
                    f"Log of {task.name}: {task.state}", log.lines, log.lines_omitted
                )
        return EndReasons(failures, dagrun_timeout_exceeded(optional, run, tasks))

    def xcoms(
        self, run: DagRun, tasks: Tasks | None, *, whole: bool, needed: bool
    ) -> JsonObject | None:
        """Return the requested XComs, None if they cannot be read.

        Args:
            run: the DAG run, ended.
            tasks: its task instances, None if they could not be read.
            whole: whether `tasks` is complete.
            needed: whether a missing XCom is an error, as it is after a success.

        Raises:
            ActionError: an XCom is missing or too large, or Airflow did not respond.
        """
        deadline = self._session.deadline(DIAGNOSTICS_SECONDS)
        fetch = partial(self._xcoms, run, tasks, deadline, whole=whole)
        try:
            # Retry all XComs together, because a refusal of one means a refusal of all.
            return self._session.retrier.within(deadline).read(fetch, retry_refused=True)
        except Forbidden as refusal:
            cause = refusal.__context__
            self.optional.disable(Feature.XCOM, cause if isinstance(cause, Forbidden) else refusal)
        except ActionError as error:
            if needed:
                raise
            self._session.events.optional_failed(Feature.XCOM.label, error)
        return None

    def _xcoms(
        self, run: DagRun, tasks: Tasks | None, deadline: Deadline, *, whole: bool
    ) -> JsonObject:
        airflow = self._airflow.within(deadline)
        if tasks is not None and not whole:
            tasks = airflow.task_instances(run.dag_id, run.run_id).instances
        return read_xcoms(
            airflow, run, self._settings.xcom, tasks, self._session.retrier.within(deadline)
        )

    def _guard(self, explanation: str, explain: Callable[[], T], default: D) -> T | D:
        """Return the result of `explain`, or `default` after any exception.

        A bug in an explanation must not change the result of the step. It is logged once.
        """
        if explanation in self._broken:
            return default
        try:
            return explain()
        except Exception as error:  # noqa: BLE001 - the result does not depend on it
            self._broken.add(explanation)
            self._session.events.optional_failed(explanation, as_action_error(error))
            return default

    def _find_blockers(self, run: DagRun, tasks: Tasks, deadline: Deadline) -> tuple[Blocker, ...]:
        # Airflow decides by its own clock whether a date is in the future.
        now = self._airflow.now or datetime.now(UTC)
        return find_blockers(self.optional.within(deadline), run, tasks, now)

    def _relay(self, failure: Failure) -> None:
        if self._live is not None and self._live.has_shown(failure.task):
            return
        title = (
            f"Log of {failure.task.name}{try_label(failure.task)}: "
            f"{shortened(failure.cause, _MAX_TITLE_CHARS)}"
        )
        if failure.log:
            self._session.events.task_log(title, failure.log, failure.lines_omitted)


def _unread_tasks(error: ActionError) -> ActionError:
    """Return the error for a success whose task instances could not be checked for failures."""
    hint = error.hint
    if isinstance(error, Forbidden) and not isinstance(error, GatewayRefused):
        hint = f'Give the credential the permission "{Feature.TASKS.permission}".'
    return ActionError(
        "The task instances could not be read",
        "The DAG run has succeeded, but fail_on_failed_tasks is true and its task instances "
        f"could not be read. Last error: {error.title}. {error.detail}",
        f"{hint} Re-running this job reads them again; the DAG does not run again.".lstrip(),
    )
