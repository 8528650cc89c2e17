"""The events of a step, sent as they happen. `report/console.py` writes them to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entrypoint.errors import ActionError
    from entrypoint.models import (
        Blocker,
        DagRun,
        DryRunReport,
        Outcome,
        Report,
        TaskInstance,
        TaskVerdict,
    )


class Events(Protocol):
    """Listener for the events of a step."""

    def run_state(self, run: DagRun) -> None:
        """Handle the state of the DAG run. Called for each poll and each streamed state."""

    def request_failed(self, error: ActionError, pause: float) -> None:
        """Handle a failed request, which is retried after `pause` seconds."""

    def tasks_changed(
        self,
        changes: Sequence[tuple[TaskInstance | None, TaskInstance]],
        tasks: Sequence[TaskInstance],
    ) -> None:
        """Handle changed task instances.

        Args:
            changes: the task instances before (None: unknown) and after the change.
            tasks: all known task instances.
        """

    def wide_run_changed(
        self,
        failed: Sequence[TaskInstance],
        done: Literal["ended", "succeeded"],
        count: int,
        total: int,
    ) -> None:
        """Handle progress of a wide run, whose task instances are not all read.

        Args:
            failed: the task instances that failed since the last event.
            done: what `count` counts.
            count: number of task instances that ended or succeeded.
            total: number of all task instances.
        """

    def skipped_tasks_cleared(self, tasks: Sequence[TaskInstance]) -> None:
        """Handle a resumed run that also runs these skipped tasks again."""

    def run_missing(self, run_id: str, left: float) -> None:
        """Handle a DAG run that does not exist yet. Polls go on for `left` seconds."""

    def slot_kept(self, run: DagRun, seconds: float) -> None:
        """Handle a run that was left running. Others wait up to `seconds` for its end."""

    def code_missing(self, error: ActionError, left: float) -> None:
        """Handle a DAG without the expected code. Polls go on for `left` seconds."""

    def code_found(self, sentence: str) -> None:
        """Handle a DAG with the expected code. The sentence names the evidence."""

    def blocked(self, blocker: Blocker) -> None:
        """Handle a DAG run that does not move for this reason."""

    def optional_failed(self, what: str, error: ActionError) -> None:
        """Handle a failed optional request."""

    def feature_disabled(self, sentence: str) -> None:
        """Handle an optional feature that is disabled because Airflow or a gateway refuses it."""


class StepEvents(Events, Protocol):
    """Listener that also receives the events that only the step sends."""

    def named(self, dag_id: str) -> StepEvents:
        """Return a listener for the events of one of several DAGs."""

    def dags_selected(self, dag_ids: Sequence[str], unmatched: Sequence[str]) -> None:
        """Handle the selection of several DAGs.

        Args:
            dag_ids: the DAGs, in the order of the input.
            unmatched: changed files that belong to no DAG.
        """

    def dags_redefined(self, new: Sequence[str], removed: Sequence[str]) -> None:
        """Handle the DAGs that the new code of changed files adds to the selection, or removes."""

    def totals(self, runs: Sequence[Outcome], *, final: bool = False) -> None:
        """Handle the outcomes of several DAG runs, after each poll and at the end."""

    def commit_chosen(self, sentence: str) -> None:
        """Handle a sentence about the commit of the step, which users may expect to be another."""

    def conf_is_large(self, size: int) -> None:
        """Handle a conf of this size in bytes, which is allowed, but a burden for Airflow."""

    def unencrypted(self, url: str) -> None:
        """Handle a credential that travels to this URL without encryption."""

    def connected(self, version: str, url: str) -> None:
        """Handle a connection to an Airflow of this version at this URL."""

    def token_expires_early(self, left: float, timeout: float) -> None:
        """Handle a token that expires before the timeout and cannot be renewed.

        Args:
            left: seconds until the token expires.
            timeout: seconds of the step's timeout.
        """

    def dry_run(self, report: DryRunReport) -> None:
        """Handle the report of a dry run."""

    def run_found(self, outcome: Outcome) -> None:
        """Handle the DAG run of this step, whether new or existing."""

    def tasks_decided(self, verdict: TaskVerdict, run: DagRun) -> None:
        """Handle the result of the required tasks, and the run as it was then."""

    def reported(self, report: Report) -> None:
        """Handle a commit status or deployment on GitHub for the DAG run."""

    def usual_duration(self, seconds: float) -> None:
        """Handle the median duration of the DAG's last successful runs, in seconds."""

    def run_cleared(self, run: DagRun) -> None:
        """Handle an ended DAG run that was cleared and runs again."""

    def stopping(self, run_id: str) -> None:
        """Handle the start of a stop of the DAG run."""

    def task_lines(self, name: str, lines: Sequence[str]) -> None:
        """Handle new lines in the log of a task that may still run.

        Args:
            name: name of the task instance.
            lines: the lines, masked.
        """

    def unshown_logs(self, sentence: str) -> None:
        """Handle logs of tasks, or lines of them, that are not shown; the sentence says why."""

    def task_log(self, title: str, lines: Iterable[str], lines_omitted: int) -> None:
        """Handle the last lines of a task's log, after `lines_omitted` others."""
