"""Find the DAGs that the lines of the input `dags` mean. It triggers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import DagNotFound
from entrypoint.github_api.changed_files import changed_files
from entrypoint.github_api.client import GitHubRepository
from entrypoint.run.changed_dags import match_files
from entrypoint.runners.github import read_event
from entrypoint.session import SETUP_SECONDS

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import ChangedFiles, Dag, JsonObject
    from entrypoint.runners.base import Context
    from entrypoint.session import Session


POLL_SECONDS = 10.0
"""Seconds between two lists of the DAGs while no changed file belongs to one."""


class Selection(NamedTuple):
    """The selected DAGs.

    Attributes:
        dags: DAG id and its `conf`, None for that of the step, in the order of the input.
        unmatched: changed files that belong to no DAG.
    """

    dags: dict[str, JsonObject | None]
    unmatched: tuple[str, ...] = ()


class Selector:
    """Selects the DAGs of a step.

    Args:
        airflow: API client.
        settings: the input `dags`.
        context: the event that started the workflow.
        session: deadlines and retrier.
    """

    def __init__(
        self, airflow: Airflow, settings: Settings, context: Context, session: Session
    ) -> None:
        self._airflow = airflow
        self._settings = settings
        self._context = context
        self._session = session
        self._files: ChangedFiles | None = None
        self._wait_deadline = session.deadline(settings.wait_for_dag)

    def select(self) -> Selection:
        """Return the selected DAGs. One that is named twice is selected once.

        A new file has no DAG before Airflow has parsed it. So if `changed` selects none, ask again
        until the end of `wait_for_dag`.

        Raises:
            DagNotFound: no active DAG has a tag.
            ActionError: Airflow or GitHub does not say.
        """
        while True:
            selection = self._select()
            left = self._wait_deadline.seconds_left()
            if selection.dags or not selection.unmatched or left <= 0:
                return selection
            self._session.events.code_missing(
                DagNotFound(
                    "No DAG was changed",
                    "None of the changed files belongs to a DAG of this Airflow yet.",
                    "",
                ),
                left,
            )
            self._session.retrier.sleep(min(POLL_SECONDS, left))

    def _select(self) -> Selection:
        found: dict[str, JsonObject | None] = {}
        unmatched: tuple[str, ...] = ()
        for selector in self._settings.dags:
            if selector.kind == "dag":
                # The conf of a line wins over a tag's, wherever the two lines are.
                known = found.get(selector.name)
                found[selector.name] = known if selector.conf is None else selector.conf
            elif selector.kind == "tag":
                for dag in self._tagged(selector.name):
                    found.setdefault(dag.dag_id, None)
            else:
                changed = match_files(self._list_dags(), self._changed_files())
                unmatched = changed.other_files
                for dag_id in changed.files:
                    found.setdefault(dag_id, None)
        return Selection(found, unmatched)

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
        deadline = self._session.deadline(SETUP_SECONDS)
        airflow = self._airflow.within(deadline)
        return self._session.retrier.within(deadline).read(
            lambda: airflow.list_dags(tag), retry_unexpected=False
        )
