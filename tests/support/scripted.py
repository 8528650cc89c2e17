"""Scripted callables and recorders for tests without sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from entrypoint.deadline import Deadline
from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.http.retry import Retrier
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import Session
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entrypoint.errors import ActionError
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Blocker, DagRun, TaskInstance


class ScriptedCall:
    """A callable that returns these values in order, and raises the exceptions among them."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self.calls = 0

    def __call__(self, *_: object, **__: object) -> Any:
        self.calls += 1
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@dataclass
class RecordingProgress:
    """A `Progress` that records its calls."""

    faults: list[ActionError] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    changes: list[list[tuple[str | None, str, str | None]]] = field(default_factory=list)
    counts: list[tuple[list[str], str, int, int]] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    blockers: list[str] = field(default_factory=list)
    optional_errors: list[tuple[str, ActionError]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    missing_code: list[ActionError] = field(default_factory=list)
    missing_runs: list[str] = field(default_factory=list)

    def run_state(self, run: DagRun) -> None:
        self.states.append(run.state)

    def request_failed(self, fault: ActionError, _pause: float) -> None:
        self.faults.append(fault)

    def tasks_changed(
        self,
        changes: Sequence[tuple[TaskInstance | None, TaskInstance]],
        tasks: Sequence[TaskInstance],
    ) -> None:
        """Record old state ("new" if unknown), name and new state, and the number of tasks."""
        self.changes.append(
            [
                ("new" if before is None else before.state, task.name, task.state)
                for before, task in changes
            ]
        )
        self.known.append(len(tasks))

    def wide_run_changed(
        self, failed: Sequence[TaskInstance], done: str, count: int, total: int
    ) -> None:
        self.counts.append(([task.name for task in failed], done, count, total))

    def skipped_tasks_cleared(self, tasks: Sequence[TaskInstance]) -> None:
        self.sentences.append(", ".join(task.name for task in tasks))

    def run_missing(self, run_id: str, _left: float) -> None:
        self.missing_runs.append(run_id)

    def slot_kept(self, run: DagRun, _seconds: float) -> None:
        self.sentences.append(run.dag_id)

    def code_missing(self, lack: ActionError, _left: float) -> None:
        self.missing_code.append(lack)

    def code_found(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def blocked(self, blocker: Blocker) -> None:
        self.blockers.append(blocker.title)

    def optional_failed(self, what: str, error: ActionError) -> None:
        self.optional_errors.append((what, error))

    def feature_disabled(self, sentence: str) -> None:
        self.sentences.append(sentence)


@dataclass
class Harness:
    """What a module under test needs besides an Airflow: clock, retrier and recorder."""

    time: VirtualTime = field(default_factory=VirtualTime)
    progress: RecordingProgress = field(default_factory=RecordingProgress)

    def __post_init__(self) -> None:
        self.retrier = Retrier(
            self.time.clock, self.time.sleep, self.progress, lambda: 1.0, lambda: 1.0
        )

    def session(self, settings: Settings) -> Session:
        console = Console(self.time.clock, commands)
        session = Session(settings, self.time.clock, self.time.sleep, commands, console)
        session.retrier = self.retrier
        return session

    def deadline(self, seconds: float) -> Deadline:
        return Deadline.after(self.time.clock, seconds)

    def optional(self, airflow: Any, deadline: Deadline | None = None) -> OptionalRequests:
        """Return optional requests to a stub, which need not know deadlines."""
        airflow = SimpleNamespace() if airflow is None else airflow
        if not hasattr(airflow, "within"):
            airflow.within = lambda _: airflow
        return OptionalRequests(airflow, self.retrier).within(deadline or self.deadline(1000))
