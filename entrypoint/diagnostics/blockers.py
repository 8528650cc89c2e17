"""Why a DAG run does not move, as far as Airflow shows it to this credential. It only reads.

A run that Airflow has accepted may wait for ever and say nothing (docs/notes/airflow-2.md#queued-runs,
docs/notes/airflow-3.md#runs-that-wait-forever).
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.models import RUNNING, Blocker
from entrypoint.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from entrypoint.diagnostics.optional import Extras
    from entrypoint.models import Dag, DagRun, TaskInstance

_NAMED = 5
"""How many runs or task instances a sentence names before it only counts them."""
_POOLS = 3
_ASKED = 3
_CLOCKS_APART = timedelta(seconds=5)
"""How far ahead a date may lie and still be now: the time is a header's, in whole seconds, maybe by a gateway's clock."""


def diagnose(extras: Extras, run: DagRun, tasks: tuple[TaskInstance, ...], now: datetime) -> tuple[Blocker, ...]:
    """Return what keeps the run from moving, the likeliest first; empty if nothing is known.

    Args:
        extras: asks for what only explains.
        run: as last seen, not ended.
        tasks: its task instances as last seen; none if they may not be read.
        now: the time, for dates in the future.
    """
    if any(task.state in RUNNING for task in tasks):
        return ()
    dag = extras.ask(Feature.DAG, partial(extras.airflow.get_dag, run.dag_id), None)
    found = [*_dates(run, now), *_components(extras, tasks)]
    if dag is not None and dag.is_paused:
        found.append(_paused(dag))
    if run.state == "queued" and dag is not None and dag.max_active_runs is not None:
        found += _other_runs(extras, run, dag.max_active_runs)
    found += _humans(extras, run, tasks)
    found += _pools(extras, run, tasks)
    found = found or [*_no_worker(tasks), *_unmet(extras, run, tasks)]
    return tuple(found)


def _dates(run: DagRun, now: datetime) -> Iterator[Blocker]:
    for name, moment in (("run_after", run.run_after), ("logical date", run.logical_date)):
        if moment is not None and moment > now + _CLOCKS_APART:
            yield Blocker(
                f"The run's {name} lies in the future",
                f"Airflow starts nothing of it before {moment.isoformat()}.",
                "Wait until then (see the input timeout), or ask for another date.",
            )
            return


def _components(extras: Extras, tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    health = extras.ask(Feature.HEALTH, extras.airflow.health, None)
    if health is None:
        return
    dead = [name for name in ("scheduler", "dag_processor") if getattr(health, name) is False]
    if health.triggerer is not True and any(task.state == "deferred" for task in tasks):
        dead.append("triggerer")
    for name in dead:
        yield Blocker(
            f"Airflow's {name.replace('_', '-')} is not running",
            "Airflow's own health check has not had a heartbeat of it lately.",
            "Whoever runs this Airflow has to bring it back.",
        )


def _paused(dag: Dag) -> Blocker:
    return Blocker(
        "The DAG is paused",
        f"{dag.dag_id} is paused in Airflow; nothing of it runs until somebody unpauses it.",
        "Unpause the DAG in Airflow.",
    )


def _other_runs(extras: Extras, run: DagRun, allowed: int) -> Iterator[Blocker]:
    running = extras.ask(Feature.RUNS, partial(extras.airflow.running, run.dag_id), ())
    if running and len(running) >= allowed:
        yield Blocker(
            "Other runs of the DAG come first",
            f"{run.dag_id} allows {allowed} active runs (max_active_runs), and that many are running: "
            f"{listed([other.run_id for other in running], _NAMED)}.",
            "Wait for them, stop what is not wanted, or raise max_active_runs in the DAG.",
            extras.airflow.run_url(run.dag_id, running[0].run_id),
        )


def _humans(extras: Extras, run: DagRun, tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    if run.state != "running" or not any(task.state in ("awaiting_input", "deferred") for task in tasks):
        return
    for question in extras.ask(Feature.HUMAN_INPUT, partial(extras.airflow.human_inputs, run), ())[:_NAMED]:
        yield Blocker(
            f"The task {question.task_id} waits for a human",
            f"It asks: {question.subject}",
            "Answer it in Airflow, on the task's tab Required Actions.",
            question.url,
        )


def _pools(extras: Extras, run: DagRun, tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    waiting = [task for task in tasks if task.state == "scheduled" and task.pool]
    for name in sorted({task.pool or "" for task in waiting})[:_POOLS]:
        pool = extras.ask(Feature.POOLS, partial(extras.airflow.pool, name), None)
        # A pool without limit has -1 slots.
        if pool is None or pool.slots < 0 or pool.open_slots > 0:
            continue
        names = listed([task.name for task in waiting if task.pool == name], _NAMED)
        if pool.slots == 0:
            yield Blocker(
                f"The pool {name} has no slots", f"{names} cannot start.", "Give the pool slots (Admin, Pools)."
            )
            continue
        holders = extras.ask(Feature.TASKS, partial(extras.airflow.in_pool, name), ())
        others = [f"{task.name} of {dag_id} ({run_id})" for dag_id, run_id, task in holders if run_id != run.run_id]
        yield Blocker(
            f"The pool {name} is full",
            f"{names} cannot start: all {pool.slots} slots of the pool are taken"
            f"{f', by {listed(others, _NAMED)}' if others else ''}.",
            "Wait for them, stop what is not wanted, or give the pool more slots (Admin, Pools).",
        )


def _no_worker(tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    queued = [task.name for task in tasks if task.state == "queued"]
    if queued:
        yield Blocker(
            "No worker takes the tasks",
            f"Airflow's scheduler has handed {listed(queued, _NAMED)} to the executor, and no worker has begun.",
            "Look at the workers: they may be busy, gone, or not listening to the task's queue.",
        )


def _unmet(extras: Extras, run: DagRun, tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    """Ask Airflow itself about a task that it does not start: pools, limits and dates that nothing above knows."""
    waiting = [task for task in tasks if task.state == "scheduled"] or [task for task in tasks if task.state is None]
    for task in waiting[:_ASKED]:
        reasons = extras.ask(Feature.TASKS, partial(extras.airflow.unmet, run, task), ())
        if reasons:
            yield Blocker(
                f"Airflow does not start {task.name}",
                " ".join(reasons),
                "Change that in Airflow, or wait until it has changed.",
            )
            return
