"""Why Airflow will not run a DAG that it should have: most often its file does not import any more.
It only reads.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.errors import ActionError, DagNotFound, InvalidConf, StaleDag
from entrypoint.run.dag_checks import ImportErrorMatcher, import_failed
from entrypoint.text import list_names

if TYPE_CHECKING:
    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.models import Dag, DagImportError

_MAX_FILES = 3


class OptionalDagFiles:
    """Requests about DAG files that a missing permission turns off."""

    def __init__(self, optional: OptionalRequests, relevant: ImportErrorMatcher) -> None:
        self.relevant = relevant
        self._optional = optional

    def import_errors(self) -> tuple[DagImportError, ...] | None:
        """Return the DAG files that Airflow cannot import, None if they may not be read."""
        return self._optional.fetch(
            Feature.IMPORT_ERRORS, self._optional.airflow.import_errors, None
        )

    def request_reparse(self, dag: Dag) -> None:
        """Ask Airflow to parse the DAG's file now, if this credential may."""
        self._optional.fetch(
            Feature.PARSING, partial(self._optional.airflow.request_reparse, dag), None
        )


def import_error_behind(
    optional: OptionalRequests, dag_id: str, error: ActionError, relevant: ImportErrorMatcher
) -> ActionError:
    """Return the error for a DAG that was refused, with Airflow's import error if that is, or may
    be, behind it.

    A file that fails to import makes its DAG unknown (404), stale, inactive, or refused with 400,
    depending on version and time (docs/notes/airflow-2.md#dags-and-import-errors,
    docs/notes/airflow-3.md#dags-and-import-errors).
    """
    refused = isinstance(error, InvalidConf) and "import errors" in error.detail
    if not (refused or isinstance(error, (DagNotFound, StaleDag))):
        return error
    faults = optional.fetch(Feature.IMPORT_ERRORS, optional.airflow.import_errors, ())
    dag: Dag | None = None
    with suppress(ActionError):
        dag = optional.airflow.get_dag(dag_id)
    for fault in faults:
        if relevant(fault, dag):
            return import_failed(dag_id, fault)
    if not faults or dag is not None:
        return error
    names = [
        f"{fault.filename} ({fault.raised[0]})" if fault.raised else fault.filename
        for fault in faults
    ]
    detail = (
        f"{error.detail} Airflow cannot import {list_names(names, _MAX_FILES)} at present: "
        "the DAG may be in there."
    )
    return type(error)(error.title, detail, error.hint)
