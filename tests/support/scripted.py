"""Scripts for tests without sockets: what a look returns or raises, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entrypoint.errors import AirflowUnreachable, UnexpectedAnswer
    from entrypoint.models import DagRun


class Script:
    """A callable that returns what it was given, one after the other, and raises what is an exception."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self.calls = 0

    def __call__(self, *_: object) -> Any:
        """Give the next answer."""
        self.calls += 1
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@dataclass
class Watcher:
    """Takes down what the gate tells."""

    faults: list[AirflowUnreachable | UnexpectedAnswer] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def state(self, run: DagRun) -> None:
        """A look."""
        self.states.append(run.state)

    def fault(self, fault: AirflowUnreachable | UnexpectedAnswer, _pause: float) -> None:
        """A failure."""
        self.faults.append(fault)
