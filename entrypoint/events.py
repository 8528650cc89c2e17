"""What happens during a step, told as it happens. `report/console.py` writes it to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entrypoint.errors import ActionError
    from entrypoint.models import Blocker, DagRun, Outcome, Report, TaskInstance


class Events(Protocol):
    """Who is told what happens meanwhile."""

    def run_state(self, run: DagRun) -> None:
        """The DAG run was seen; called for every look."""

    def request_failed(self, fault: ActionError, pause: float) -> None:
        """A request failed; it is repeated after `pause` seconds."""

    def tasks_changed(
        self,
        changes: Sequence[tuple[TaskInstance | None, TaskInstance]],
        tasks: Sequence[TaskInstance],
    ) -> None:
        """Task instances changed: each as it was (None: not known) and as it is; and all that are
        known.
        """

    def wide_run_changed(
        self,
        failed: Sequence[TaskInstance],
        done: Literal["ended", "succeeded"],
        count: int,
        total: int,
    ) -> None:
        """A wide run was looked at: those that failed meanwhile, and how many of all have ended, or
        succeeded.
        """

    def skipped_tasks_cleared(self, tasks: Sequence[TaskInstance]) -> None:
        """A run is continued, and these tasks run again although they were skipped."""

    def code_missing(self, lack: ActionError, left: float) -> None:
        """The DAG is not there yet as it was deployed; it is looked at for `left` seconds more."""

    def code_found(self, sentence: str) -> None:
        """It is there, and this tells how that is known."""

    def blocked(self, blocker: Blocker) -> None:
        """The DAG run does not move, and this is why."""

    def optional_failed(self, what: str, error: ActionError) -> None:
        """Something that only explains could not be read."""

    def feature_disabled(self, sentence: str) -> None:
        """A feature that only explains lacks its permission."""


class StepEvents(Events, Protocol):
    """What only the step itself tells."""

    def unencrypted(self, url: str) -> None:
        """The credential travels in clear text to this URL."""

    def connected(self, version: str, url: str) -> None:
        """Airflow of this version answers at this URL."""

    def token_expires_early(self, left: float, timeout: float) -> None:
        """The token expires in `left` seconds, before the timeout (seconds), and cannot be
        renewed.
        """

    def run_found(self, outcome: Outcome) -> None:
        """The DAG run of this step is known."""

    def reported(self, report: Report) -> None:
        """A commit status or deployment on GitHub stands for the DAG run."""

    def usual_duration(self, seconds: float) -> None:
        """The DAG's last successful runs took this many seconds (the median)."""

    def run_cleared(self, run: DagRun) -> None:
        """The DAG run had ended, and runs again."""

    def stopping(self, run_id: str) -> None:
        """The DAG run is about to be stopped."""

    def task_log(self, title: str, lines: Iterable[str], lines_omitted: int) -> None:
        """A task's log was read; `lines_omitted` lines before these were not kept."""
