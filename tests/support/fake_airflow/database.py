"""The fake Airflow's data, and how a run moves on. Must not know HTTP or an API version.

A run moves on when it is polled (a GET of the run, a line of /wait), never by time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.models import FakeDag, nth
from tests.support.fake_airflow.runs import ACTIVE, FAILED, FINISHED, FakeRun, FakeTaskInstance
from tests.support.fake_airflow.tokens import LogTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

TIMEOUT = "timeout"
_PARSED = datetime(2026, 11, 20, 9, 52, 17, 555773, UTC)


class Database:
    """All data of the server. Not thread-safe: the server holds a lock around each request.

    Args:
        dags: the DAGs
        clock: time for all dates
        pools: name to number of slots
        not_started: state that a dagrun_timeout gives task instances that had not begun
    """

    def __init__(
        self,
        dags: Iterable[FakeDag],
        *,
        clock: Callable[[], datetime],
        pools: Mapping[str, int] | None = None,
        not_started: str | None = None,
    ) -> None:
        self.dags = {dag.dag_id: dag for dag in dags}
        self.paused = {dag_id: dag.paused for dag_id, dag in self.dags.items()}
        self.pools = {"default_pool": 128, **(pools or {})}
        self.runs: dict[tuple[str, str], FakeRun] = {}
        self.scripts: dict[str, str | tuple[str, ...]] = {}
        self.health: dict[str, tuple[str | None, datetime | None]] = {}
        self.denied: set[tuple[str, str | None]] = set()
        self.broken_files: dict[str, str] = {}
        self.now = clock
        self.log_tokens = LogTokens()
        self._untouched = not_started
        self._dag_polls: dict[str, int] = {}
        self._parsings: dict[str, int] = {}
        self.redefined: dict[str, tuple[FakeDag, ...]] = {}

    def dag(self, dag_id: str, *, poll: bool = False) -> FakeDag | None:
        """Return a DAG if it has been parsed; `poll` counts towards `parsed_after`."""
        dag, polls = self.dags.get(dag_id), self._dag_polls.get(dag_id, 0)
        if poll:
            self._dag_polls[dag_id] = polls + 1
        return dag if dag and polls >= dag.parsed_after else None

    def listed_dags(self, tags: Iterable[str], *, stale: bool) -> list[FakeDag]:
        """Return the parsed DAGs with one of these tags (none: all), ordered by their ids.

        Args:
            tags: names of tags
            stale: whether to return stale DAGs too
        """
        wanted = set(tags)
        return [
            dag
            for dag in (self.dag(dag_id) for dag_id in sorted(self.dags))
            if dag and (stale or not dag.is_stale) and (not wanted or wanted & set(dag.tags))
        ]

    def bundle_version(self, dag: FakeDag) -> str | None:
        """Return the bundle version as of the last poll of the DAG."""
        return (
            None
            if dag.bundle_version is None
            else nth(dag.bundle_version, self._dag_polls.get(dag.dag_id, 0))
        )

    def deploy(self, dag: FakeDag) -> None:
        """Store a new or changed DAG, and parse its file."""
        self.dags[dag.dag_id] = dag
        self.paused.setdefault(dag.dag_id, dag.paused)
        self.parse(dag.dag_id)

    def parse(self, dag_id: str) -> None:
        """Parse a DAG's file; a broken file does not count as parsed."""
        if not self.dags[dag_id].broken:
            self._parsings[dag_id] = self._parsings.get(dag_id, 0) + 1

    def parse_file(self, file: str) -> None:
        """Parse a file. A DAG that it no longer defines stays as it was."""
        known = tuple(dag for dag in self.dags.values() if dag.relative_file == file)
        for dag in self.redefined.get(file, known):
            if dag.dag_id in self.dags:
                self.parse(dag.dag_id)
            else:
                self.deploy(dag)

    def parsed_at(self, dag_id: str) -> datetime:
        """Return when the DAG's file was last parsed; each parsing adds one second."""
        return _PARSED + timedelta(seconds=self._parsings.get(dag_id, 0))

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of each broken file."""
        return self.broken_files | {
            dag.relative_file: dag.broken
            for dag in self.dags.values()
            if dag.broken and not dag.deleted
        }

    def unhealthy(self, component: str) -> bool:
        """Tell whether a component has stopped."""
        return self.health[component][0] == "unhealthy"

    def create(self, run: FakeRun) -> FakeRun:
        """Add a queued run."""
        dag, at = self.dags[run.dag_id], self.now()
        run.queued_at = at
        run.run_after = run.run_after or at
        run.bundle_version = self.bundle_version(dag)
        run.instances = [FakeTaskInstance(task, at) for task in dag.tasks]
        self.runs[run.dag_id, run.run_id] = run
        return run

    def same_date(self, dag_id: str, logical_date: datetime | None) -> FakeRun | None:
        """Return the DAG's run with this logical date."""
        dated = (
            run
            for run in self.runs.values()
            if run.dag_id == dag_id and run.logical_date is not None
        )
        return next((run for run in dated if run.logical_date == logical_date), None)

    def runs_of(self, dag_id: str, run_id: str = "~") -> list[FakeRun]:
        """Return the runs of a DAG, or one of them, oldest first; `~` is any."""
        return [
            run
            for run in self.runs.values()
            if dag_id in {"~", run.dag_id} and run_id in {"~", run.run_id}
        ]

    def instances(self, runs: Iterable[FakeRun]) -> list[tuple[FakeRun, FakeTaskInstance]]:
        """Return the task instances of these runs, each with its run."""
        return [(run, instance) for run in runs for instance in run.instances]

    def batch(
        self, body: Mapping[str, Any], *, none: str | None
    ) -> list[tuple[FakeRun, FakeTaskInstance]]:
        """Return the task instances in the body of a batch request; `none` is a missing state."""
        states = body.get("state")
        return [
            (run, one)
            for run, one in self.instances(self.runs.values())
            if run.dag_id in body["dag_ids"]
            and run.run_id in body["dag_run_ids"]
            and one.task.task_id in body.get("task_ids", (one.task.task_id,))
            and (states is None or (one.state or none) in states)
        ]

    def slots(self, pool: str) -> dict[str, int]:
        """Return the slots of a pool by the state of the task instances that occupy them."""
        taken: dict[str, int] = dict.fromkeys(("running", "queued", "scheduled", "deferred"), 0)
        for _, instance in self.instances(self.runs.values()):
            if instance.task.pool == pool and instance.state in taken:
                taken[instance.state] += instance.task.pool_slots
        return taken

    def free_slots(self, pool: str) -> int:
        """Return the number of free slots; 0 if there is no such pool."""
        taken = self.slots(pool)
        return self.pools.get(pool, 0) - taken["running"] - taken["queued"]

    def poll_batch(self, body: Mapping[str, Any]) -> list[FakeRun]:
        """Poll the newest runs of the DAGs in the body of a batch request."""
        assert body.get("order_by") == "-id", "the fake knows no other order"
        newest = [run for run in reversed(self.runs.values()) if run.dag_id in body["dag_ids"]]
        return [self.poll(run) for run in newest[: body["page_limit"]]]

    def poll_listed(self, runs: Iterable[FakeRun], order: str) -> None:
        """Poll the runs of a list, newest first, which replaces a poll of one run."""
        if order == "-id":
            for run in runs:
                self.poll(run)

    def poll(self, run: FakeRun) -> FakeRun:
        """Let the run move on, because a client polled it."""
        dag, at = self.dags[run.dag_id], self.now()
        script = run.script or self.scripts.get(run.dag_id, ())
        if script:
            run.polls += 1
            self.enter(run, nth(script, run.polls), at)
        elif run.state not in FINISHED and self._may_move(run, dag):
            run.polls += 1
            if run.polls >= dag.polls and not self._too_early(run.logical_date):
                self._finish(run, dag, at)
            else:
                self.enter(run, "running" if run.polls >= dag.starts else run.state, at)
        return run

    def enter(self, run: FakeRun, state: str, at: datetime) -> None:
        """Put the run into a state, and its task instances into it or their scripted states."""
        changed, run.state = state != run.state, state
        if state == "queued":
            if changed:
                run.queued_at, run.start_date, run.end_date = at, None, None
            self._follow(run, at)
        elif state == "running":
            run.start_date, run.end_date = run.start_date or at, None
            if self._too_early(run.logical_date):
                return  # its tasks are never scheduled
            if changed:
                for instance in [i for i in run.instances if i.state is None and not i.task.states][
                    :1
                ]:
                    self._enter_state(run, instance, "running", at)
            self._follow(run, at)
        elif changed:
            run.start_date = run.start_date or at
            self._follow(run, at)
            run.settle(at)

    def selected(
        self, run: FakeRun, *, only_failed: bool, task_ids: Any = None
    ) -> list[FakeTaskInstance]:
        """Return the task instances of a clear.

        `task_ids`: ids, or pairs of id and map index; None: all.
        """
        return [
            one
            for one in run.instances
            if (
                task_ids is None
                or one.task.task_id in task_ids
                or [one.task.task_id, one.task.map_index] in task_ids
            )
            and (not only_failed or one.state in FAILED)
        ]

    def clear(
        self, run: FakeRun, instances: Sequence[FakeTaskInstance], *, reset_run: bool = True
    ) -> None:
        """Clear these task instances; without `reset_run` the scheduler never runs them.

        Measured: docs/notes/airflow-2.md#cleared-runs.
        """
        at = self.now()
        for instance in instances:
            instance.reset(at)
        if reset_run and instances:
            run.attempt, run.polls, run.script = run.attempt + 1, 0, ()
            run.queued_at = at
            if run.state in FINISHED:
                self.enter(run, "queued", at)

    def cancel(self, run: FakeRun) -> None:
        """Set the run to failed: active task instances fail, others are skipped."""
        at = self.now()
        for instance in run.instances:
            if instance.state not in FINISHED:
                instance.enter_state("failed" if instance.state in ACTIVE else "skipped", at)
        run.state, run.end_date = "failed", at
        run.script = (self.dags[run.dag_id].after_cancel,)

    def set_state(self, run: FakeRun, state: str) -> None:
        """Put the run into a state that stays until it is cleared."""
        self.enter(run, state, self.now())
        run.script = (state,)

    def unmet_dependencies(
        self, run: FakeRun, instance: FakeTaskInstance
    ) -> Iterator[tuple[str, str]]:
        """Yield name and message of each unmet dependency of a task instance."""
        task, state = instance.task, instance.state
        if self.paused[run.dag_id]:
            yield "Dag Not Paused", f"Task's DAG '{run.dag_id}' is paused."
        if run.state != "running":
            text = (
                "Task instance's dagrun was not in the 'running' state but in the state "
                f"'{run.state}'."
            )
            yield "Dagrun Running", text
        if task.pool not in self.pools:
            yield (
                "Pool Slots Available",
                f"Tasks using non-existent pool '{task.pool}' will not be scheduled",
            )
        elif (free := self.free_slots(task.pool)) < task.pool_slots:
            text = (
                f"Not scheduling since there are {free} open slots in pool {task.pool} and "
                f"require {task.pool_slots}"
            )
            yield "Pool Slots Available", f"{text} pool slots"
        if state is None:
            yield "Task Instance State", "Task is in the 'None' state."

    def _may_move(self, run: FakeRun, dag: FakeDag) -> bool:
        """Tell whether the scheduler would work on a run."""
        others = sum(one.state == "running" for one in self.runs_of(run.dag_id) if one is not run)
        full = run.state == "queued" and others >= dag.max_active_runs
        return not (
            self.paused[run.dag_id]
            or self.unhealthy("scheduler")
            or full
            or self._too_early(run.run_after)
        )

    def _too_early(self, moment: datetime | None) -> bool:
        return moment is not None and moment > self.now()

    def _follow(self, run: FakeRun, at: datetime) -> None:
        """Put every task instance into its scripted state at this poll."""
        for instance in run.instances:
            state = instance.task.states.get(run.polls, instance.wants)
            if state is not None and not instance.held and instance.state not in FINISHED:
                self._enter_state(run, instance, state, at)

    def _enter_state(
        self, run: FakeRun, instance: FakeTaskInstance, state: str, at: datetime
    ) -> None:
        """Put a task instance into a state, or leave it scheduled if its pool has no free slot."""
        pool, instance.wants = instance.task.pool, None
        begins = state in {"queued", "running"} and instance.state not in {"queued", *ACTIVE}
        if begins and pool != "default_pool" and self.free_slots(pool) < instance.task.pool_slots:
            state, instance.wants = "scheduled", state
        instance.enter_state(state, at, run.start_date)

    def _finish(self, run: FakeRun, dag: FakeDag, at: datetime) -> None:
        ends = nth(dag.ends, run.attempt) if dag.ends else None
        run.start_date = run.start_date or at
        self._follow(run, at)
        if ends == TIMEOUT:
            run.time_out(at, dag.dag_run_timeout or 0, self._untouched)
            return
        run.settle(at)
        run.state = ends or (
            "failed" if any(one.state in FAILED for one in run.instances) else "success"
        )
