"""The live log: a line for each change, and a sign of life when nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.github.commands import annotate, say
from entrypoint.report.wording import origin, took

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.errors import ActionError
    from entrypoint.models import DagRun, Outcome

HEARTBEAT = 60.0
"""Seconds without a change after which the log says that the step is still waiting."""


class Console:
    """Says what happens while it happens. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._shown: str | None = None
        self._spoke_at = clock()

    def unencrypted(self, url: str) -> None:
        """Warn once that the credential travels in clear."""
        annotate(
            "warning",
            "The connection to Airflow is not encrypted",
            f"{url} is http, so whoever is on the way can read the credential. Fine within a cluster; otherwise use https.",
        )

    def connected(self, version: str, url: str) -> None:
        """Airflow was found."""
        self._line(f"Airflow {version} answers at {url}")

    def found(self, outcome: Outcome) -> None:
        """The DAG run of this step is known."""
        if outcome.run is None:
            return
        self._line(f"DAG run {outcome.run.run_id} of {outcome.run.dag_id}: {origin(outcome)}")
        self._line(f"Follow it at {outcome.run_url}")

    def cleared(self, run: DagRun) -> None:
        """The DAG run had ended, and has not any more."""
        self._line(f"The DAG run was {run.state}, but somebody cleared it meanwhile: waiting for its new end")

    def state(self, run: DagRun) -> None:
        """The DAG run was looked at."""
        if run.state != self._shown:
            self._shown = run.state
            self._line(f"The DAG run is {run.state}")
        elif self._clock() - self._spoke_at >= HEARTBEAT:
            self._line(f"The DAG run is still {run.state}")

    def stopping(self, run_id: str) -> None:
        """The DAG run is about to be stopped."""
        self._line(f"Stopping the DAG run {run_id}")

    def fault(self, fault: ActionError, pause: float) -> None:
        """A request failed in passing."""
        self._line(f"{fault.title}. {fault.detail} Trying again in {took(pause)}")

    def no_tasks(self, error: ActionError) -> None:
        """The task instances could not be read; the verdict does not depend on them."""
        self._line(f"The task instances could not be read: {error.title}. {error.detail}")

    def _line(self, text: str) -> None:
        self._spoke_at = self._clock()
        say(f"{_elapsed(self._spoke_at - self._start)}  {text}")


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:>3}:{rest:02}"
