"""Put an outcome into words for the final annotation and the job summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entrypoint.text import duration_suffix, format_duration, list_names, shortened, try_label

if TYPE_CHECKING:
    from entrypoint.errors import ActionError
    from entrypoint.models import (
        DagRun,
        Failure,
        Outcome,
        Report,
        Result,
        TaskInstance,
        TaskVerdict,
    )

MAX_FAILURES_LISTED = 3
"""Failures that a message gives with their causes; the summary has all that were read."""
_MAX_FAILURE_CHARS = 600
"""Characters of each of these causes."""


RESULT_SIGNS: dict[Result, str] = {
    "success": "✅",
    "triggered": "🚀",
    "checked": "✅",
    "failed": "❌",
    "timeout": "⏳",
    "cancelled": "🛑",
    "error": "❌",
}
"""The sign of each result in the job summary."""


def sign_of(outcome: Outcome) -> str:
    """Return the sign of one DAG run in the job summary; a doubtful success has its own."""
    doubtful = outcome.passes and (outcome.failed_tasks or outcome.nothing_ran)
    return "⚠️" if doubtful else RESULT_SIGNS[outcome.result]


class Message(NamedTuple):
    """The parts of a message; all but the title may be empty.

    Attributes:
        title: the heading.
        detail: what happened, with the evidence.
        hint: what to do next.
        reasons: why it happened, one line each.
    """

    title: str
    detail: str
    hint: str
    reasons: tuple[str, ...] = ()


_ORIGIN = {
    None: "triggered by this step",
    "attached": "it existed already; this step triggered nothing",
    "resumed": (
        "it existed already and had failed; continued from the tasks that had not succeeded"
    ),
    "restarted": "it existed already and had ended; all its tasks run again",
}


def origin(outcome: Outcome) -> str:
    """Say whether this step triggered the run, or how it took over an existing one."""
    return _ORIGIN[outcome.taken_over]


PROGRESS = (
    "waiting for their turn",
    "queued",
    "running",
    "succeeded",
    "triggered",
    "checked",
    "failed",
    "timed out",
    "cancelled",
    "with an error",
)
"""What may have become of one of several DAGs, as the end of a phrase with a number."""
_RESULT_PROGRESS = {
    "success": "succeeded",
    "triggered": "triggered",
    "checked": "checked",
    "failed": "failed",
    "timeout": "timed out",
    "cancelled": "cancelled",
}


def progress_of(outcome: Outcome) -> str:
    """Return the phrase of PROGRESS for a DAG of a step with several."""
    if outcome.finished or outcome.result == "cancelled":
        return _RESULT_PROGRESS.get(outcome.result, "with an error")
    if outcome.run is None:
        return "waiting for their turn"
    return "queued" if outcome.run.state == "queued" else "running"


def code_of(run: DagRun) -> str:
    """Name the code with which a cleared run runs again."""
    if run.bundle_version is None:
        return "the code that Airflow has when each task starts"
    return f"the code of bundle version {run.bundle_version}"


def report_line(report: Report) -> str:
    """Name the commit status or the deployment on GitHub, its commit and its state."""
    where = (
        f"deployment {report.deployment_id} to" if report.deployment_id is not None else report.kind
    )
    return f"{where} {report.name} of {report.commit[:12]}, {report.state}"


def verdict_sentence(verdict: TaskVerdict) -> str:
    """Say how many of the required task instances succeeded, and name the lines of the input."""
    return (
        f"{verdict.succeeded} of {verdict.total} required task instances succeeded "
        f"({list_names(verdict.patterns)})"
    )


def ending_of(message: Message, run_url: str | None = None) -> str:
    """Return the end of an annotation, which is never cut: the hint, and the run's URL."""
    lines = (message.hint, f"DAG run: {run_url}" if run_url else "")
    return "".join(f"\n{line}" for line in lines if line)


def outcome_message(outcome: Outcome) -> Message:
    """Return the message for an outcome."""
    message = _message(outcome)
    if outcome.taken_over is None:
        return message
    # Say that this step did not trigger the run that the result is about.
    separator = _separator(message.detail)
    return message._replace(detail=f"{message.detail}{separator}The run: {origin(outcome)}.")


