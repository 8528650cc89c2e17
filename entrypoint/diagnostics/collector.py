"""Everything that explains a DAG run and decides nothing about it: progress, reasons, what blocks
it, logs, XComs.

Between the story (`step.py`), which asks, and the modules that know, and the log, which shows it at
once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from entrypoint.diagnostics.blockers import find_blockers
from entrypoint.diagnostics.failures import dagrun_timeout_exceeded, failures_of, other_logs
from entrypoint.diagnostics.import_errors import OptionalDagFiles, import_error_behind
from entrypoint.diagnostics.optional import Feature
from entrypoint.diagnostics.progress import ProgressTracker
from entrypoint.diagnostics.task_lists import read_for_report
from entrypoint.diagnostics.xcoms import read_xcoms
from entrypoint.errors import ActionError, Forbidden, GatewayRefused, as_action_error
from entrypoint.run.dag_checks import ImportErrorMatcher
from entrypoint.run.schedule import median, usual_duration
from entrypoint.runners.checkout import names
from entrypoint.text import shortened, try_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Blocker, DagRun, Failure, TaskInstance, TaskList
    from entrypoint.run.schedule import UsualDuration
    from entrypoint.session import Session

DIAGNOSTICS_SECONDS = 120.0
"""Seconds for reading logs and other reasons once the run has ended, and for the XComs."""

_MAX_TITLE_CHARS = 200
_MAX_NAMES = 20

Tasks = tuple["TaskInstance", ...]
T = TypeVar("T")
D = TypeVar("D")


class Diagnostics:
    """Explains one DAG run.

    Args:
        optional: asks the Airflow where the run is.
        session: the connection, with its clock and events.
        settings: whose logs are relayed, which XComs are wanted.
        workspace: the checkout, in which files with import errors are looked for.
    """

    def __init__(
        self, optional: OptionalRequests, session: Session, settings: Settings, workspace: Path
    ) -> None:
        self._airflow = optional.airflow
        self._session = session
        self._settings = settings
        self.optional = optional
        self._broken: set[str] = set()
        # Asked once about the same files: it is a walk through the checkout, and an import error
        # may be looked at often.
        self.relevant = ImportErrorMatcher(
            settings.dag_id, cache(lambda files: names(files, settings.dag_id, workspace))
        )
        self.dag_files = OptionalDagFiles(optional, self.relevant)
        self._watch = ProgressTracker(
            self.optional, session.retrier, self._diagnose, live=settings.logs != "none"
        )

    @property
    def disabled_features(self) -> tuple[str, ...]:
        """A sentence for each feature that was refused; what was not told yet is told now."""
        self.optional.report_disabled()
        return tuple(self.optional.disabled_features.values())

    def with_import_error(self, error: ActionError) -> ActionError:
        """Return the error for a DAG that Airflow will not run, with the import error that is
        behind it.
        """
        explain = partial(
            import_error_behind, self.optional, self._settings.dag_id, error, self.relevant
        )
        return self._guard("import errors", explain, error)

    def failed_task_names(self, run: DagRun) -> list[str]:
        """Return the names of the first failed task instances; none if they may not be read."""
        fetch = partial(
            self._airflow.task_instances,
            run.dag_id,
            run.run_id,
            states=("failed",),
            most=_MAX_NAMES,
        )
        failed = self.optional.fetch(Feature.TASKS, fetch, None)
        return [task.name for task in failed.instances] if failed else []

    def usual_duration(self, run: DagRun) -> UsualDuration | None:
        """Say how long the DAG usually takes, and return it if enough of its runs have shown it."""
        durations = self.optional.fetch(
            Feature.RUNS, partial(self._airflow.recent_durations, run.dag_id), ()
        )
        if durations:
            self._session.events.usual_duration(median(durations))
        return usual_duration(durations)

    def update(self, run: DagRun) -> None:
        """Look at the tasks of a run that was just seen, and tell what changed or why nothing
        does.
        """
        self._guard("live progress", partial(self._watch.update, run), None)

    def next_update(self, run: DagRun) -> float:
        """Return the moment on the clock from which on a run that is like this is to be looked at
        again.
        """
        return self._guard(
            "live progress", partial(self._watch.next_update, run), self._session.clock()
        )

    def read_tasks(self, run: DagRun, until: float | None = None) -> TaskList | None:
        """Return the task instances as they are now, as far as they are reported; None if they
        cannot be read.

        `until`: moment on the clock up to which they are asked for, where the verdict depends on
        them.

        Raises:
            ActionError: they cannot be read, and the verdict depends on them.
        """
        fetch = partial(read_for_report, self._airflow, run)
        if until is None:
            tasks = self.optional.fetch(Feature.TASKS, fetch, None, retry=True)
        else:
            try:
                # What was believed to be refused is looked at once more, and no longer.
                retry_refused = Feature.TASKS not in self.optional.disabled_features
                tasks = self._session.retrier.read(fetch, until=until, retry_refused=retry_refused)
            except Exception as error:  # noqa: BLE001 - whatever it is, a green would be a guess
                raise _unread(as_action_error(error)) from None
            self.optional.record_success(Feature.TASKS)
        if tasks is not None:
            self._watch.record_final(tasks)
        return tasks

    def blockers_of(self, run: DagRun, tasks: Tasks | None) -> tuple[Blocker, ...]:
        """Return why the run does not move, at the end of the retrier with it."""
        nothing: tuple[Blocker, ...] = ()
        return (
            self._guard("why it does not move", partial(self._diagnose, run, tasks or ()), nothing)
            or self._watch.blockers
        )

    def explain_end(self, run: DagRun, tasks: Tasks | None) -> dict[str, Any]:
        """Return what is known about the reasons of the end, for the outcome; relay the logs that
        are wanted.
        """
        self._session.set_deadline(DIAGNOSTICS_SECONDS)
        return self._guard("the reasons of the end", partial(self._reasons, run, tasks or ()), {})

    def _reasons(self, run: DagRun, tasks: Tasks) -> dict[str, Any]:
        keep = 0 if self._settings.logs == "none" else self._settings.log_lines
        failures = failures_of(self.optional, run, tasks, keep, self._relay)
        if self._settings.logs == "all":
            for task, log in other_logs(self.optional, run, tasks, keep):
                self._session.events.task_log(
                    f"Log of {task.name}: {task.state}", log.lines, log.lines_omitted
                )
        return {
            "failures": failures,
            "dagrun_timeout_exceeded": dagrun_timeout_exceeded(self.optional, run, tasks),
        }

    def xcoms(
        self, run: DagRun, tasks: Tasks | None, *, whole: bool, needed: bool
    ) -> dict[str, Any] | None:
        """Return the XComs that were asked for, None if they may not be read.

        Args:
            run: the DAG run, ended.
            tasks: its task instances, if they could be read.
            whole: whether these are all of them.
            needed: whether it is an error if one is not there: it is once the run has succeeded.

        Raises:
            ActionError: one is not there, is too large, or Airflow did not answer.
        """
        until = self._session.set_deadline(DIAGNOSTICS_SECONDS)
        fetch = partial(self._xcoms, run, tasks, whole=whole, until=until)
        try:
            # As a whole: the way to one XCom is refused as that to the others.
            return self._session.retrier.read(fetch, until=until, retry_refused=True)
        except Forbidden as refusal:
            cause = refusal.__context__
            self.optional.disable(Feature.XCOM, cause if isinstance(cause, Forbidden) else refusal)
        except ActionError as error:
            if needed:
                raise
            self._session.events.optional_failed(Feature.XCOM.gives, error)
        return None

    def _xcoms(
        self, run: DagRun, tasks: Tasks | None, *, whole: bool, until: float
    ) -> dict[str, Any]:
        if tasks is not None and not whole:
            tasks = self._airflow.task_instances(run.dag_id, run.run_id).instances
        return read_xcoms(
            self._airflow, run, self._settings.xcom, tasks, self._session.retrier, until=until
        )

    def _guard(self, what: str, explain: Callable[[], T], default: D) -> T | D:
        """Return what `explain` returns, or `default`: a fault of ours costs the explanation, and
        is told once.
        """
        if what in self._broken:
            return default
        try:
            return explain()
        # Whatever it is, the verdict does not depend on it
        except Exception as error:  # noqa: BLE001
            self._broken.add(what)
            self._session.events.optional_failed(what, as_action_error(error))
            return default

    def _diagnose(self, run: DagRun, tasks: Tasks) -> tuple[Blocker, ...]:
        # By Airflow's clock: what it says about the future is meant by that.
        return find_blockers(self.optional, run, tasks, self._airflow.now or datetime.now(UTC))

    def _relay(self, failure: Failure) -> None:
        title = (
            f"Log of {failure.task.name}{try_label(failure.task)}: "
            f"{shortened(failure.cause, _MAX_TITLE_CHARS)}"
        )
        if failure.log:
            self._session.events.task_log(title, failure.log, failure.lines_omitted)


def _unread(fault: ActionError) -> ActionError:
    """Return the error for a success of which nobody knows whether tasks failed."""
    hint = fault.hint
    if isinstance(fault, Forbidden) and not isinstance(fault, GatewayRefused):
        hint = f'Give the credential the permission "{Feature.TASKS.permission}".'
    return ActionError(
        "Whether tasks failed could not be read",
        "Airflow calls the run a success, but fail_on_failed_tasks is true and its task "
        "instances could not be read. "
        f"Last: {fault.title}. {fault.detail}",
        f"{hint} Re-running this job reads them again: nothing runs again.".lstrip(),
    )
