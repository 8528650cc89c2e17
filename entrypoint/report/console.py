"""Write the live log: a line for each change, and a regular one if nothing changes."""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import TYPE_CHECKING, Literal

from entrypoint.report.wording import (
    PROGRESS,
    code_of,
    origin,
    progress_of,
    report_line,
    verdict_sentence,
)
from entrypoint.text import duration_suffix, format_duration, list_names, try_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
    from entrypoint.runners.base import Runner

HEARTBEAT_SECONDS = 60.0
"""Seconds without a line after which the log says that the step still waits."""
MAX_NOTICES = 2
"""Annotations about blockers of the run. A step may print ten of a level; see `annotations.py`."""
_MAX_NAMES = 10
"""Failed task instances of a wide run that one poll names."""
_STATE_PHRASES = {
    "running": "is running",
    "success": "succeeded",
    "failed": "failed",
    "skipped": "is skipped",
    "upstream_failed": "cannot run: an upstream task failed",
    "up_for_retry": "failed and will be retried",
    "up_for_reschedule": "waits for its next check",
    "deferred": "is deferred: it waits for an event",
    "awaiting_input": "waits for human input",
    "restarting": "is restarting",
    "removed": "was removed from the DAG",
}
"""Phrase for each state of a task instance.

`scheduled` and `queued` are missing because the log mentions them only as blockers.
"""


_RUN_WORDS = {"queued": "queued", "running": "running", "success": "succeeded", "failed": "failed"}