def _message(outcome: Outcome) -> Message:
    if outcome.result == "cancelled":
        return _cancelled(outcome)
    if outcome.error is not None:
        return _error(outcome, outcome.error)
    if outcome.result == "checked":
        return Message(
            "Dry run: the step would reach its trigger",
            "Nothing was triggered, and nothing was changed."
            f"{f' {outcome.dry_run.next_step}' if outcome.dry_run else ''}",
            "",
        )
    assert outcome.run is not None  # noqa: S101 - only an error or a cancel has no run
    make = {"success": _success, "triggered": _triggered, "failed": _failed, "timeout": _timed_out}[
        outcome.result
    ]
    return make(outcome, outcome.run)


def _error(outcome: Outcome, error: ActionError) -> Message:
    """Describe the error, and what happened to the run if the timeout passed."""
    if outcome.stopped is None:
        return Message(error.title, error.detail, error.hint)
    hint = error.hint
    if outcome.stopped == "unconfirmed":
        hint = f"{_CHECK_RUN} {hint}".rstrip()
    separator = _separator(error.detail)
    return Message(error.title, f"{error.detail}{separator}{_after_timeout(outcome)}", hint)


_CHECK_RUN = "Check the run in Airflow, and mark it failed there if it still runs."


def _separator(text: str) -> str:
    """Return the separator before a further sentence: a line break after several lines."""
    return "\n" if "\n" in text else " "


def _after_timeout(outcome: Outcome) -> str:
    """Say what happened to the run after the timeout."""
    return {
        "yes": "The run was stopped (on_timeout: cancel).",
        "nothing": "The run had ended before it could be stopped (on_timeout: cancel).",
        "unconfirmed": (
            "Airflow did not confirm that the run was stopped (on_timeout: cancel); check it there."
            f"{_stop_error(outcome)}"
        ),
    }.get(
        outcome.stopped or "",
        "The run was left as it is and may still succeed (on_timeout: leave, or another "
        "workflow triggered it).",
    )


def _triggered(outcome: Outcome, run: DagRun) -> Message:
    start = "accepted the run of" if outcome.created else "has the run of"
    text = f"Airflow {start} {run.dag_id} ({run.state}); this step does not wait for its end."
    if outcome.report is not None:
        text += f" Airflow's listener reports it: {report_line(outcome.report)}."
    return Message("DAG run triggered", text, "")


def _failed(outcome: Outcome, run: DagRun) -> Message:
    if run.cancelled:
        return Message(
            "DAG run failed",
            f"The run of {run.dag_id} was stopped when its workflow was cancelled; Airflow "
            f"shows it as {run.state}.",
            "Set if_run_exists: resume to continue it, or restart to run all of it again.",
        )
    if outcome.verdict is not None:
        return _tasks_failed(outcome, outcome.verdict, run)
    if run.state == "success":
        return Message(
            "DAG run has failed tasks",
            f"Airflow ended the run of {run.dag_id} as success although tasks failed. This step "
            "does not accept that (fail_on_failed_tasks: true).",
            _NOTHING_TO_RESUME,
            _failed_tasks(outcome),
        )
    if outcome.dagrun_timeout_exceeded is not None:
        interrupted = [task.name for task in outcome.tasks or () if task.cut_off]
        return Message(
            "DAG run exceeded its dagrun_timeout",
            f"A run of {run.dag_id} may take at most "
            f"{format_duration(outcome.dagrun_timeout_exceeded)} (dagrun_timeout), so Airflow "
            f"ended this run as failed{duration_suffix(run)}. No task failed. Airflow skipped the "
            "tasks that had not ended"
            f"{f' (stopped while running: {list_names(interrupted)})' if interrupted else ''}.",
            "Make the DAG faster, or raise its dagrun_timeout. Re-running this job continues this "
            f"run from the tasks that did not end{_unless_only_waited_for(outcome)}.",
        )
    return Message(
        "DAG run failed",
        f"Airflow ended the run of {run.dag_id} as failed{duration_suffix(run)}.",
        "Fix the cause. Re-running this job then continues this run from the tasks that did not "
        f"succeed{_unless_only_waited_for(outcome)}; a new commit gets its own run.",
        _failed_tasks(outcome),
    )


_NOTHING_TO_RESUME = (
    "Fix the cause. Airflow ended this run as success, so re-running this job alone runs no task "
    "again: clear the tasks in Airflow first. A new commit gets its own run."
)


