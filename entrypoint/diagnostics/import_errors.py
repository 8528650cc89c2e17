"""Why Airflow will not run a DAG that it should have: most often its file does not import any more. It only reads."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.errors import ActionError, DagLost, DagNotFound, InvalidConf
from entrypoint.run.dag_checks import Relevant, broken
from entrypoint.text import listed

if TYPE_CHECKING:
    from entrypoint.diagnostics.optional import Extras
    from entrypoint.models import Dag, ImportFault

_NAMED = 3


class OptionalDagFiles:
    """Requests about DAG files that a missing permission turns off."""

    def __init__(self, extras: Extras, relevant: Relevant) -> None:
        self.relevant = relevant
        self._extras = extras

    def import_errors(self) -> tuple[ImportFault, ...] | None:
        """Return the DAG files that Airflow cannot import, None if they may not be read."""
        return self._extras.ask(Feature.IMPORT_ERRORS, self._extras.airflow.import_faults, None)

    def request_reparse(self, dag: Dag) -> None:
        """Ask Airflow to parse the DAG's file now, if this credential may."""
        self._extras.ask(Feature.PARSING, partial(self._extras.airflow.parse_now, dag), None)


def with_import_error(extras: Extras, dag_id: str, error: ActionError, relevant: Relevant) -> ActionError:
    """Return the error for a DAG that was refused, with Airflow's import error if that is, or may be, behind it.

    A file that fails to import makes its DAG unknown (404), stale, inactive, or refused with 400, depending on version and
    time (docs/notes/airflow-2.md#dags-and-import-errors, docs/notes/airflow-3.md#dags-and-import-errors).
    """
    refused = isinstance(error, InvalidConf) and "import errors" in error.detail
    if not (refused or isinstance(error, (DagNotFound, DagLost))):
        return error
    faults = extras.ask(Feature.IMPORT_ERRORS, extras.airflow.import_faults, ())
    dag: Dag | None = None
    with suppress(ActionError):
        dag = extras.airflow.get_dag(dag_id)
    for fault in faults:
        if relevant(fault, dag):
            return broken(dag_id, fault)
    if not faults or dag is not None:
        return error
    names = [f"{fault.filename} ({fault.raised[0]})" if fault.raised else fault.filename for fault in faults]
    detail = f"{error.detail} Airflow cannot import {listed(names, _NAMED)} at present: the DAG may be in there."
    return type(error)(error.title, detail, error.hint)
