"""Check before the trigger that Airflow would run the DAG: it exists, imports and is not paused."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING

from entrypoint.errors import DagNotFound, DagNotRunnable, StaleDag
from entrypoint.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.models import Dag, DagImportError, IfPaused


def require_runnable(airflow: Airflow, dag_id: str, if_paused: IfPaused) -> None:
    """Make sure, before anything is triggered, that the DAG exists and that a run of it would run.

    Raises:
        DagNotFound, StaleDag, DagNotRunnable: it would not.
    """
    dag = airflow.get_dag(dag_id)
    if not dag.is_active:
        raise stale_dag(dag)
    _handle_pause(airflow, dag, dag_id, if_paused)


def require_unpaused(airflow: Airflow, dag_id: str, if_paused: IfPaused) -> None:
    """Make sure that a run which is under way can go on: whatever has become of the DAG's code, it
    must not be paused.

    Raises:
        DagNotRunnable: it is.
    """
    with suppress(DagNotFound):
        _handle_pause(airflow, airflow.get_dag(dag_id), dag_id, if_paused)


def _handle_pause(airflow: Airflow, dag: Dag, dag_id: str, if_paused: IfPaused) -> None:
    refuse_paused(dag, if_paused)
    if dag.is_paused and if_paused == "unpause":
        airflow.unpause(dag_id)


def refuse_paused(dag: Dag, if_paused: IfPaused) -> None:
    """Raise DagNotRunnable if the DAG is paused and that is to be an error."""
    if dag.is_paused and if_paused == "fail":
        raise DagNotRunnable(
            "The DAG is paused",
            f"Airflow would accept a run of {dag.dag_id} and leave it queued for ever. "
            "Nothing was triggered.",
            "Unpause the DAG in Airflow, or set if_paused: unpause (it also releases runs "
            "that are queued already).",
        )


_MAX_TRACEBACK_CHARS = 3_000
"""Characters of a traceback, from its end."""


class ImportErrorMatcher:
    """Whether an import error is, or may be, behind a DAG that Airflow does not run.

    Args: dag_id: the DAG. in_checkout: whether one of the files with these names is in the
        checkout, and names the DAG there.
    """

    def __init__(self, dag_id: str, in_checkout: Callable[[tuple[str, ...]], bool]) -> None:
        self._dag_id = dag_id
        self._in_checkout = in_checkout

    def __call__(self, fault: DagImportError, dag: Dag | None) -> bool:
        """Return it for the DAG as Airflow knows it.

        A file that never parsed has no DAG yet: it is named after the DAG, its traceback or the
        checkout's copy names it.
        """
        if dag is not None and dag.file:
            return (fault.filename, fault.bundle) == (dag.file, dag.bundle)
        return (
            PurePath(fault.filename).stem == self._dag_id
            or re.search(rf"(?<!\w){re.escape(self._dag_id)}(?![\w.])", fault.trace) is not None
            or self._in_checkout(
                (fault.filename, *(frame.filename for one in fault.raised for frame in one.frames))
            )
        )


def import_failed(dag_id: str, fault: DagImportError) -> DagNotRunnable:
    """Return the error for a DAG whose file does not import, with Airflow's traceback."""
    error = DagNotRunnable(
        "The DAG's file fails to import",
        f"Airflow cannot import {fault.filename}, so it does not run "
        f"{dag_id}.\n{masked(fault.trace).strip()[-_MAX_TRACEBACK_CHARS:]}",
        "Mend the file and deploy it. If it imports on your machine, a package or a "
        "variable is missing in Airflow's own.",
    )
    error.raised = fault.raised
    return error


def stale_dag(dag: Dag) -> StaleDag:
    """Return the error for a DAG that is listed, but not in a DAG file any more, or in one that
    cannot be imported.
    """
    return StaleDag(
        "Airflow has lost this DAG",
        f"{dag.dag_id} is still listed, but Airflow no longer finds it in its DAG files"
        f"{', one of which fails to import' if dag.has_import_errors else ''}.",
        "Look at the import errors at the top of Airflow's home page, and check that the "
        "DAG's file is still deployed.",
    )
