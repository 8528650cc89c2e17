"""Find the DAGs that the lines of the input `dags` mean. It triggers nothing."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import DagNotFound
from entrypoint.github_api.changed_files import changed_files
from entrypoint.models import Dag
from entrypoint.run.changed_dags import match_files
from entrypoint.run.dag_checks import import_failed
from entrypoint.runners.github import read_event
from entrypoint.session import SETUP_SECONDS
from entrypoint.text import list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.errors import ActionError
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import ChangedFiles, DagImportError, JsonObject
    from entrypoint.runners.base import Context
    from entrypoint.session import Session


POLL_SECONDS = 10.0
"""Seconds between two lists of the DAGs while a changed file may still get one."""


class Selection(NamedTuple):
    """The selected DAGs.

    Attributes:
        dags: DAG id and its `conf`, None for that of the step, in the order of the input.
        unmatched: changed files that belong to no DAG.
        new_files: those of them that are new and may define a DAG that Airflow does not have yet.
        changed: the DAGs that `changed` selected.
        removable: those of them that no line names.
    """

    dags: dict[str, JsonObject | None]
    unmatched: tuple[str, ...] = ()
    new_files: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removable: tuple[str, ...] = ()


class Selector:
    """Selects the DAGs of a step.

    Args:
        airflow: API client.
        settings: the input `dags`.
        context: the event that started the workflow.
        session: deadlines and retrier.
        import_errors: returns the DAG files that Airflow cannot import, None if they are unknown.
    """

    def __init__(
        self,
        airflow: Airflow,
        settings: Settings,
        context: Context,
        session: Session,
        import_errors: Callable[[Deadline], tuple[DagImportError, ...] | None],
    ) -> None:
        self._airflow = airflow
        self._settings = settings
        self._context = context
        self._session = session
        self._import_errors = import_errors
        self._files: ChangedFiles | None = None
        self._changed_dag_files: set[tuple[str, str]] = set()
        self._wait_deadline = session.deadline(settings.wait_for_dag)

    def select(self) -> Selection:
        """Return the selected DAGs. One that is named twice is selected once.

        A new file has no DAG before Airflow has parsed it, and a broken one has none at all. So
        while such a file was changed, or no DAG has a tag, ask again until the end of
        `wait_for_dag`.

        Raises:
            DagNotFound: no DAG has a tag.
            DagNotRunnable: a changed file fails to import.
            ActionError: Airflow or GitHub does not say.
        """
        while True:
            selection: Selection | None = None
            reason: ActionError | None
            try:
                selection = self._select()
                reason = self._broken_file(selection.unmatched)
            except DagNotFound as no_tag:
                reason = no_tag
            left = self._wait_deadline.seconds_left()
            if reason is not None and left <= 0:
                raise reason
            if selection is not None and (left <= 0 or not (reason or selection.new_files)):
                return selection
            self._session.events.code_missing(reason or _no_dag_yet(selection), left)
            self._session.retrier.sleep(min(POLL_SECONDS, left))

    def _broken_file(self, unmatched: tuple[str, ...]) -> ActionError | None:
        """Return the error for a changed file that Airflow cannot import, None if there is none."""
        if self._files is None or not self._files.changed:
            return None
        errors = self._import_errors(self._session.deadline(SETUP_SECONDS)) or ()
        # An import error names its file as a DAG does.
        files = {
            error.filename: Dag(
                error.filename,
                is_paused=False,
                is_active=True,
                has_import_errors=True,
                file=error.filename,
                fileloc=error.filename,
            )
            for error in errors
        }
        found = match_files(files.values(), self._files).files
        for error in errors:
            # Unless only some DAGs of a file are wrong, a file that has a DAG imports; the error is
            # that of another file with its name.
            same = (error.filename, error.bundle) in self._changed_dag_files
            broken = [path for path in found.get(error.filename, ()) if same or path in unmatched]
            if broken:
                return import_failed(f"the DAGs of {broken[0]}", error)
        return None

    def changed_dags(self) -> tuple[str, ...]:
        """Return the ids of the DAGs that the changed files define now."""
        return tuple(match_files(self._list_dags(), self._changed_files()).files)

    def _select(self) -> Selection:
        found: dict[str, JsonObject | None] = {}
        unmatched: tuple[str, ...] = ()
        new_files: tuple[str, ...] = ()
        changed_dags: Collection[str] = ()
        for selector in self._settings.dags:
            if selector.kind == "dag":
                # The conf of a line wins over a tag's, wherever the two lines are.
                known = found.get(selector.name)
                found[selector.name] = known if selector.conf is None else selector.conf
            elif selector.kind == "tag":
                for dag in self._tagged(selector.name):
                    found.setdefault(dag.dag_id, None)
            else:
                files = self._changed_files()
                listed = self._list_dags()
                changed = match_files(listed, files)
                self._changed_dag_files = {
                    (dag.file, dag.bundle) for dag in listed if dag.dag_id in changed.files
                }
                unmatched = changed.other_files
                new_files = tuple(
                    path
                    for path in unmatched
                    if path in files.added and PurePosixPath(path).suffix in (".py", ".zip")
                )
                for dag_id in changed.files:
                    found.setdefault(dag_id, None)
                changed_dags = changed.files.keys()
        named = {selector.name for selector in self._settings.dags if selector.kind == "dag"}
        removable = tuple(dag_id for dag_id in changed_dags if dag_id not in named)
        return Selection(found, unmatched, new_files, tuple(changed_dags), removable)

    def _changed_files(self) -> ChangedFiles:
        if self._files is None:
            context, session = self._context, self._session
            repository = session.github_repository(context)
            retrier = session.retrier.within(session.deadline(SETUP_SECONDS))
            self._files = changed_files(repository, read_event(context), retrier)
        return self._files

    def _tagged(self, tag: str) -> list[Dag]:
        """Return the DAGs with the tag that run, and those that do not run because of their files.

        Airflow deactivates a DAG whose file it cannot import, as it does with one that was deleted.
        The first must be an error, so it is selected, and the check before the trigger names it.
        """
        listed = [dag for dag in self._list_dags(tag, stale=True) if not dag.is_paused]
        broken: Collection[str] = ()
        if not all(dag.is_active for dag in listed):
            broken = self._without_import(listed)
        tagged = [dag for dag in listed if dag.is_active or dag.dag_id in broken]
        if not tagged:
            raise DagNotFound(
                "No DAG has this tag",
                f"Airflow has no active DAG with the tag {tag!r} that is not paused.",
                "Check the tag, and that these DAGs are deployed to this Airflow and unpaused.",
            )
        return tagged

    def _without_import(self, dags: Iterable[Dag]) -> set[str]:
        """Return the ids of those DAGs whose file Airflow cannot import.

        `has_import_errors` is not enough: it stays true if a broken file is deleted, and may be
        false for a moment (docs/notes/airflow-2.md#dags-and-import-errors). It counts only if the
        import errors cannot be read.
        """
        errors = self._import_errors(self._session.deadline(SETUP_SECONDS))
        files = {(error.filename, error.bundle) for error in errors or ()}
        return {
            dag.dag_id
            for dag in dags
            if ((dag.file, dag.bundle) in files if errors is not None else dag.has_import_errors)
        }

    def _list_dags(self, tag: str | None = None, *, stale: bool = False) -> tuple[Dag, ...]:
        left = self._wait_deadline.seconds_left()
        deadline = self._session.deadline(max(SETUP_SECONDS, left))
        airflow = self._airflow.within(deadline)
        return self._session.retrier.within(deadline).read(
            lambda: airflow.list_dags(tag, stale=stale),
            retry_unexpected=left > 0,
            retry_refused=left > 0,
        )


def _no_dag_yet(selection: Selection | None) -> DagNotFound:
    new_files = selection.new_files if selection is not None else ()
    return DagNotFound(
        "No DAG was changed", f"Airflow has no DAG of {list_names(list(new_files))} yet.", ""
    )
