"""Many scenarios in front of one real Airflow at the same time: most of them only wait, so all of
them last as long as one.

It knows how steps are started beside each other; it must not know what they are to show
(`plays.py`).
"""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dev.runner import Context
from tests.airflow.job import PATIENCE, Job, trigger
from tests.support.measured import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.airflow import LocalAirflow
    from dev.runner import RunningStep, StepResult

_AT_ONCE = 40
"""Threads: more than there are plays, since some wait for others."""


class Stage:
    """Plays in front of one Airflow. A play is a function that makes one step live through
    something, and returns its result.

    `stage["name"]` is the result of the play that was begun under this name, as soon as it is over;
    other plays may ask for it as well. `checkout` is a workspace with Airflow's DAG files in a
    folder of the same name. `triggered` are the DAGs of which a step has triggered a run.
    `measured` are the launchers of the steps whose memory is measured, by name.
    """

    def __init__(self, airflow: LocalAirflow, folder: Path) -> None:
        self.airflow = airflow
        self.checkout = folder / "checkout"
        shutil.copytree(airflow.dags, self.checkout / airflow.dags.name)
        self.triggered: set[str] = set()
        self.measured: dict[str, Measured] = {}
        self._folder = folder
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._plays: dict[str, Future[StepResult]] = {}

    def __getitem__(self, name: str) -> StepResult:
        return self._plays[name].result(2 * PATIENCE)

    def begin(self, name: str, play: Callable[..., StepResult], *arguments: Any) -> None:
        """Begin a play, with the stage and these arguments; what it asks for must have been begun
        before.
        """
        self._plays[name] = self._pool.submit(play, self, *arguments)

    def over(self, name: str) -> None:
        """Return when a play is over, well or badly."""
        self._plays[name].exception(2 * PATIENCE)

    def is_over(self, name: str) -> bool:
        """Whether a play is over."""
        return self._plays[name].done()

    def end(self) -> None:
        """Return when every play is over, those that others have begun included."""
        for name in iter(self._pending, None):
            self.over(name)

    def job(self, workspace: Path | None = None) -> Job:
        """A job of a new workflow run, in an empty workspace unless one is given."""
        return Job(self.airflow, workspace or self._new_folder())

    def measured_job(self, name: str) -> Job:
        """A job with step debug logging, so that requests can be counted, whose step's memory is
        `measured[name]`.
        """
        folder = self._new_folder()
        self.measured[name] = Measured(folder / "peak")
        return Job(self.airflow, folder, Context(debug=True), self.measured[name])

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Somebody else triggers a DAG run."""
        self.airflow.wait_for_dag(dag_id)
        with self._turn:
            trigger(self.airflow, dag_id, run_id, conf or {})

    @contextmanager
    def started(
        self, dag_id: str, job: Job | None = None, /, **inputs: str
    ) -> Iterator[RunningStep]:
        """A step that has triggered a DAG run and waits for it.

        One at a time triggers: nobody is to suffer from more
        (docs/notes/airflow-3.md#sqlite-and-parallel-requests). The waiting is done beside each
        other, and less often than one step alone would look.
        """
        step = (job or self.job()).step(dag_id, **({"poll_interval": "2"} | inputs))
        with ExitStack() as stack:
            with self._turn:
                running = stack.enter_context(step.start())
                running.wait_for("Follow it at", PATIENCE)
            self.triggered.add(dag_id)
            yield running

    def run(self, dag_id: str, job: Job | None = None, /, **inputs: str) -> StepResult:
        """The result of a step that triggers a DAG run and waits for it."""
        with self.started(dag_id, job, **inputs) as running:
            return running.wait(PATIENCE)

    def refused(self, dag_id: str, job: Job | None = None, /, **inputs: str) -> StepResult:
        """The result of a step that asks for a DAG run which Airflow does not accept, of a DAG that
        it may not know.
        """
        with self._turn:
            return (job or self.job()).run("quick_success", dag_id=dag_id, **inputs)

    def watch(
        self, dag_id: str, run_id: str, job: Job | None = None, /, **inputs: str
    ) -> StepResult:
        """The result of a step that only waits for a DAG run that is there."""
        return (job or self.job()).run(dag_id, trigger="false", run_id=run_id, **inputs)

    def credential(self, name: str) -> dict[str, str]:
        """The inputs that make a step come as this user."""
        return {"username": name, "password": self.airflow.users[name]}

    def _new_folder(self) -> Path:
        folder = self._folder / uuid4().hex
        folder.mkdir()
        return folder

    def _pending(self) -> str | None:
        return next((name for name, play in list(self._plays.items()) if not play.done()), None)
