"""The live log: a line for each change, and a sign of life when nothing changes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from entrypoint.report.wording import origin, report_line
from entrypoint.text import format_duration, list_names, try_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from entrypoint.errors import ActionError
    from entrypoint.models import Blocker, DagRun, Outcome, Report, TaskInstance
    from entrypoint.runners.base import Runner

HEARTBEAT_SECONDS = 60.0
"""Seconds without a change after which the log says that the step is still waiting."""
MAX_NOTICES = 2
"""Annotations about what keeps the run from moving: a step has ten in all (`annotations.py` has the
others).
"""
_MAX_NAMES = 10
"""Failed task instances of a wide run that are named in one look."""
_STATE_PHRASES = {
    "running": "is running",
    "success": "succeeded",
    "failed": "failed",
    "skipped": "is skipped",
    "upstream_failed": "cannot run: a task before it failed",
    "up_for_retry": "failed and will be tried again",
    "up_for_reschedule": "waits for its next look",
    "deferred": "is deferred: it waits for an event",
    "awaiting_input": "waits for a human's input",
    "restarting": "is restarting",
    "removed": "was removed from the DAG",
}
"""What a line says of a task instance's state. `scheduled` and `queued` are said only when nothing
moves.
"""


class Console:
    """Says what happens while it happens, to whoever runs the step. `clock` gives monotonic
    seconds.
    """

    def __init__(self, clock: Callable[[], float], runner: Runner) -> None:
        self._clock = clock
        self._runner = runner
        self._start = clock()
        self._shown: str | None = None
        self._spoke_at = clock()
        self._running_since = clock()
        self._usual: float | None = None
        self._progress = ""
        self._notices = 0

    def unencrypted(self, url: str) -> None:
        """Warn once that the credential travels in clear."""
        self._runner.annotate(
            "warning",
            "The connection to Airflow is not encrypted",
            f"{url} is http, so whoever is on the way can read the credential. Fine within "
            "a cluster; otherwise use https.",
        )

    def connected(self, version: str, url: str) -> None:
        """Airflow was found."""
        self._line(f"Airflow {version} answers at {url}")

    def token_expires_early(self, left: float, timeout: float) -> None:
        """The credential may die before the time is over, and cannot be renewed."""
        self._line(
            f"The token expires in {format_duration(max(left, 0.0))} and cannot be "
            f"renewed, timeout is {format_duration(timeout)}: a DAG run that "
            "takes longer than the token lives ends this step with an error"
        )

    def code_missing(self, lack: ActionError, left: float) -> None:
        """The DAG is not there yet as it was deployed."""
        what = f"{lack.title}: {lack.raised[0]}" if lack.raised else f"{lack.title}. {lack.detail}"
        if what != self._shown or self._clock() - self._spoke_at >= HEARTBEAT_SECONDS:
            self._shown = what
            self._line(
                f"{what.removesuffix('.')}. Looking for new code for {format_duration(left)} more"
            )

    def code_found(self, sentence: str) -> None:
        """It is there."""
        self._line(sentence)

    def run_found(self, outcome: Outcome) -> None:
        """The DAG run of this step is known."""
        if outcome.run is None:
            return
        self._line(f"DAG run {outcome.run.run_id} of {outcome.run.dag_id}: {origin(outcome)}")
        if outcome.ambiguous:
            self._line(
                "This runner does not tell the calls of one reusable workflow apart: if "
                "this job is one of several, the run "
                "may be another call's. Then give each call a run_id of its own"
            )
        self._line(f"Follow it at {outcome.run_url}")

    def reported(self, report: Report) -> None:
        """Something on GitHub stands for the DAG run."""
        self._line(f"GitHub has the {report_line(report)}")

    def skipped_tasks_cleared(self, tasks: Sequence[TaskInstance]) -> None:
        """The run is continued, and what was skipped when it failed or was stopped runs again."""
        self._line(
            f"Skipped when the run failed or was stopped, or at about that time, so run again: "
            f"{list_names([task.name for task in tasks])}. What a branch did not choose, "
            "Airflow skips once more"
        )

    def usual_duration(self, seconds: float) -> None:
        """The DAG's last successful runs took that long."""
        self._usual = seconds
        self._line(f"The last successful runs of this DAG took {format_duration(seconds)} (median)")

    def run_cleared(self, run: DagRun) -> None:
        """The DAG run had ended, and has not any more."""
        self._line(
            f"The DAG run was {run.state}, but somebody cleared it meanwhile: waiting for "
            "its new end"
        )

    def run_state(self, run: DagRun) -> None:
        """The DAG run was looked at."""
        if run.state != self._shown:
            self._shown = run.state
            self._running_since = self._clock()
            self._line(f"The DAG run is {run.state}")
        elif self._clock() - self._spoke_at >= HEARTBEAT_SECONDS:
            self._line(f"The DAG run is still {run.state}{self._so_far()}")

    def tasks_changed(
        self,
        changes: Sequence[tuple[TaskInstance | None, TaskInstance]],
        tasks: Sequence[TaskInstance],
    ) -> None:
        """Task instances changed: a line for each, and one for all instances of a mapped task
        together.
        """
        done = sum(task.over for task in tasks)
        self._progress = f"{done} of {len(tasks)} tasks"
        lines = [
            f"{task.name} {_STATE_PHRASES[task.state]}{_how(task)}"
            for before, task in changes
            if task.map_index < 0
            and task.state in _STATE_PHRASES
            and (before is None or _shows(before) != _shows(task))
        ]
        mapped = dict.fromkeys(task.task_id for _, task in changes if task.map_index >= 0)
        lines += [
            _counted(name, [task for task in tasks if task.task_id == name]) for name in mapped
        ]
        for line in lines[:-1]:
            self._line(line)
        for line in lines[-1:]:
            self._line(f"{line}{self._so_far()}")

    def wide_run_changed(
        self,
        failed: Sequence[TaskInstance],
        done: Literal["ended", "succeeded"],
        count: int,
        total: int,
    ) -> None:
        """A wide run was looked at: a line for each that failed, and one for all together."""
        for task in failed[:_MAX_NAMES]:
            self._line(f"{task.name} {_STATE_PHRASES['failed']}{_how(task)}")
        if len(failed) > _MAX_NAMES:
            self._line(f"{len(failed) - _MAX_NAMES} more failed")
        self._progress = ""
        progress = f"{count} of {total} tasks"
        self._line(f"{progress} {'have ended' if done == 'ended' else 'succeeded'}{self._so_far()}")
        self._progress = progress

    def blocked(self, blocker: Blocker) -> None:
        """The DAG run does not move, and this is why."""
        if self._notices < MAX_NOTICES:
            self._notices += 1
            where = f"\n{blocker.url}" if blocker.url else ""
            self._runner.annotate(
                "notice", f"Waiting: {blocker.title}", f"{blocker.detail}\n{blocker.hint}{where}"
            )
        self._line(f"{blocker.title}. {blocker.detail}")

    def stopping(self, run_id: str) -> None:
        """The DAG run is about to be stopped."""
        self._line(f"Stopping the DAG run {run_id}")

    def request_failed(self, fault: ActionError, pause: float) -> None:
        """A request failed in passing."""
        self._line(f"{fault.title}. {fault.detail} Trying again in {format_duration(pause)}")

    def optional_failed(self, what: str, error: ActionError) -> None:
        """Something that only explains could not be read."""
        self._line(f"Could not read what is needed for {what}. {error.title}: {error.detail}")

    def feature_disabled(self, sentence: str) -> None:
        """A feature that only explains lacks its permission."""
        self._line(sentence)

    def task_log(self, title: str, lines: Iterable[str], lines_omitted: int) -> None:
        """A task's log, folded away; nothing in it is obeyed."""
        with self._runner.group(title):
            if lines_omitted:
                self._runner.say(
                    f"({lines_omitted} lines before these are left out; the input "
                    "log_lines says how many are shown)"
                )
            self._runner.relay(lines)

    def _so_far(self) -> str:
        """Say how far the run is, as a part of what is usual."""
        known = [self._progress] if self._progress else []
        if self._usual and self._shown == "running":
            percent = 100 * (self._clock() - self._running_since) / self._usual
            known.append(f"{percent:.0f} % of the usual {format_duration(self._usual)}")
        return f" · {', '.join(known)}" if known else ""

    def _line(self, text: str) -> None:
        self._spoke_at = self._clock()
        self._runner.say(f"{_elapsed(self._spoke_at - self._start)}  {text}")


def _shows(task: TaskInstance) -> tuple[str | None, int]:
    return task.state, task.try_number


def _how(task: TaskInstance) -> str:
    after = (
        f" after {format_duration(task.duration)}"
        if task.duration and task.state in ("success", "failed", "up_for_retry")
        else ""
    )
    return f"{after}{try_label(task)}"


def _counted(name: str, instances: list[TaskInstance]) -> str:
    """Count the instances of a mapped task by state."""
    counts = Counter(task.state or "not started" for task in instances)
    return (
        f"{name}: {len(instances)} mapped, "
        f"{', '.join(f'{count} {state}' for state, count in sorted(counts.items()))}"
    )


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:>3}:{rest:02}"
