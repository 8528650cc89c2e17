"""Find the DAGs that the lines of the input `dags` mean. It triggers nothing."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import DagNotFound
from entrypoint.github_api.changed_files import changed_files
from entrypoint.github_api.client import GitHubRepository
from entrypoint.models import Dag
from entrypoint.run.changed_dags import match_files
from entrypoint.run.dag_checks import import_failed
from entrypoint.runners.github import read_event
from entrypoint.session import SETUP_SECONDS
from entrypoint.text import list_names

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """

    dags: dict[str, JsonObject | None]
    unmatched: tuple[str, ...] = ()
    new_files: tuple[str, ...] = ()


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
        self._wait_deadline = session.deadline(settings.wait_for_dag)

    def select(self) -> Selection:
        """Return the selected DAGs. One that is named twice is selected once.

        A new file has no DAG before Airflow has parsed it, and a broken one has none at all. So
        while such a file was changed, ask again until the end of `wait_for_dag`.

        Raises:
            DagNotFound: no active DAG has a tag.
            DagNotRunnable: a changed file fails to import.
            ActionError: Airflow or GitHub does not say.
        """
        while True:
            selection = self._select()
            broken = self._broken(selection.unmatched)
            left = self._wait_deadline.seconds_left()
            if broken is not None and left <= 0:
                raise broken
            if (broken is None and not selection.new_files) or left <= 0:
                return selection
            missing = DagNotFound(
                "No DAG was changed",
                f"Airflow has no DAG of {list_names(list(selection.new_files))} yet.",
                "",
            )
            self._session.events.code_missing(broken or missing, left)
            self._session.retrier.sleep(min(POLL_SECONDS, left))

    def _broken(self, unmatched: tuple[str, ...]) -> ActionError | None:
        """Return the error for a changed file that Airflow cannot import, None if there is none."""
        if not unmatched or self._files is None:
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
            # A file that has a DAG imports; the error is that of another file with its name.
            if broken := [path for path in found.get(error.filename, ()) if path in unmatched]:
                return import_failed(f"the DAGs of {broken[0]}", error)
        return None

    def _select(self) -> Selection:
        found: dict[str, JsonObject | None] = {}
        unmatched: tuple[str, ...] = ()
        new_files: tuple[str, ...] = ()
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
                changed = match_files(self._list_dags(), files)
                unmatched = changed.other_files
                new_files = tuple(
                    path
                    for path in unmatched
                    if path in files.added and PurePosixPath(path).suffix in (".py", ".zip")
                )
                for dag_id in changed.files:
                    found.setdefault(dag_id, None)
        return Selection(found, unmatched, new_files)

    def _changed_files(self) -> ChangedFiles:
        if self._files is None:
            context, session = self._context, self._session
            repository = None
            if context.api_url:
                repository = GitHubRepository(
                    context.api_url,
                    context.repository,
                    self._settings.github_token,
                    session.http_client,
                )
            retrier = session.retrier.within(session.deadline(SETUP_SECONDS))
            self._files = changed_files(repository, read_event(context), retrier)
        return self._files

    def _tagged(self, tag: str) -> list[Dag]:
        tagged = [dag for dag in self._list_dags(tag) if not dag.is_paused]
        if not tagged:
            raise DagNotFound(
                "No DAG has this tag",
                f"Airflow has no active DAG with the tag {tag!r} that is not paused.",
                "Check the tag, and that these DAGs are deployed to this Airflow and unpaused.",
            )
        return tagged

    def _list_dags(self, tag: str | None = None) -> tuple[Dag, ...]:
        left = self._wait_deadline.seconds_left()
        deadline = self._session.deadline(max(SETUP_SECONDS, left))
        airflow = self._airflow.within(deadline)
        return self._session.retrier.within(deadline).read(
            lambda: airflow.list_dags(tag), retry_unexpected=left > 0, retry_refused=left > 0
        )
