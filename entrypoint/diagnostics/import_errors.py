"""Find the import error behind a DAG that Airflow does not run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from entrypoint.errors import (
    ActionError,
    DagNotFound,
    InvalidConf,
    NotSupported,
    StaleDag,
)
from entrypoint.permissions import Feature
from entrypoint.run.dag_checks import ImportErrorMatcher, import_failed
from entrypoint.text import list_names

if TYPE_CHECKING:
    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.models import Dag, DagImportError

_MAX_FILES = 3
"""Files with import errors that a message names."""


def read_import_errors(optional: OptionalRequests) -> tuple[DagImportError, ...] | None:
    """Return the DAG files that Airflow cannot import, None if they cannot be read."""
    return optional.fetch(Feature.IMPORT_ERRORS, lambda airflow: airflow.import_errors(), None)


class OptionalDagFiles:
    """Optional requests about DAG files. A missing permission disables them."""

    def __init__(self, optional: OptionalRequests, relevant: ImportErrorMatcher) -> None:
        self.relevant = relevant
        self._optional = optional

    def import_errors(self, deadline: Deadline) -> tuple[DagImportError, ...] | None:
        """See `read_import_errors`."""
        return read_import_errors(self._optional.within(deadline))

    def bundle_version(self, name: str, deadline: Deadline) -> str | None:
        """Return the version of a bundle that Airflow fetched last, None if it is unknown."""

        def fetch(airflow: Airflow) -> str | None:
            with suppress(NotSupported):
                bundle = airflow.dag_bundle(name)
                return bundle.version if bundle else None
            return None

        return self._optional.within(deadline).fetch(Feature.IMPORT_ERRORS, fetch, None)

    def request_reparse(self, file_token: str, deadline: Deadline) -> None:
        """Request that Airflow parses a DAG file now, if this credential may."""
        self._optional.within(deadline).fetch(
            Feature.PARSING, lambda airflow: airflow.request_reparse(file_token), None
        )


def import_error_behind(
    optional: OptionalRequests, dag_id: str, error: ActionError, relevant: ImportErrorMatcher
) -> ActionError:
    """Return the error for a refused DAG, with the import error that is or may be its cause.

    If a file fails to import, its DAG becomes unknown (404), stale, inactive, or refused with 400,
    depending on Airflow's version and the time (docs/notes/airflow-2.md#dags-and-import-errors,
    docs/notes/airflow-3.md#dags-and-import-errors).
    """
    refused = isinstance(error, InvalidConf) and "import errors" in error.detail
    if not (refused or isinstance(error, (DagNotFound, StaleDag))):
        return error
    import_errors = read_import_errors(optional) or ()
    dag: Dag | None = None
    with suppress(ActionError):
        dag = optional.airflow.get_dag(dag_id)
    for import_error in import_errors:
        if relevant(import_error, dag):
            return import_failed(dag_id, import_error)
    if not import_errors or dag is not None:
        return error
    names = [
        f"{one.filename} ({one.raised[0]})" if one.raised else one.filename for one in import_errors
    ]
    detail = (
        f"{error.detail} Airflow cannot import {list_names(names, _MAX_FILES)} at present. "
        "One of these files may define the DAG."
    )
    return type(error)(error.title, detail, error.hint)