class Console:
    """Write the events of `StepEvents` as lines of the runner's log.

    Args:
        clock: function that returns monotonic seconds.
        runner: the runner that prints.
    """

    def __init__(self, clock: Callable[[], float], runner: Runner) -> None:
        self._clock = clock
        self._runner = runner
        self._start = clock()
        self._last_status: str | None = None
        self._last_line_at = clock()
        self._running_since = clock()
        self._usual_seconds: float | None = None
        self._progress = ""
        self._notices = [0]
        self._name = ""
        self._totals_at = self._start

    def named(self, dag_id: str) -> Console:
        """Return a console whose lines begin with the name of one of several DAGs."""
        named = copy(self)
        named._name = dag_id  # noqa: SLF001 - its own copy
        return named

    def dags_selected(self, dag_ids: Sequence[str], unmatched: Sequence[str]) -> None:
        """Log the selected DAGs, and the changed files that belong to none."""
        if dag_ids:
            what = "1 DAG" if len(dag_ids) == 1 else f"{len(dag_ids)} DAGs"
            self._line(f"Selected {what}: {list_names(list(dag_ids), _MAX_NAMES)}")
        else:
            self._line("No DAG is selected")
        if unmatched:
            names = list_names(list(unmatched), _MAX_NAMES)
            self._line(f"Changed files that belong to no DAG: {names}")

    def dags_redefined(self, new: Sequence[str], removed: Sequence[str]) -> None:
        """Log the DAGs that the new code of the changed files adds or removes."""
        if removed:
            names = list_names(list(removed), _MAX_NAMES)
            self._line(f"The changed files no longer define {names}: not selected any more")
        if new:
            self._line(f"The changed files also define {list_names(list(new), _MAX_NAMES)}")

    def totals(self, runs: Sequence[Outcome], *, final: bool = False) -> None:
        """Log how many of several DAG runs are where, once a minute and at the end."""
        now = self._clock()
        if not final and now - self._totals_at < HEARTBEAT_SECONDS:
            return
        self._totals_at = now
        counts = Counter(progress_of(run) for run in runs)
        parts = [f"{counts[name]} {name}" for name in PROGRESS if counts[name]]
        what = "1 DAG" if len(runs) == 1 else f"{len(runs)} DAGs"
        self._line(f"{what}: {', '.join(parts)}")

    def commit_chosen(self, sentence: str) -> None:
        """Log which commit the step is about."""
        self._line(sentence)

    def conf_is_large(self, size: int) -> None:
        """Print a notice about a conf that Airflow has to keep in its database."""
        self._runner.annotate(
            "notice",
            "The conf is large",
            f"It has {size:,} bytes. Airflow keeps the conf of each DAG run in its database, and "
            "loads it with the run. Store large data where the DAG can read it, and give a "
            "reference to it in the conf.",
        )

    def unencrypted(self, url: str) -> None:
        """Warn that the credential is sent unencrypted."""
        self._runner.annotate(
            "warning",
            "The connection to Airflow is not encrypted",
            f"{url} uses http, so others on the network can read the credential. Use https, "
            "except within a cluster.",
        )

    def connected(self, version: str, url: str) -> None:
        """Log Airflow's version and URL."""
        self._line(f"Airflow {version} answers at {url}")

    def token_expires_early(self, left: float, timeout: float) -> None:
        """Log that the credential may expire before the timeout and cannot be renewed."""
        self._line(
            f"The token expires in {format_duration(max(left, 0.0))} and cannot be renewed, but "
            f"timeout is {format_duration(timeout)}. If the token expires before the DAG run ends, "
            "this step ends with an error"
        )

    def run_missing(self, run_id: str, left: float) -> None:
        """Log that the DAG run does not exist yet, at first and once a minute."""
        what = f"There is no DAG run {run_id} yet"
        if what != self._last_status or self._clock() - self._last_line_at >= HEARTBEAT_SECONDS:
            self._last_status = what
            self._line(f"{what}. Waiting up to {format_duration(left)} more for it")

    def slot_kept(self, run: DagRun, seconds: float) -> None:
        """Log that a run that was left running counts for `max_parallel`."""
        self._line(
            f"{run.dag_id} still runs, so it counts for max_parallel: waiting up to "
            f"{format_duration(seconds)} for its end"
        )

    def code_missing(self, error: ActionError, left: float) -> None:
        """Log why the deployed code cannot be used yet, if that changed or a minute has passed."""
        what = (
            f"{error.title}: {error.raised[0]}"
            if error.raised
            else f"{error.title}. {error.detail}"
        )
        if what != self._last_status or self._clock() - self._last_line_at >= HEARTBEAT_SECONDS:
            self._last_status = what
            self._line(
                f"{what.removesuffix('.')}. Waiting up to {format_duration(left)} more for new code"
            )

    def code_found(self, sentence: str) -> None:
        """Log that the deployed code was found."""
        self._line(sentence)

    def dry_run(self, report: DryRunReport) -> None:
        """Print the report of a dry run."""
        # Imported here, because other steps do not need it.
        from entrypoint.report.dry_run import plain_report  # noqa: PLC0415

        self._line("Dry run: nothing was triggered, and nothing was changed")
        for line in plain_report(report):
            self._runner.say(f"{'':>8}{line}".rstrip())

    def run_found(self, outcome: Outcome) -> None:
        """Log the DAG run of this step, its origin and its page."""
        if outcome.run is None:
            return
        if self._name:
            self._line(f"{origin(outcome)}: {outcome.run_url}")
        else:
            self._line(f"DAG run {outcome.run.run_id} of {outcome.run.dag_id}: {origin(outcome)}")
        if outcome.taken_over in ("resumed", "restarted"):
            self._line(f"It runs with {code_of(outcome.run)}")
        if outcome.ambiguous:
            self._line(
                "This runner does not distinguish the calls of one reusable workflow. If several "
                "calls run this job, the run may belong to another call. In that case, give each "
                "call its own run_id"
            )
        if not self._name:
            self._line(f"Follow it at {outcome.run_url}")

    def tasks_decided(self, verdict: TaskVerdict, run: DagRun) -> None:
        """Log the result of the required tasks."""
        ends = "" if run.ended else " and goes on"
        self._line(f"{verdict_sentence(verdict)}. The DAG run is {run.state}{ends}")

    def reported(self, report: Report) -> None:
        """Log the commit status or the deployment that shows the DAG run on GitHub."""
        self._line(f"GitHub has the {report_line(report)}")

    def skipped_tasks_cleared(self, tasks: Sequence[TaskInstance]) -> None:
        """Log the skipped tasks that run again because the run is continued."""
        self._line(
            "Running again, because they were skipped at about the time when the run failed or was "
            f"stopped: {list_names([task.name for task in tasks])}. Airflow skips again those that "
            "a branch did not choose"
        )

    def usual_duration(self, seconds: float) -> None:
        """Log the median duration of the DAG's last successful runs."""
        self._usual_seconds = seconds
        self._line(f"The last successful runs of this DAG took {format_duration(seconds)} (median)")

    def run_cleared(self, run: DagRun) -> None:
        """Log that the DAG run had ended and was cleared."""
        self._line(
            f"The DAG run was {run.state}, but was cleared in Airflow; waiting for it to end again"
        )

    def run_state(self, run: DagRun) -> None:
        """Log the state of the DAG run, if it changed or a minute has passed."""
        if run.state != self._last_status:
            self._last_status = run.state
            self._running_since = self._clock()
            if not self._name:
                self._line(f"The DAG run is {run.state}")
            elif run.state != "queued":
                self._line(f"{_RUN_WORDS[run.state]}{duration_suffix(run)}")
        elif not self._name and self._clock() - self._last_line_at >= HEARTBEAT_SECONDS:
            self._line(f"The DAG run is still {run.state}{self._progress_note()}")

    def tasks_changed(
        self,
        changes: Sequence[tuple[TaskInstance | None, TaskInstance]],
        tasks: Sequence[TaskInstance],
    ) -> None:
        """Log each changed task instance, with one line for all instances of a mapped task."""
        if self._name:
            changes = [change for change in changes if change[1].state == "failed"]
        done = sum(task.ended for task in tasks)
        self._progress = f"{done} of {len(tasks)} tasks"
        lines = [
            f"{task.name} {_STATE_PHRASES[task.state]}{_duration_and_try(task)}"
            for before, task in changes
            if task.map_index < 0
            and task.state in _STATE_PHRASES
            and (before is None or _state_and_try(before) != _state_and_try(task))
        ]
        mapped = dict.fromkeys(task.task_id for _, task in changes if task.map_index >= 0)
        lines += [
            _mapped_counts(name, [task for task in tasks if task.task_id == name])
            for name in mapped
        ]
        for line in lines[:-1]:
            self._line(line)
        for line in lines[-1:]:
            self._line(line if self._name else f"{line}{self._progress_note()}")

    def wide_run_changed(
        self,
        failed: Sequence[TaskInstance],
        done: Literal["ended", "succeeded"],
        count: int,
        total: int,
    ) -> None:
        """Log the failed task instances of a wide run, and a line with the counts."""
        for task in failed[:_MAX_NAMES]:
            self._line(f"{task.name} {_STATE_PHRASES['failed']}{_duration_and_try(task)}")
        if len(failed) > _MAX_NAMES:
            self._line(f"{len(failed) - _MAX_NAMES} more failed")
        self._progress = ""
        progress = f"{count} of {total} tasks"
        self._line(
            f"{progress} {'have ended' if done == 'ended' else 'succeeded'}{self._progress_note()}"
        )
        self._progress = progress

    def blocked(self, blocker: Blocker) -> None:
        """Log why the DAG run makes no progress; the first MAX_NOTICES also as annotations."""
        if self._notices[0] < MAX_NOTICES:
            self._notices[0] += 1
            where = f"\n{blocker.url}" if blocker.url else ""
            self._runner.annotate(
                "notice", f"Waiting: {blocker.title}", f"{blocker.detail}\n{blocker.hint}{where}"
            )
        self._line(f"{blocker.title}. {blocker.detail}")

    def stopping(self, run_id: str) -> None:
        """Log that the DAG run is about to be stopped."""
        self._line(f"Stopping the DAG run {run_id}")

    def request_failed(self, error: ActionError, pause: float) -> None:
        """Log a failed request that is retried after `pause` seconds."""
        self._line(f"{error.title}. {error.detail} Trying again in {format_duration(pause)}")

    def optional_failed(self, what: str, error: ActionError) -> None:
        """Log that an optional request failed."""
        self._line(f"Could not read what is needed for {what}. {error.title}: {error.detail}")

    def feature_disabled(self, sentence: str) -> None:
        """Log that an optional feature is disabled, and why."""
        self._line(sentence)

    def task_lines(self, name: str, lines: Sequence[str]) -> None:
        """Print new lines of a task's log, each behind the task's name."""
        subject = f"{self._name}: {name}" if self._name else name
        self._last_line_at = self._clock()
        self._runner.relay(f"{subject} | {line}" for line in lines)

    def unshown_logs(self, sentence: str) -> None:
        """Log that logs of tasks, or lines of them, are not shown, and why."""
        self._line(sentence)

    def task_log(self, title: str, lines: Iterable[str], lines_omitted: int) -> None:
        """Print the log of a task in a fold; the runner ignores commands in it."""
        with self._runner.group(f"{self._name}: {title}" if self._name else title):
            if lines_omitted:
                self._runner.say(
                    f"({lines_omitted} earlier lines are left out; the input log_lines sets how "
                    "many are shown)"
                )
            self._runner.relay(lines)

    def _progress_note(self) -> str:
        """Return the progress: task counts, and the elapsed part of the usual duration."""
        parts = [self._progress] if self._progress else []
        if self._usual_seconds and self._last_status == "running":
            percent = 100 * (self._clock() - self._running_since) / self._usual_seconds
            parts.append(f"{percent:.0f} % of the usual {format_duration(self._usual_seconds)}")
        return f" · {', '.join(parts)}" if parts else ""

    def _line(self, text: str) -> None:
        self._last_line_at = self._clock()
        subject = f"{self._name}: " if self._name else ""
        self._runner.say(f"{_elapsed(self._last_line_at - self._start)}  {subject}{text}")


def _state_and_try(task: TaskInstance) -> tuple[str | None, int]:
    return task.state, task.try_number


def _duration_and_try(task: TaskInstance) -> str:
    after = (
        f" after {format_duration(task.duration)}"
        if task.duration and task.state in ("success", "failed", "up_for_retry")
        else ""
    )
    return f"{after}{try_label(task)}"


def _mapped_counts(name: str, instances: list[TaskInstance]) -> str:
    """Count the instances of a mapped task by state."""
    counts = Counter(task.state or "not started" for task in instances)
    return (
        f"{name}: {len(instances)} mapped, "
        f"{', '.join(f'{count} {state}' for state, count in sorted(counts.items()))}"
    )


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:>3}:{rest:02}"
