"""What a test lets happen in the scripted Airflow, besides faults: the hand of its users, its
scheduler and its owner.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from tests.support.fake_airflow.runs import FINISHED, FakeRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tests.support.fake_airflow.models import FakeDag
    from tests.support.fake_airflow.world import World

Feature = Literal[
    "task_instances",
    "logs",
    "xcom",
    "import_errors",
    "pools",
    "hitl",
    "run_list",
    "dag_details",
    "parsing",
]
Status = Literal["healthy", "unhealthy"] | None


class Scripting:
    """The part of `FakeAirflow` by which a test changes what it knows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.RLock()

    def states(self, dag_id: str, states: Iterable[str]) -> None:
        """What each successive look at a run of the DAG shows, the last one repeating; a clear
        begins anew.
        """
        with self._lock:
            self._world.scripts[dag_id] = tuple(states)

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
        """Somebody else makes a run, or made it: one that is over has just ended, and took so many
        seconds.
        """
        with self._lock:
            run = FakeRun(
                dag_id,
                run_id,
                conf or {},
                note,
                logical_date,
                logical_date,
                logical_date,
                user="somebody",
            )
            self._world.create(run)
            ended = self._world.now()
            if took is not None:
                run.queued_at = run.run_after = run.start_date = ended - timedelta(seconds=took)
            self._world.enter(run, state, ended)
            if state in FINISHED:
                run.end_date = ended

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Somebody deletes a run."""
        with self._lock:
            del self._world.runs[dag_id, run_id]

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Somebody sets a run's state; it stays so until it is cleared."""
        with self._lock:
            self._world.hold(self._world.runs[dag_id, run_id], state)

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1
    ) -> None:
        """A task instance goes to a state ("ends": as its task says), and follows its script no
        longer.
        """
        with self._lock:
            run = self._world.runs[dag_id, run_id]
            instance = run.instance(task_id, map_index)
            if instance is None:
                raise KeyError(f"{task_id}[{map_index}]")
            instance.go(state, self._world.now(), run.start_date)
            instance.held = True

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """Somebody pauses a DAG, or lets it go on."""
        with self._lock:
            self._world.paused[dag_id] = paused

    def scheduler(self, status: Literal["healthy", "unhealthy"]) -> None:
        """Without a healthy scheduler no run moves."""
        self.health("scheduler", status)

    def health(
        self, component: Literal["scheduler", "dag_processor", "triggerer"], status: Status
    ) -> None:
        """A component works, works no longer (its last sign of life is of this moment), or never
        has (None).
        """
        with self._lock:
            self._world.health[component] = (status, self._world.now() if status else None)

    def deny(self, *features: Feature, role: str | None = None) -> None:
        """Users of this role, or all, lack the right to read these: 403 as each Airflow words
        it.
        """
        with self._lock:
            self._world.denied |= {(feature, role) for feature in features}

    def allow(self, *features: Feature) -> None:
        """Nobody lacks the right to read these any longer."""
        with self._lock:
            self._world.denied = {
                denied for denied in self._world.denied if denied[0] not in features
            }

    def deploy(self, dag: FakeDag) -> None:
        """Somebody deploys a DAG, new or changed or broken, and Airflow has just parsed its
        file.
        """
        with self._lock:
            self._world.deploy(dag)

    def parse(self, dag_id: str) -> None:
        """Airflow parses a DAG's file by itself, as it does again and again."""
        with self._lock:
            self._world.parse(dag_id)

    def break_file(self, file: str, trace: str) -> None:
        """A file without any DAG that is known cannot be imported; one with a DAG is
        `FakeDag.broken`.
        """
        with self._lock:
            self._world.broken_files[file] = trace