def _unless_only_waited_for(outcome: Outcome) -> str:
    """Name the inputs with which a re-run does not continue a failed run.

    The outcome does not have the inputs, so they are named for every run that existed before.
    """
    if outcome.taken_over != "attached":
        return ""
    return " (not with trigger: false or if_run_exists: attach)"


def _tasks_failed(outcome: Outcome, verdict: TaskVerdict, run: DagRun) -> Message:
    """Say which required tasks did not succeed, and that they have decided."""
    causes = {failure.task.key: failure_line(failure) for failure in outcome.failures}
    failed = outcome.decisive_failures
    lines = [causes.get(task.key) or _unsuccessful(task) for task in failed[:MAX_FAILURES_LISTED]]
    if rest := failed[MAX_FAILURES_LISTED:]:
        lines.append(f"Also without success: {list_names([task.name for task in rest])}.")
    lines += [f"{pattern} fits no task instance of this run." for pattern in verdict.missing]
    if any(task.state == "upstream_failed" for task in failed):
        others = [failure for failure in outcome.failures if failure.task not in failed]
        lines += [failure_line(failure) for failure in others[:MAX_FAILURES_LISTED]]
    return Message(
        "A required task did not succeed",
        f"{verdict_sentence(verdict)}. {_then(run)}",
        _required_tasks_hint(outcome, run),
        tuple(lines),
    )


def _required_tasks_hint(outcome: Outcome, run: DagRun) -> str:
    """Say what a re-run does; it depends on the end of the run, which may still go on."""
    if run.state == "success":
        return _NOTHING_TO_RESUME
    return (
        "Fix the cause. Once Airflow has ended this run as failed, re-running this job continues "
        f"it from the tasks that did not succeed{_unless_only_waited_for(outcome)}. If the run "
        "ends as success, clear the tasks in Airflow first. A new commit gets its own run."
    )


def _unsuccessful(task: TaskInstance) -> str:
    return f"{task.name} is {task.state or 'without a state'}."


def _then(run: DagRun) -> str:
    """Say that the required tasks decide, and what the run was at their decision."""
    if run.ended:
        return (
            f"They decide (required_tasks), not the run of {run.dag_id}, which Airflow ended as "
            f"{run.state}{duration_suffix(run)}."
        )
    return (
        f"They decide (required_tasks), not the run of {run.dag_id}: it was {run.state} then, and "
        "goes on."
    )


def _tasks_succeeded(outcome: Outcome, verdict: TaskVerdict, run: DagRun) -> Message:
    text = f"{verdict_sentence(verdict)}. {_then(run)}"
    hint = ""
    if others := [task.name for task in outcome.failed_tasks]:
        text += f" Tasks that are not required failed: {list_names(others)}."
        hint = "Check whether these failures are expected."
    return Message("The required tasks succeeded", text, hint)


def _timed_out(outcome: Outcome, run: DagRun) -> Message:
    state = "queued" if run.start_date is None else "running"
    verdict = outcome.verdict
    undecided = f"{verdict_sentence(verdict)}. " if verdict is not None else ""
    end = "DAG run did not end in time"
    if verdict is not None:
        end = "The required tasks did not end in time"
    return Message(
        "DAG run did not start in time" if state == "queued" else end,
        f"{undecided}After {format_duration(outcome.waited)} the run of {run.dag_id} was still "
        f"{state}, for {format_duration(outcome.seconds_in_state)} now. {_after_timeout(outcome)}",
        outcome.blockers[0].hint
        if outcome.blockers
        else (
            "Open the run in Airflow to see what it waits for. Raise the input "
            f"{'timeout or start_timeout' if state == 'queued' else 'timeout'} if the run needs "
            "more time."
        ),
        (
            *(f"{blocker.title}. {blocker.detail}" for blocker in outcome.blockers),
            *(_unsuccessful(task) for task in _unfinished(verdict)),
            *(_failed_tasks(outcome) if outcome.failed_tasks else ()),
        ),
    )


def _unfinished(verdict: TaskVerdict | None) -> tuple[TaskInstance, ...]:
    return verdict.unfinished[:MAX_FAILURES_LISTED] if verdict is not None else ()


