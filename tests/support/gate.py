"""The gate in this process, on a clock that only sleeping moves: real code, real sockets, no real waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint.action import Gate
from entrypoint.connection import Connection
from entrypoint.interrupt import Interrupts
from entrypoint.settings import parse_settings
from tests.support.nouns import a_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.github.context import Context
    from entrypoint.models import Outcome
    from tests.support.fake_airflow import FakeAirflow

CONTEXT = a_context(workspace=Path())
HANG = 0.2
"""Real seconds after which the gate gives up a request; a hanging server costs no more."""


@dataclass
class VirtualTime:
    """A clock whose seconds pass only while somebody sleeps. `on_sleep` may do things meanwhile."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    on_sleep: Callable[[float], None] = lambda _: None

    def clock(self) -> float:
        """Return the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep(seconds)


def run_gate(
    airflow: FakeAirflow, *, time: VirtualTime | None = None, context: Context = CONTEXT, **inputs: str
) -> Outcome:
    """Live through one step against this Airflow, as its admin unless the inputs say otherwise."""
    given = {"airflow_url": airflow.url, "username": "admin", "password": "admin", "dag_id": "sales", **inputs}
    settings = parse_settings(given, context.workspace)
    time = time or VirtualTime()
    line = Connection(settings, time.clock, time.sleep, read_timeout=HANG)
    return Gate(settings, context, Interrupts(), line).run()
