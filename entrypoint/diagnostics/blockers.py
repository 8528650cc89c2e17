"""Find out why a DAG run does not progress. Send only requests that read.

A run that Airflow has accepted may wait forever without any message
(docs/notes/airflow-2.md#queued-runs, docs/notes/airflow-3.md#runs-that-wait-forever).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from entrypoint.models import RUNNING, Blocker
from entrypoint.permissions import Feature
from entrypoint.text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from entrypoint.diagnostics.optional import OptionalRequests
    from entrypoint.models import Dag, DagRun, Pool, TaskInstance

_MAX_NAMES = 5
"""Runs or task instances that a message names; it only counts the others."""
_MAX_POOLS = 3
"""Pools that are checked, each with one or two requests."""
_MAX_TASKS_CHECKED = 3
"""Task instances whose unmet dependencies are requested."""
_CLOCK_SKEW = timedelta(seconds=5)
"""Minimum distance of a date in the future, because the current time comes from an HTTP header: it
is in whole seconds, and possibly from a gateway's clock.
"""


def find_blockers(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...], now: datetime
) -> tuple[Blocker, ...]:
    """Return the reasons why the run does not progress, the likeliest first.

    Args:
        optional: client for optional requests.
        run: last known state of the run, not ended.
        tasks: last known task instances; empty if this credential may not read them.
        now: current time, to recognise dates in the future.
    """
    if any(task.state in RUNNING for task in tasks):
        return ()
    dag = optional.fetch(Feature.DAG, lambda airflow: airflow.get_dag(run.dag_id), None)
    found = [*_future_dates(run, now), *_stopped_components(optional, tasks)]
    if dag is not None and dag.is_paused:
        found.append(_paused(dag))
    if run.state == "queued" and dag is not None and dag.max_active_runs is not None:
        found += _other_runs(optional, run, dag.max_active_runs)
    found += _human_input(optional, run, tasks)
    found += _full_pools(optional, run, tasks)
    found = found or [*_no_worker(tasks), *_unmet_dependencies(optional, run, tasks)]
    return tuple(found)


def _future_dates(run: DagRun, now: datetime) -> Iterator[Blocker]:
    for name, date in (("run_after", run.run_after), ("logical date", run.logical_date)):
        if date is not None and date > now + _CLOCK_SKEW:
            yield Blocker(
                f"The run's {name} lies in the future",
                f"Airflow starts none of its tasks before {date.isoformat()}.",
                "Wait until then (see the input timeout), or set another date.",
            )
            return


def _stopped_components(
    optional: OptionalRequests, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    health = optional.fetch(Feature.HEALTH, lambda airflow: airflow.health(), None)
    if health is None:
        return
    stopped = [name for name in ("scheduler", "dag_processor") if getattr(health, name) is False]
    if health.triggerer is not True and any(task.state == "deferred" for task in tasks):
        stopped.append("triggerer")
    for name in stopped:
        yield Blocker(
            f"Airflow's {name.replace('_', '-')} is not running",
            "Airflow's health check has received no recent heartbeat from it.",
            "Ask the operators of this Airflow to restart it.",
        )


def _paused(dag: Dag) -> Blocker:
    return Blocker(
        "The DAG is paused",
        f"{dag.dag_id} is paused in Airflow, so none of its tasks start until it is unpaused.",
        "Unpause the DAG in Airflow.",
    )


def _other_runs(optional: OptionalRequests, run: DagRun, allowed: int) -> Iterator[Blocker]:
    running = optional.fetch(Feature.RUNS, lambda airflow: airflow.running_runs(run.dag_id), ())
    if running and len(running) >= allowed:
        yield Blocker(
            "Other runs of the DAG come first",
            f"{run.dag_id} allows {allowed} active runs (max_active_runs), and that many are "
            f"running: {list_names([other.run_id for other in running], _MAX_NAMES)}.",
            "Wait for them, stop those that you do not need, or raise max_active_runs in the DAG.",
            optional.airflow.run_url(run.dag_id, running[0].run_id),
        )


def _human_input(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    if run.state != "running" or not any(
        task.state in ("awaiting_input", "deferred") for task in tasks
    ):
        return
    for request in optional.fetch(
        Feature.HUMAN_INPUT, lambda airflow: airflow.hitl_requests(run), ()
    )[:_MAX_NAMES]:
        yield Blocker(
            f"The task {request.task_id} waits for a human",
            f"It asks: {request.subject}",
            "Answer it in Airflow, on the task's tab Required Actions.",
            request.url,
        )


def _full_pools(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    waiting = [task for task in tasks if task.state == "scheduled" and task.pool]
    for name in sorted({task.pool or "" for task in waiting})[:_MAX_POOLS]:
        pool = _pool(optional, name)
        # An unlimited pool has -1 slots.
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
        holders = _pool_task_instances(optional, name)
        others = [
            f"{task.name} of {dag_id} ({run_id})"
            for dag_id, run_id, task in holders
            if run_id != run.run_id
        ]
        yield Blocker(
            f"The pool {name} is full",
            f"{names} cannot start: all {pool.slots} slots of the pool are taken"
            f"{f', by {list_names(others, _MAX_NAMES)}' if others else ''}.",
            "Wait for them, stop those that you do not need, or give the pool more slots "
            "(Admin, Pools).",
        )


def _no_worker(tasks: tuple[TaskInstance, ...]) -> Iterator[Blocker]:
    queued = [task.name for task in tasks if task.state == "queued"]
    if queued:
        yield Blocker(
            "No worker takes the tasks",
            f"Airflow's scheduler has handed {list_names(queued, _MAX_NAMES)} to the executor, "
            "but no worker has started them.",
            "Check the workers: they may be busy, stopped, or not listening to the task's queue.",
        )


def _unmet_dependencies(
    optional: OptionalRequests, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> Iterator[Blocker]:
    """Report the dependencies that Airflow itself lists for a task that it does not start.

    They include pools, limits and dates that no function above checks.
    """
    waiting = [task for task in tasks if task.state == "scheduled"] or [
        task for task in tasks if task.state is None
    ]
    for task in waiting[:_MAX_TASKS_CHECKED]:
        reasons = _unmet_dependencies_of(optional, run, task)
        if reasons:
            yield Blocker(
                f"Airflow does not start {task.name}",
                " ".join(reasons),
                "Fix this in Airflow, or wait until it changes.",
            )
            return


def _pool(optional: OptionalRequests, name: str) -> Pool | None:
    return optional.fetch(Feature.POOLS, lambda airflow: airflow.pool(name), None)


def _pool_task_instances(
    optional: OptionalRequests, name: str
) -> tuple[tuple[str, str, TaskInstance], ...]:
    return optional.fetch(Feature.TASKS, lambda airflow: airflow.pool_task_instances(name), ())


def _unmet_dependencies_of(
    optional: OptionalRequests, run: DagRun, task: TaskInstance
) -> tuple[str, ...]:
    return optional.fetch(Feature.TASKS, lambda airflow: airflow.unmet_dependencies(run, task), ())
