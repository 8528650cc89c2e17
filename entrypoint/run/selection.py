"""Find the DAGs that the lines of the input `dags` mean. It triggers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import DagNotFound
from entrypoint.session import SETUP_SECONDS

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Dag, JsonObject
    from entrypoint.runners.base import Context
    from entrypoint.session import Session


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

    def select(self) -> Selection:
        """Return the selected DAGs. One that is named twice is selected once.

        Raises:
            DagNotFound: no active DAG has a tag.
            ActionError: Airflow or GitHub does not say.
        """
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
                dags, unmatched = self._changed()
                for dag in dags:
                    found.setdefault(dag.dag_id, None)
        return Selection(found, unmatched)

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
