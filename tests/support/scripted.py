"""Scripts for tests without sockets: what a look returns or raises, one after the other, and who
takes down what is told.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entrypoint.diagnostics.optional import OptionalRequests
from entrypoint.http.retry import Retrier
from entrypoint.report.console import Console
from entrypoint.runners import github as commands
from entrypoint.session import Session
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from entrypoint.errors import ActionError
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Blocker, DagRun, TaskInstance


class Script:
    """A callable that returns what it was given, one after the other, and raises what is an
    exception.
    """

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self.calls = 0

    def __call__(self, *_: object, **__: object) -> Any:
        """Give the next answer."""
        self.calls += 1
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@dataclass
class Recorder:
    """A Progress that takes down what it is told."""

    faults: list[ActionError] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    changes: list[list[tuple[str | None, str, str | None]]] = field(default_factory=list)
    counts: list[tuple[list[str], str, int, int]] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    blockers: list[str] = field(default_factory=list)
    unknown_fields: list[tuple[str, ActionError]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    lacks: list[ActionError] = field(default_factory=list)

    def run_state(self, run: DagRun) -> None:
        """A look."""
        self.states.append(run.state)

    def request_failed(self, fault: ActionError, _pause: float) -> None:
        """A failure."""
        self.faults.append(fault)

    def tasks_changed(
        self,
        changes: Sequence[tuple[TaskInstance | None, TaskInstance]],
        tasks: Sequence[TaskInstance],
    ) -> None:
        """Task instances changed: the state before ("new": none was known), the name, the state
        now; how many are known.
        """
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
        """A wide run was looked at: names of those that failed, and the numbers."""
        self.counts.append(([task.name for task in failed], done, count, total))

    def skipped_tasks_cleared(self, tasks: Sequence[TaskInstance]) -> None:
        """Skipped tasks run again: their names."""
        self.sentences.append(", ".join(task.name for task in tasks))

    def code_missing(self, lack: ActionError, _left: float) -> None:
        """What the DAG lacks."""
        self.lacks.append(lack)

    def code_found(self, sentence: str) -> None:
        """The DAG lacks nothing."""
        self.sentences.append(sentence)

    def blocked(self, blocker: Blocker) -> None:
        """A reason why nothing moves."""
        self.blockers.append(blocker.title)

    def optional_failed(self, what: str, error: ActionError) -> None:
        """Something that could not be read."""
        self.unknown_fields.append((what, error))

    def feature_disabled(self, sentence: str) -> None:
        """A permission that is missing."""
        self.sentences.append(sentence)


@dataclass
class Bench:
    """What a gate's module is handed besides an Airflow: a clock that the test turns, and somebody
    to tell.
    """

    time: VirtualTime = field(default_factory=VirtualTime)
    told: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        self.retrier = Retrier(
            self.time.clock, self.time.sleep, self.told, lambda: 1.0, lambda: 1.0
        )

    def session(self, settings: Settings) -> Session:
        """Return a session with this clock and this retrier."""
        console = Console(self.time.clock, commands)
        session = Session(settings, self.time.clock, self.time.sleep, commands, console)
        session.retrier = self.retrier
        return session

    def optional(
        self, airflow: Any, left: Callable[[], float] = lambda: 1000.0
    ) -> OptionalRequests:
        """Return who asks this Airflow for what only explains."""
        return OptionalRequests(airflow, self.retrier, nullcontext, left)
