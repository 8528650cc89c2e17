"""Why a DAG run does not move, as far as Airflow shows it to this credential. It only reads.

A run that Airflow has accepted may wait for ever and say nothing
(docs/notes/airflow-2.md#queued-runs, docs/notes/airflow-3.md#runs-that-wait-forever).
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.models import RUNNING, Blocker
from entrypoint.text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.models import Dag, DagRun, TaskInstance

_MAX_NAMES = 5
"""How many runs or task instances a sentence names before it only counts them."""
_MAX_POOLS = 3
_MAX_TASKS_ASKED = 3
_CLOCK_SKEW = timedelta(seconds=5)
"""How far ahead a date may lie and still be now: the time is a header's, in whole seconds, maybe by
a gateway's clock.
"""


def find_blockers(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...], now: datetime
) -> tuple[Blocker, ...]:
    """Return what keeps the run from moving, the likeliest first; empty if nothing is known.

    Args:
        optional: asks for what only explains.
        run: as last seen, not ended.
        tasks: its task instances as last seen; none if they may not be read.
        now: the time, for dates in the future.
    """
    if any(task.state in RUNNING for task in tasks):
        return ()
    dag = optional.fetch(Feature.DAG, partial(optional.airflow.get_dag, run.dag_id), None)
    found = [*_dates(run, now), *_components(optional, tasks)]
    if dag is not None and dag.is_paused:
        found.append(_paused(dag))
    if run.state == "queued" and dag is not None and dag.max_active_runs is not None:
        found += _other_runs(optional, run, dag.max_active_runs)
    found += _humans(optional, run, tasks)
    found += _pools(optional, run, tasks)
    found = found or [*_no_worker(tasks), *_unmet(optional, run, tasks)]
    return tuple(found)


def _dates(run: DagRun, now: datetime) -> Iterator[Blocker]:
    for name, moment in (("run_after", run.run_after), ("logical date", run.logical_date)):
        if moment is not None and moment > now + _CLOCK_SKEW:
            yield Blocker(
                f"The run's {name} lies in the future",
                f"Airflow starts nothing of it before {moment.isoformat()}.",
                "Wait until then (see the input timeout), or ask for another date.",
            )
            return


def _components(optional: OptionalRequests, tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    health = optional.fetch(Feature.HEALTH, optional.airflow.health, None)
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


def _other_runs(optional: OptionalRequests, run: DagRun, allowed: int) -> Iterator[Blocker]:
    running = optional.fetch(Feature.RUNS, partial(optional.airflow.running_runs, run.dag_id), ())
    if running and len(running) >= allowed:
        yield Blocker(
            "Other runs of the DAG come first",
            f"{run.dag_id} allows {allowed} active runs (max_active_runs), and that many "
            "are running: "
            f"{list_names([other.run_id for other in running], _MAX_NAMES)}.",
            "Wait for them, stop what is not wanted, or raise max_active_runs in the DAG.",
            optional.airflow.run_url(run.dag_id, running[0].run_id),
        )


def _humans(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    if run.state != "running" or not any(
        task.state in ("awaiting_input", "deferred") for task in tasks
    ):
        return
    for question in optional.fetch(
        Feature.HUMAN_INPUT, partial(optional.airflow.hitl_requests, run), ()
    )[:_MAX_NAMES]:
        yield Blocker(
            f"The task {question.task_id} waits for a human",
            f"It asks: {question.subject}",
            "Answer it in Airflow, on the task's tab Required Actions.",
            question.url,
        )


def _pools(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    waiting = [task for task in tasks if task.state == "scheduled" and task.pool]
    for name in sorted({task.pool or "" for task in waiting})[:_MAX_POOLS]:
        pool = optional.fetch(Feature.POOLS, partial(optional.airflow.pool, name), None)
        # A pool without limit has -1 slots.
        if pool is None or pool.slots < 0 or pool.open_slots > 0:
            continue
        names = list_names([task.name for task in waiting if task.pool == name], _MAX_NAMES)
        if pool.slots == 0:
            yield Blocker(
                f"The pool {name} has no slots",
                f"{names} cannot start.",
                "Give the pool slots (Admin, Pools).",
            )
            continue
        holders = optional.fetch(
            Feature.TASKS, partial(optional.airflow.pool_task_instances, name), ()
        )
        others = [
            f"{task.name} of {dag_id} ({run_id})"
            for dag_id, run_id, task in holders
            if run_id != run.run_id
        ]
        yield Blocker(
            f"The pool {name} is full",
            f"{names} cannot start: all {pool.slots} slots of the pool are taken"
            f"{f', by {list_names(others, _MAX_NAMES)}' if others else ''}.",
            "Wait for them, stop what is not wanted, or give the pool more slots (Admin, Pools).",
        )


def _no_worker(tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    queued = [task.name for task in tasks if task.state == "queued"]
    if queued:
        yield Blocker(
            "No worker takes the tasks",
            f"Airflow's scheduler has handed {list_names(queued, _MAX_NAMES)} to the "
            "executor, and no worker has begun.",
            "Look at the workers: they may be busy, gone, or not listening to the task's queue.",
        )


def _unmet(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    """Ask Airflow itself about a task that it does not start: pools, limits and dates that nothing
    above knows.
    """
    waiting = [task for task in tasks if task.state == "scheduled"] or [
        task for task in tasks if task.state is None
    ]
    for task in waiting[:_MAX_TASKS_ASKED]:
        reasons = optional.fetch(
            Feature.TASKS, partial(optional.airflow.unmet_dependencies, run, task), ()
        )
        if reasons:
            yield Blocker(
                f"Airflow does not start {task.name}",
                " ".join(reasons),
                "Change that in Airflow, or wait until it has changed.",
            )
            return
