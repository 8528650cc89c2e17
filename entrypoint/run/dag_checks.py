"""Check that Airflow would run the DAG: it exists, imports and is not paused.

It does not know which code the DAG should have (`code_wait.py`).
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING

from entrypoint.errors import DagNotFound, DagNotRunnable, StaleDag, TriggerRefused
from entrypoint.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.airflow.client import Airflow
    from entrypoint.models import Dag, DagImportError, IfPaused


def require_runnable(airflow: Airflow, dag_id: str, if_paused: IfPaused) -> Dag:
    """Return the DAG, if it exists and Airflow would start a run of it.

    Raises:
        DagNotFound: Airflow does not know the DAG.
        StaleDag: Airflow no longer finds the DAG in its DAG files.
        DagNotRunnable: the DAG is paused.
    """
    dag = airflow.get_dag(dag_id)
    if not dag.is_active:
        raise stale_dag(dag)
    _handle_pause(airflow, dag, dag_id, if_paused)
    return dag


def require_unpaused(airflow: Airflow, dag_id: str, if_paused: IfPaused) -> None:
    """Check that a run that exists can go on: its DAG must not be paused.

    Do not fail if the DAG has since been deleted or does not import any more.

    Raises:
        DagNotRunnable: the DAG is paused.
    """
    with suppress(DagNotFound):
        _handle_pause(airflow, airflow.get_dag(dag_id), dag_id, if_paused)


def _handle_pause(airflow: Airflow, dag: Dag, dag_id: str, if_paused: IfPaused) -> None:
    refuse_paused(dag, if_paused)
    if dag.is_paused and if_paused == "unpause":
        airflow.unpause(dag_id)


def refuse_paused(dag: Dag, if_paused: IfPaused) -> None:
    """Raise DagNotRunnable if the DAG is paused and `if_paused` is `fail`."""
    if dag.is_paused and if_paused == "fail":
        raise DagNotRunnable(
            "The DAG is paused",
            f"Airflow would accept a run of {dag.dag_id} and leave it queued forever. "
            "Nothing was triggered.",
            "Unpause the DAG in Airflow, or set if_paused: unpause (it also releases runs "
            "that are queued already), or from Airflow 3.4 on if_paused: drain (it runs a new run "
            "only).",
        )


def refuse_manual_runs(dag: Dag) -> None:
    """Raise TriggerRefused if Airflow would refuse to trigger the DAG, whatever the request."""
    if not dag.allows_manual_runs:
        raise TriggerRefused(
            "The DAG does not allow manual runs",
            f"The allowed_run_types of {dag.dag_id} do not have it.",
            'Add "manual" to allowed_run_types of the DAG, or let its schedule start it.',
        )


def for_existing_run(if_paused: IfPaused) -> IfPaused:
    """Return the policy for the DAG of a run that exists: only a new run can be drained."""
    return "fail" if if_paused == "drain" else if_paused


_MAX_TRACEBACK_CHARS = 3_000
"""Characters of a traceback to show, counted from its end."""


class ImportErrorMatcher:
    """Decide whether an import error belongs, or may belong, to a DAG.

    Args:
        dag_id: the DAG.
        in_checkout: function that returns whether one of the files with these names is in the
            checkout and contains the DAG's id.
    """

    def __init__(self, dag_id: str, in_checkout: Callable[[tuple[str, ...]], bool]) -> None:
        self._dag_id = dag_id
        self._in_checkout = in_checkout

    def __call__(self, import_error: DagImportError, dag: Dag | None) -> bool:
        """Return whether the import error belongs to the DAG, which is None if unknown to Airflow.

        Airflow has no DAG for a file that it never parsed. Then the file's name, the traceback or
        the file in the checkout must contain the DAG's id.
        """
        if dag is not None and dag.file:
            return (import_error.filename, import_error.bundle) == (dag.file, dag.bundle)
        return (
            PurePath(import_error.filename).stem == self._dag_id
            or re.search(rf"(?<!\w){re.escape(self._dag_id)}(?![\w.])", import_error.trace)
            is not None
            or self._in_checkout(
                (
                    import_error.filename,
                    *(frame.filename for one in import_error.raised for frame in one.frames),
                )
            )
        )


def import_failed(dag_id: str, import_error: DagImportError) -> DagNotRunnable:
    """Return the error for a DAG whose file does not import, with Airflow's traceback."""
    error = DagNotRunnable(
        "The DAG's file fails to import",
        f"Airflow cannot import {import_error.filename}, so it does not run "
        f"{dag_id}.\n{masked(import_error.trace).strip()[-_MAX_TRACEBACK_CHARS:]}",
        "Fix the file and deploy it. If it imports on your machine, a package or a variable is "
        "missing in Airflow's environment.",
    )
    error.raised = import_error.raised
    return error


def stale_dag(dag: Dag) -> StaleDag:
    """Return the error for a DAG that Airflow lists, but no longer finds in its files."""
    return StaleDag(
        "Airflow has lost this DAG",
        f"{dag.dag_id} is still listed, but Airflow no longer finds it in its DAG files"
        f"{', one of which fails to import' if dag.has_import_errors else ''}.",
        "Check the import errors at the top of Airflow's home page, and check that the DAG's file "
        "is still deployed.",
    )
