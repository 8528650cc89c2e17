"""Changes in the fake Airflow besides faults: runs, states, health, permissions."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from tests.support.fake_airflow.runs import FINISHED, FakeRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tests.support.fake_airflow.database import Database
    from tests.support.fake_airflow.models import FakeDag

Feature = Literal[
    "task_instances",
    "task_batch",
    "tasks",
    "logs",
    "xcom",
    "import_errors",
    "pools",
    "hitl",
    "run_list",
    "run_batch",
    "dag_details",
    "parsing",
]
Status = Literal["healthy", "unhealthy"] | None


class Scripting:
    """The methods of `FakeAirflow` by which a test changes its database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()

    def states(self, dag_id: str, states: Iterable[str]) -> None:
        """Set the state at each successive poll of the DAG's runs.

        The last one repeats, and a clear begins again.
        """
        with self._lock:
            self._database.scripts[dag_id] = tuple(states)

    def create_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        conf: dict[str, Any] | None = None,
        note: str | None = None,
        logical_date: datetime | None = None,
        state: str = "queued",
        took: float | None = None,
    ) -> None:
        """Create a run as another user; a finished one has just ended and took `took` seconds."""
        with self._lock:
            run = FakeRun(
                dag_id,
                run_id,
                conf or {},
                note,
                logical_date,
                logical_date,
                logical_date,
                user="other-user",
            )
            self._database.create(run)
            ended = self._database.now()
            if took is not None:
                run.queued_at = run.run_after = run.start_date = ended - timedelta(seconds=took)
            self._database.enter(run, state, ended)
            if state in FINISHED:
                run.end_date = ended

    def delete_run(self, dag_id: str, run_id: str) -> None:
        with self._lock:
            del self._database.runs[dag_id, run_id]

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Set a run's state, which stays until the run is cleared."""
        with self._lock:
            self._database.set_state(self._database.runs[dag_id, run_id], state)

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1
    ) -> None:
        """Set a task instance's state; from then on it ignores its script.

        "ends" is the scripted final state.
        """
        with self._lock:
            run = self._database.runs[dag_id, run_id]
            instance = run.instance(task_id, map_index)
            if instance is None:
                raise KeyError(f"{task_id}[{map_index}]")
            instance.enter_state(state, self._database.now(), run.start_date)
            instance.held = True

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        with self._lock:
            self._database.paused[dag_id] = paused

    def scheduler(self, status: Literal["healthy", "unhealthy"]) -> None:
        """Set the scheduler's health. Without a healthy scheduler no run moves."""
        self.health("scheduler", status)

    def health(
        self, component: Literal["scheduler", "dag_processor", "triggerer"], status: Status
    ) -> None:
        """Set a component's health.

        The last heartbeat of an unhealthy one is now; None has never run.
        """
        with self._lock:
            self._database.health[component] = (status, self._database.now() if status else None)

    def deny(self, *features: Feature, role: str | None = None) -> None:
        """Answer requests for these features with 403, for one role or for all."""
        with self._lock:
            self._database.denied |= {(feature, role) for feature in features}

    def allow(self, *features: Feature) -> None:
        with self._lock:
            self._database.denied = {
                denied for denied in self._database.denied if denied[0] not in features
            }

    def deploy(self, dag: FakeDag) -> None:
        """Deploy a DAG, new, changed or broken, and parse its file."""
        with self._lock:
            self._database.deploy(dag)

    def forget_log_tokens(self) -> None:
        """Refuse the continuation tokens that were issued before."""
        with self._lock:
            self._database.log_tokens.change_key()

    def parse(self, dag_id: str) -> None:
        """Parse a DAG's file, as Airflow does from time to time."""
        with self._lock:
            self._database.parse(dag_id)

    def redefine(self, file: str, *dags: FakeDag) -> None:
        """Deploy a file that defines only these DAGs. Airflow has not parsed it yet."""
        with self._lock:
            self._database.redefined[file] = dags

    def parse_file(self, file: str) -> None:
        """Parse a DAG file, as Airflow does from time to time."""
        with self._lock:
            self._database.parse_file(file)

    def break_file(self, file: str, trace: str) -> None:
        """Add an import error for a file without a known DAG; for others use `FakeDag.broken`."""
        with self._lock:
            self._database.broken_files[file] = trace
