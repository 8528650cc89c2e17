"""Why Airflow will not run a DAG that it should have: most often its file does not import any more. It only reads."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError, DagLost, DagNotFound, DagNotRunnable, InvalidConf
from entrypoint.gate.extras import Feature

if TYPE_CHECKING:
    from entrypoint.evidence import ImportFault
    from entrypoint.gate.extras import Extras

_NAMED = 3
_TRACE = 3_000
"""Characters of a traceback, from its end."""


def with_import_error(extras: Extras, dag_id: str, error: ActionError) -> ActionError:
    """Return the error for a DAG that was refused, with Airflow's import error if that is, or may be, behind it.

    A file that fails to import makes its DAG unknown (404), stale, inactive, or refused with 400, depending on version and
    time (airflow-2.md 4, airflow-3.md 11.7).
    """
    refused = isinstance(error, InvalidConf) and "import errors" in error.detail
    if not (refused or isinstance(error, (DagNotFound, DagLost))):
        return error
    faults = extras.ask(Feature.IMPORT_ERRORS, extras.airflow.import_faults, ())
    file = ""
    with suppress(ActionError):
        file = extras.airflow.get_dag(dag_id).file
    for fault in faults:
        if fault.filename == file if file else _may_define(fault, dag_id):
            return _broken(dag_id, fault)
    if not faults or file:
        return error
    names = [f"{fault.filename} ({fault.raised[0]})" if fault.raised else fault.filename for fault in faults[:_NAMED]]
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    detail = f"{error.detail} Airflow cannot import {', '.join(names)}{more} at present: the DAG may be in there."
    return type(error)(error.title, detail, error.hint)


def _may_define(fault: ImportFault, dag_id: str) -> bool:
    """Whether the file is named after the DAG, or its traceback names the DAG: a file that never parsed has no DAG yet."""
    return (
        PurePath(fault.filename).stem == dag_id
        or re.search(rf"(?<!\w){re.escape(dag_id)}(?![\w.])", fault.trace) is not None
    )


def _broken(dag_id: str, fault: ImportFault) -> DagNotRunnable:
    error = DagNotRunnable(
        "The DAG's file fails to import",
        f"Airflow cannot import {fault.filename}, so it does not run {dag_id}.\n{fault.trace.strip()[-_TRACE:]}",
        "Mend the file and deploy it. If it imports on your machine, a package or a variable is missing in Airflow's own.",
    )
    error.raised = fault.raised
    return error