def _cancelled(outcome: Outcome) -> Message:
    subject = (
        f"the run {outcome.request.run_id} of {outcome.request.dag_id}"
        if outcome.request
        else "the DAG run"
    )
    run = outcome.run
    if outcome.stopped == "nothing":
        known = f"; {subject} had ended as {run.state}" if run else f" before {subject} existed"
        return Message("Cancelled, nothing to stop", f"The workflow was cancelled{known}.", "")
    if outcome.stopped == "left":
        state = f" It is {run.state}." if run else ""
        return Message(
            "Cancelled, the DAG run goes on",
            f"The workflow was cancelled; {subject} goes on (on_cancel: leave, trigger: false, "
            f"required_tasks have decided, or another workflow triggered it).{state}",
            "Stop it in Airflow if it is not wanted.",
        )
    if outcome.stopped == "yes":
        text = f"The workflow was cancelled; {subject} was stopped; Airflow shows it as failed."
        return Message("Cancelled, the DAG run is over", text, "")
    return Message(
        "Cancelled, could not confirm that the DAG run is stopped",
        f"The workflow was cancelled, and Airflow did not confirm in time that {subject} is "
        f"stopped.{_stop_error(outcome)}",
        "Check the log of this step's post stage: it keeps trying for a minute."
        if outcome.post_stage_retries
        else _CHECK_RUN,
    )


def _stop_error(outcome: Outcome) -> str:
    return f" {outcome.stop_error.title}: {outcome.stop_error.detail}" if outcome.stop_error else ""


def _success(outcome: Outcome, run: DagRun) -> Message:
    if outcome.verdict is not None:
        return _tasks_succeeded(outcome, outcome.verdict, run)
    text = f"Airflow ended the run of {run.dag_id} as success{duration_suffix(run)}."
    if outcome.nothing_ran:
        return _nothing_ran(outcome, run, text)
    if not outcome.failed_tasks:
        return Message("DAG run succeeded", text, "")
    hint = (
        "Check whether this is expected. Set fail_on_failed_tasks: true to make this step fail "
        "when tasks failed."
    )
    return Message("DAG run succeeded, with failed tasks", text, hint, _failed_tasks(outcome))


def _nothing_ran(outcome: Outcome, run: DagRun, text: str) -> Message:
    """Say that no task did any work, and why."""
    title = "DAG run succeeded, but nothing ran"
    if not outcome.tasks:
        start, date = outcome.dag_start_date, run.logical_date
        if start is not None and date is not None and start > date:
            reason = (
                f"The start date of the DAG is {start.isoformat()}, which is after the logical "
                f"date of this run, {date.isoformat()}."
            )
        else:
            reason = (
                "Airflow creates none for a task whose start_date is after the logical date of the "
                "run, or whose end_date is before it, and a DAG may have no tasks."
            )
        return Message(
            title,
            f"{text} It has no task instance, so no task ran. {reason}",
            "Check the start_date and end_date of the DAG and its tasks, and the input "
            "logical_date.",
        )
    groups = {
        "Decided that the others are skipped (a short circuit or a branch)": [
            task for task in outcome.tasks if task.control == "decision" and task.state == "success"
        ],
        "Skipped": [task for task in outcome.tasks if task.state == "skipped"],
        "Removed, because the DAG no longer has them": [
            task for task in outcome.tasks if task.state == "removed"
        ],
    }
    return Message(
        title,
        f"{text} None of its {outcome.task_count} task instances did any work.",
        "Check whether this is expected. Name tasks in required_tasks to make this step fail when "
        "they are skipped.",
        tuple(
            f"{what}: {list_names([task.name for task in tasks])}."
            for what, tasks in groups.items()
            if tasks
        ),
    )


def _failed_tasks(outcome: Outcome) -> tuple[str, ...]:
    """Name the failed task instances, the first MAX_FAILURES_LISTED with their causes."""
    if outcome.tasks is None:
        return ("The tasks of the run could not be read.",)
    names = [task.name for task in outcome.failed_tasks]
    if not names:
        return ("No task is marked failed; a user may have marked the whole run as failed.",)
    explained = outcome.failures[:MAX_FAILURES_LISTED]
    lines = [failure_line(failure) for failure in explained]
    if rest := names[len(explained) :]:
        lines.append(f"{'Also failed' if explained else 'Failed'}: {list_names(rest)}.")
    return tuple(lines)


def failure_line(failure: Failure) -> str:
    """Return the name, the try and the cause of a failed task instance as one line."""
    return (
        f"{failure.task.name} failed{try_label(failure.task)}: "
        f"{shortened(failure.cause, _MAX_FAILURE_CHARS)}"
    )
