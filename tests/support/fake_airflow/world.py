"""Everything the scripted Airflow knows, and how a run moves on. Knows no HTTP and no dialect.

A run moves on when it is looked at (a GET of the run, a line of /wait), never because time passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.nouns import FAILED, FINISHED, FakeDag, FakeRun, FakeTaskInstance, now, nth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


class World:
    """Everything the server knows. Not thread-safe: the server holds a lock around each request."""

    def __init__(self, dags: Iterable[FakeDag]) -> None:
        self.dags = {dag.dag_id: dag for dag in dags}
        self.paused = {dag_id: dag.paused for dag_id, dag in self.dags.items()}
        self.runs: dict[tuple[str, str], FakeRun] = {}
        self.scripts: dict[str, tuple[str, ...]] = {}
        self.scheduler = "healthy"
        self._dag_looks: dict[str, int] = {}

    def dag(self, dag_id: str, *, look: bool = False) -> FakeDag | None:
        """A DAG, if it has been parsed; a look counts towards `parsed_after`."""
        dag, looks = self.dags.get(dag_id), self._dag_looks.get(dag_id, 0)
        if look:
            self._dag_looks[dag_id] = looks + 1
        return dag if dag and looks >= dag.parsed_after else None

    def bundle_version(self, dag: FakeDag) -> str | None:
        """The bundle version as of the last look at the DAG."""
        return None if dag.bundle_version is None else nth(dag.bundle_version, self._dag_looks.get(dag.dag_id, 0))

    def create(self, run: FakeRun) -> FakeRun:
        """A new run, queued."""
        dag = self.dags[run.dag_id]
        run.queued_at = now()
        run.run_after = run.run_after or now()
        run.bundle_version = self.bundle_version(dag)
        run.instances = [FakeTaskInstance(task) for task in dag.tasks]
        self.runs[run.dag_id, run.run_id] = run
        return run

    def same_date(self, dag_id: str, logical_date: datetime | None) -> FakeRun | None:
        """The DAG's run with this logical date."""
        dated = (run for run in self.runs.values() if run.dag_id == dag_id and run.logical_date is not None)
        return next((run for run in dated if run.logical_date == logical_date), None)

    def runs_of(self, dag_id: str) -> list[FakeRun]:
        """The DAG's runs, oldest first."""
        return [run for run in self.runs.values() if run.dag_id == dag_id]

    def look(self, run: FakeRun) -> FakeRun:
        """Somebody looks at the run: it moves on."""
        dag = self.dags[run.dag_id]
        script = run.script or self.scripts.get(run.dag_id, ())
        if script:
            run.looks += 1
            run.enter(nth(script, run.looks))
        elif run.state not in FINISHED and not self.paused[run.dag_id] and self.scheduler == "healthy":
            run.looks += 1
            if run.looks >= dag.looks:
                self._finish(run, dag)
            elif run.looks > 1:
                run.enter("running")
        return run

    def selected(self, run: FakeRun, *, only_failed: bool, task_ids: Any = None) -> list[FakeTaskInstance]:
        """What a clear is about. `task_ids`: names, or pairs of name and map index; None: every task."""
        return [
            one
            for one in run.instances
            if (task_ids is None or one.task.task_id in task_ids or [one.task.task_id, one.task.map_index] in task_ids)
            and (not only_failed or one.state in FAILED)
        ]

    def clear(self, run: FakeRun, instances: Sequence[FakeTaskInstance], *, reset_run: bool = True) -> None:
        """These task instances are to be run again; without `reset_run` nobody will ever do it (airflow-2.md 6)."""
        for instance in instances:
            instance.reset()
        if reset_run and instances:
            run.attempt, run.looks, run.script = run.attempt + 1, 0, ()
            run.queued_at = now()
            if run.state in FINISHED:
                run.enter("queued")

    def cancel(self, run: FakeRun) -> None:
        """The run is set to failed: what runs fails, what has not begun is skipped."""
        for instance in run.instances:
            if instance.state not in FINISHED:
                instance.end("skipped" if instance.state is None else "failed")
        run.state, run.end_date = "failed", now()
        run.script = (self.dags[run.dag_id].after_cancel,)

    def hold(self, run: FakeRun, state: str) -> None:
        """The run goes to a state and stays there until it is cleared."""
        run.enter(state)
        run.script = (state,)

    def _finish(self, run: FakeRun, dag: FakeDag) -> None:
        run.start_date = run.start_date or now()
        run.settle()
        derived = "failed" if any(instance.state in FAILED for instance in run.instances) else "success"
        run.enter(nth(dag.ends, run.attempt) if dag.ends else derived)
