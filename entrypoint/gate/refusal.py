"""Why Airflow will not run a DAG that it should have: most often its file does not import any more. It only reads."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError, DagLost, DagNotFound, DagNotRunnable, InvalidConf
from entrypoint.gate.extras import Feature
from entrypoint.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.evidence import ImportFault
    from entrypoint.gate.extras import Extras
    from entrypoint.models import Dag

_NAMED = 3
_TRACE = 3_000
"""Characters of a traceback, from its end."""


class Relevant:
    """Whether an import error is, or may be, behind a DAG that Airflow does not run.

    Args:
        dag_id: the DAG.
        in_checkout: whether one of the files with these names is in the checkout, and names the DAG there.
    """

    def __init__(self, dag_id: str, in_checkout: Callable[[tuple[str, ...]], bool]) -> None:
        self._dag_id = dag_id
        self._in_checkout = in_checkout

    def __call__(self, fault: ImportFault, dag: Dag | None) -> bool:
        """Return it for the DAG as Airflow knows it.

        A file that never parsed has no DAG yet: it is named after the DAG, its traceback or the checkout's copy names it.
        """
        if dag is not None and dag.file:
            return (fault.filename, fault.bundle) == (dag.file, dag.bundle)
        return (
            PurePath(fault.filename).stem == self._dag_id
            or re.search(rf"(?<!\w){re.escape(self._dag_id)}(?![\w.])", fault.trace) is not None
            or self._in_checkout((fault.filename, *(frame.filename for one in fault.raised for frame in one.frames)))
        )


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
    names = [f"{fault.filename} ({fault.raised[0]})" if fault.raised else fault.filename for fault in faults[:_NAMED]]
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    detail = f"{error.detail} Airflow cannot import {', '.join(names)}{more} at present: the DAG may be in there."
    return type(error)(error.title, detail, error.hint)


def broken(dag_id: str, fault: ImportFault) -> DagNotRunnable:
    """Return the error for a DAG whose file does not import, with Airflow's traceback."""
    error = DagNotRunnable(
        "The DAG's file fails to import",
        f"Airflow cannot import {fault.filename}, so it does not run {dag_id}.\n{masked(fault.trace).strip()[-_TRACE:]}",
        "Mend the file and deploy it. If it imports on your machine, a package or a variable is missing in Airflow's own.",
    )
    error.raised = fault.raised
    return error


def dag_lost(dag: Dag) -> DagLost:
    """Return the error for a DAG that is listed, but not in a DAG file any more, or in one that cannot be imported."""
    return DagLost(
        "Airflow has lost this DAG",
        f"{dag.dag_id} is still listed, but Airflow no longer finds it in its DAG files"
        f"{', one of which fails to import' if dag.has_import_errors else ''}.",
        "Look at the import errors at the top of Airflow's home page, and check that the DAG's file is still deployed.",
    )
