"""Run many scenarios with one real Airflow side by side, because most only wait."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dev.runner import RunnerContext
from tests.airflow.job import TIMEOUT, Job, trigger
from tests.support.peak_memory import MeasuredProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult

_AT_ONCE = 40
"""Threads; more than scenarios, because some wait for others."""


class ScenarioRunner:
    """Runs scenarios with one Airflow. A scenario is a function that returns a step's result.

    `runner["name"]` waits for the result of the scenario of this name; other scenarios may use it.
    `checkout` is a workspace with Airflow's DAG files in a folder of the same name. `triggered` are
    the DAGs of which a step has triggered a run. `measured` are the launchers of the steps whose
    memory is measured, by name.
    """

    def __init__(self, airflow: LocalAirflow, folder: Path) -> None:
        self.airflow = airflow
        self.checkout = folder / "checkout"
        shutil.copytree(airflow.dags, self.checkout / airflow.dags.name)
        self.triggered: set[str] = set()
        self.measured: dict[str, MeasuredProcess] = {}
        self._folder = folder
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._futures: dict[str, Future[StepResult]] = {}

    def __getitem__(self, name: str) -> StepResult:
        return self._futures[name].result(2 * TIMEOUT)

    def begin(self, name: str, scenario: Callable[..., StepResult], *arguments: Any) -> None:
        """Start a scenario. Those that it needs must have been started before."""
        self._futures[name] = self._pool.submit(scenario, self, *arguments)

    def wait_until_done(self, name: str) -> None:
        """Wait for the end of a scenario, whether it succeeded or failed."""
        self._futures[name].exception(2 * TIMEOUT)

    def is_done(self, name: str) -> bool:
        return self._futures[name].done()

    def wait_for_all(self) -> None:
        """Wait for the end of all scenarios, including those that others have started."""
        for name in iter(self._pending, None):
            self.wait_until_done(name)

    def job(self, workspace: Path | None = None, env: Mapping[str, str] | None = None) -> Job:
        """Return a job of a new workflow run, by default in an empty workspace."""
        return Job(self.airflow, workspace or self._new_folder(), env=env)

    def measured_job(self, name: str) -> Job:
        """Return a job with debug logging, which counts requests, and with its memory measured."""
        folder = self._new_folder()
        self.measured[name] = MeasuredProcess(folder / "peak")
        return Job(self.airflow, folder, RunnerContext(debug=True), self.measured[name])

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Trigger a DAG run without the action."""
        self.airflow.wait_for_dag(dag_id)
        with self._turn:
            trigger(self.airflow, dag_id, run_id, conf or {})

    @contextmanager
    def started(
        self, dag_id: str, job: Job | None = None, /, **inputs: str
    ) -> Iterator[RunningStep]:
        """Start a step, and yield it once it has triggered a DAG run.

        Triggers are sequential, because SQLite does not serve parallel ones
        (docs/notes/airflow-3.md#sqlite-and-parallel-requests). The steps wait side by side and poll
        less often than one step alone.
        """
        step = (job or self.job()).step(dag_id, **({"poll_interval": "2"} | inputs))
        with ExitStack() as stack:
            with self._turn:
                running = stack.enter_context(step.start())
                running.wait_for("Follow it at", TIMEOUT)
            self.triggered.add(dag_id)
            yield running

    def run(self, dag_id: str, job: Job | None = None, /, **inputs: str) -> StepResult:
        """Return the result of a step that triggers a DAG run and waits for it."""
        with self.started(dag_id, job, **inputs) as running:
            return running.wait(TIMEOUT)

    def refused(self, dag_id: str, job: Job | None = None, /, **inputs: str) -> StepResult:
        """Return the result of a step whose trigger Airflow refuses."""
        with self._turn:
            return (job or self.job()).run("quick_success", dag_id=dag_id, **inputs)

    def watch(
        self, dag_id: str, run_id: str, job: Job | None = None, /, **inputs: str
    ) -> StepResult:
        """Return the result of a step that waits for an existing DAG run."""
        return (job or self.job()).run(dag_id, trigger="false", run_id=run_id, **inputs)

    def credential(self, name: str) -> dict[str, str]:
        """Return the inputs with this user's credential."""
        return {"username": name, "password": self.airflow.users[name]}

    def _new_folder(self) -> Path:
        folder = self._folder / uuid4().hex
        folder.mkdir()
        return folder

    def _pending(self) -> str | None:
        return next(
            (name for name, scenario in list(self._futures.items()) if not scenario.done()), None
        )
