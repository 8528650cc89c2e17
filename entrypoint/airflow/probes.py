"""The requests that show which permissions a credential has. None of them can have an effect.

Both APIs check the permission before they look at the run and at the body, so a 403 means a missing
permission, and any other response that it is there. A probe that would write is refused for two
reasons, or asks for a dry run of a DAG run that does not exist
(docs/notes/airflow-2.md#permissions, docs/notes/airflow-3.md#permissions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from entrypoint.permissions import Feature, Permission, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

_F, _P = Feature, Permission
_WHY = "airflow-dag-run checks permissions (dry_run: true). Airflow refuses this on purpose."
"""The text of a probe that Airflow's audit log shows."""
_ONE: dict[str, object] = {"limit": 1}
_TOO_LONG = "x" * 251
"""A run id that no version of Airflow 2 accepts: it stores at most 250 characters."""


def missing_run_id() -> str:
    """Return the id of a DAG run that does not exist."""
    return f"dry_run__{uuid4()}"


def reading_probes(dag: str, run: str) -> Iterator[Probe]:
    """Yield the probes that both APIs have, which only read.

    Args:
        dag: path of the DAG.
        run: path of a DAG run that does not exist.
    """
    task = f"{run}/taskInstances/none"
    yield Probe((_F.TRIGGER, _F.WAIT, _F.DAG), (_P.READ_DAGS,), "GET", dag)
    yield Probe((_F.TRIGGER, _F.WAIT, _F.RUNS), (_P.READ_DAGS, _P.READ_RUNS), "GET", run)
    yield Probe(
        (_F.RESUME, _F.TASKS),
        (_P.READ_DAGS, _P.READ_RUNS, _P.READ_TASKS),
        "GET",
        f"{run}/taskInstances",
        params=_ONE,
    )
    yield Probe((_F.LOGS,), (_P.READ_DAGS, _P.READ_LOGS), "GET", f"{task}/logs/1")
    yield Probe(
        (_F.XCOM,), (_P.READ_DAGS, _P.READ_XCOMS), "GET", f"{task}/xcomEntries/return_value"
    )
    yield Probe((_F.IMPORT_ERRORS,), (_P.READ_IMPORT_ERRORS,), "GET", "/importErrors", params=_ONE)
    yield Probe((_F.POOLS,), (_P.READ_POOLS,), "GET", "/pools/default_pool")


_EDIT_DAG = ((_F.TRIGGER, _F.UNPAUSE, _F.PARSING), (_P.EDIT_DAGS,), "PATCH")
_TRIGGER = ((_F.TRIGGER,), (_P.EDIT_DAGS, _P.CREATE_RUNS), "POST")
_EDIT_RUN = (_P.EDIT_DAGS, _P.EDIT_RUNS)
_EDIT_TASKS = (*_EDIT_RUN, _P.EDIT_TASKS)


def probes_1(dag: str, run: str, run_id: str, *, stops: bool) -> Iterator[Probe]:
    """Yield the probes of Airflow 2.

    It checks types by its OpenAPI description before the permission, and unknown fields after it.

    Args:
        dag: path of the DAG.
        run: path of a DAG run that does not exist.
        run_id: id of that run.
        stops: whether this version can change the state of a run.
    """
    yield from reading_probes(dag, run)
    yield Probe((_F.EVENTS,), (_P.READ_EVENTS,), "GET", "/eventLogs", params=_ONE)
    yield Probe(*_EDIT_DAG, dag, {"dry_run": _WHY}, {"update_mask": "description"})
    yield Probe(*_TRIGGER, f"{dag}/dagRuns", {"dry_run": _WHY, "dag_run_id": _TOO_LONG})
    if stops:
        yield Probe((_F.STOP,), _EDIT_RUN, "PATCH", run, {"state": "failed", "dry_run": _WHY})
    yield Probe(
        (_F.RESUME, _F.RESTART),
        _EDIT_TASKS,
        "POST",
        f"{dag}/clearTaskInstances",
        {"dry_run": True, "dag_run_id": run_id},
    )


def probes_2(dag: str, run: str, run_id: str, *, asks_humans: bool) -> Iterator[Probe]:
    """Yield the probes of Airflow 3. It does not log those that ask for a dry run.

    Args:
        dag: path of the DAG.
        run: path of a DAG run that does not exist.
        run_id: id of that run.
        asks_humans: whether tasks of this version can ask humans.
    """
    yield from reading_probes(dag, run)
    yield Probe((_F.EVENTS,), (_P.READ_DAGS, _P.READ_EVENTS), "GET", "/eventLogs", params=_ONE)
    if asks_humans:
        yield Probe((_F.HUMAN_INPUT,), (_P.READ_DAGS, _P.READ_HITL), "GET", f"{run}/hitlDetails")
    # `is_paused` must be a boolean, and no field may be unknown.
    yield Probe(*_EDIT_DAG, dag, {"is_paused": _WHY, "dry_run": True})
    # `logical_date` must be there, `conf` be an object, and no field be unknown.
    yield Probe(*_TRIGGER, f"{dag}/dagRuns", {"conf": _WHY, "dry_run": True})
    yield Probe((_F.STOP, _F.RESTART), _EDIT_RUN, "POST", f"{run}/clear", {"dry_run": True})
    yield Probe(
        (_F.RESUME,),
        _EDIT_TASKS,
        "POST",
        f"{dag}/clearTaskInstances",
        {"dry_run": True, "dag_run_id": run_id},
    )
