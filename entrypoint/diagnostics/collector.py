"""Everything that explains a DAG run and decides nothing about it: progress, reasons, what blocks it, logs, XComs.

Between the story (`step.py`), which asks, and the modules that know, and the log, which shows it at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from entrypoint.diagnostics.blockers import diagnose
from entrypoint.diagnostics.failures import logs_of_the_rest, reasons, timed_out_after
from entrypoint.diagnostics.import_errors import OptionalDagFiles, with_import_error
from entrypoint.diagnostics.optional import Feature
from entrypoint.diagnostics.progress import Watch
from entrypoint.diagnostics.task_lists import read_for_report
from entrypoint.diagnostics.xcoms import read_xcoms
from entrypoint.errors import ActionError, Forbidden, GatewayRefused, as_action_error
from entrypoint.run.dag_checks import Relevant
from entrypoint.run.schedule import median, usual
from entrypoint.runners.checkout import names
from entrypoint.text import shortened, tries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from entrypoint.diagnostics.optional import Extras
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Blocker, DagRun, Failure, TaskInstance, TaskList
    from entrypoint.run.schedule import Usual
    from entrypoint.session import Connection

FOR_REASONS = 120.0
"""Seconds for reading logs and other reasons once the run has ended, and for the XComs."""

_LONGEST_TITLE = 200
_NAMED = 20

Tasks = tuple["TaskInstance", ...]
T = TypeVar("T")
D = TypeVar("D")


class Explainer:
    """Explains one DAG run.

    Args:
        extras: asks the Airflow where the run is.
        line: the connection, with its clock and console.
        settings: whose logs are relayed, which XComs are wanted.
        workspace: the checkout, in which files with import errors are looked for.
    """

    def __init__(self, extras: Extras, line: Connection, settings: Settings, workspace: Path) -> None:
        self._airflow = extras.airflow
        self._line = line
        self._settings = settings
        self.extras = extras
        self._broken: set[str] = set()
        # Asked once about the same files: it is a walk through the checkout, and an import error may be looked at often.
        self.relevant = Relevant(settings.dag_id, cache(lambda files: names(files, settings.dag_id, workspace)))
        self.dag_files = OptionalDagFiles(extras, self.relevant)
        self._watch = Watch(self.extras, line.patience, self._diagnose, live=settings.logs != "none")

    @property
    def turned_off(self) -> tuple[str, ...]:
        """A sentence for each feature that was refused; what was not told yet is told now."""
        self.extras.settle()
        return tuple(self.extras.turned_off.values())

    def refusal(self, error: ActionError) -> ActionError:
        """Return the error for a DAG that Airflow will not run, with the import error that is behind it."""
        explain = partial(with_import_error, self.extras, self._settings.dag_id, error, self.relevant)
        return self._guarded("import errors", explain, error)

    def failed_names(self, run: DagRun) -> list[str]:
        """Return the names of the first failed task instances; none if they may not be read."""
        look = partial(self._airflow.task_instances, run.dag_id, run.run_id, states=("failed",), most=_NAMED)
        failed = self.extras.ask(Feature.TASKS, look, None)
        return [task.name for task in failed.instances] if failed else []

    def usual(self, run: DagRun) -> Usual | None:
        """Say how long the DAG usually takes, and return it if enough of its runs have shown it."""
        durations = self.extras.ask(Feature.RUNS, partial(self._airflow.durations, run.dag_id), ())
        if durations:
            self._line.console.usual(median(durations))
        return usual(durations)

    def look(self, run: DagRun) -> None:
        """Look at the tasks of a run that was just seen, and tell what changed or why nothing does."""
        self._guarded("live progress", partial(self._watch.look, run), None)

    def due(self, run: DagRun) -> float:
        """Return the moment on the clock from which on a run that is like this is to be looked at again."""
        return self._guarded("live progress", partial(self._watch.due, run), self._line.clock())

    def read_tasks(self, run: DagRun, until: float | None = None) -> TaskList | None:
        """Return the task instances as they are now, as far as they are reported; None if they cannot be read.

        `until`: moment on the clock up to which they are asked for, where the verdict depends on them.

        Raises:
            ActionError: they cannot be read, and the verdict depends on them.
        """
        look = partial(read_for_report, self._airflow, run)
        if until is None:
            tasks = self.extras.ask(Feature.TASKS, look, None, patient=True)
        else:
            try:
                # What was believed to be refused is looked at once more, and no longer.
                allowed = Feature.TASKS not in self.extras.turned_off
                tasks = self._line.patience.read(look, until=until, allowed=allowed)
            except Exception as error:  # noqa: BLE001 - whatever it is, a green would be a guess
                raise _unread(as_action_error(error)) from None
            self.extras.answered(Feature.TASKS)
        if tasks is not None:
            self._watch.saw(tasks)
        return tasks

    def stuck(self, run: DagRun, tasks: Tasks | None) -> tuple[Blocker, ...]:
        """Return why the run does not move, at the end of the patience with it."""
        nothing: tuple[Blocker, ...] = ()
        return (
            self._guarded("why it does not move", partial(self._diagnose, run, tasks or ()), nothing)
            or self._watch.blockers
        )

    def end(self, run: DagRun, tasks: Tasks | None) -> dict[str, Any]:
        """Return what is known about the reasons of the end, for the outcome; relay the logs that are wanted."""
        self._line.allow(FOR_REASONS)
        return self._guarded("the reasons of the end", partial(self._reasons, run, tasks or ()), {})

    def _reasons(self, run: DagRun, tasks: Tasks) -> dict[str, Any]:
        keep = 0 if self._settings.logs == "none" else self._settings.log_lines
        failures = reasons(self.extras, run, tasks, keep, self._relay)
        if self._settings.logs == "all":
            for task, log in logs_of_the_rest(self.extras, run, tasks, keep):
                self._line.console.log(f"Log of {task.name}: {task.state}", log.lines, log.left_out)
        return {"failures": failures, "timed_out_after": timed_out_after(self.extras, run, tasks)}

    def xcoms(self, run: DagRun, tasks: Tasks | None, *, whole: bool, needed: bool) -> dict[str, Any] | None:
        """Return the XComs that were asked for, None if they may not be read.

        Args:
            run: the DAG run, ended.
            tasks: its task instances, if they could be read.
            whole: whether these are all of them.
            needed: whether it is an error if one is not there: it is once the run has succeeded.

        Raises:
            ActionError: one is not there, is too large, or Airflow did not answer.
        """
        until = self._line.allow(FOR_REASONS)
        look = partial(self._xcoms, run, tasks, whole=whole, until=until)
        try:
            # As a whole: the way to one XCom is refused as that to the others.
            return self._line.patience.read(look, until=until, allowed=True)
        except Forbidden as refusal:
            cause = refusal.__context__
            self.extras.turn_off(Feature.XCOM, cause if isinstance(cause, Forbidden) else refusal)
        except ActionError as error:
            if needed:
                raise
            self._line.console.not_told(Feature.XCOM.gives, error)
        return None

    def _xcoms(self, run: DagRun, tasks: Tasks | None, *, whole: bool, until: float) -> dict[str, Any]:
        if tasks is not None and not whole:
            tasks = self._airflow.task_instances(run.dag_id, run.run_id).instances
        return read_xcoms(self._airflow, run, self._settings.xcom, tasks, self._line.patience, until=until)

    def _guarded(self, what: str, explain: Callable[[], T], otherwise: D) -> T | D:
        """Return what `explain` returns, or `otherwise`: a fault of ours costs the explanation, and is told once."""
        if what in self._broken:
            return otherwise
        try:
            return explain()
        except Exception as error:  # noqa: BLE001 - whatever it is, the verdict does not depend on it
            self._broken.add(what)
            self._line.console.not_told(what, as_action_error(error))
            return otherwise

    def _diagnose(self, run: DagRun, tasks: Tasks) -> tuple[Blocker, ...]:
        # By Airflow's clock: what it says about the future is meant by that.
        return diagnose(self.extras, run, tasks, self._airflow.now or datetime.now(UTC))

    def _relay(self, failure: Failure) -> None:
        title = f"Log of {failure.task.name}{tries(failure.task)}: {shortened(failure.cause, _LONGEST_TITLE)}"
        if failure.log:
            self._line.console.log(title, failure.log, failure.left_out)


def _unread(fault: ActionError) -> ActionError:
    """Return the error for a success of which nobody knows whether tasks failed."""
    hint = fault.hint
    if isinstance(fault, Forbidden) and not isinstance(fault, GatewayRefused):
        hint = f'Give the credential the permission "{Feature.TASKS.permission}".'
    return ActionError(
        "Whether tasks failed could not be read",
        "Airflow calls the run a success, but fail_on_failed_tasks is true and its task instances could not be read. "
        f"Last: {fault.title}. {fault.detail}",
        f"{hint} Re-running this job reads them again: nothing runs again.".lstrip(),
    )
