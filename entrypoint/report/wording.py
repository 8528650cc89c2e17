"""The outcome in words: what happened, the evidence, what to do next. The annotation and the
summary say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entrypoint.text import duration_suffix, format_duration, list_names, shortened, try_label

if TYPE_CHECKING:
    from entrypoint.errors import ActionError
    from entrypoint.models import DagRun, Failure, Outcome, Report

MAX_FAILURES_LISTED = 3
_MAX_FAILURE_CHARS = 600
"""How many reasons the verdict gives, and how many characters of each; the summary gives all."""


class Message(NamedTuple):
    """A heading, what happened, the next thing to do, and the reasons line by line (each may be
    empty but the heading).
    """

    title: str
    detail: str
    hint: str
    reasons: tuple[str, ...] = ()


_ORIGIN = {
    None: "triggered by this step",
    "attached": "it was there already, nothing was triggered",
    "resumed": (
        "it was there already and had failed; continued from the tasks that had not succeeded"
    ),
    "restarted": "it was there already and had ended; all its tasks run again",
}


def origin(outcome: Outcome) -> str:
    """Say where the DAG run comes from: this step, or an earlier one, and what was done about it
    then.
    """
    return _ORIGIN[outcome.taken_over]


def report_line(report: Report) -> str:
    """Say what stands on GitHub for the DAG run, and in which state."""
    where = (
        f"deployment {report.deployment_id} to" if report.deployment_id is not None else report.kind
    )
    return f"{where} {report.name} of {report.commit[:12]}, {report.state}"


def outcome_message(outcome: Outcome) -> Message:
    """Put an outcome into words."""
    said = _words(outcome)
    if outcome.taken_over is None:
        return said
    # A run that was there already is green, or red, for what somebody else has triggered.
    return said._replace(detail=f"{said.detail}{_seam(said.detail)}The run: {origin(outcome)}.")


def _words(outcome: Outcome) -> Message:
    if outcome.result == "cancelled":
        return _on_cancel(outcome)
    if outcome.error is not None:
        return _error(outcome, outcome.error)
    assert outcome.run is not None  # noqa: S101 - only an error or a cancel leaves without one
    say = {"success": _success, "triggered": _triggered, "failed": _failed, "timeout": _late}[
        outcome.result
    ]
    return say(outcome, outcome.run)


def _error(outcome: Outcome, error: ActionError) -> Message:
    """Say what went wrong, and what became of the run if its time was over."""
    if outcome.stopped is None:
        return Message(error.title, error.detail, error.hint)
    hint = error.hint
    if outcome.stopped == "unconfirmed":
        look = "Look at the run in Airflow, and mark it failed there if it still runs."
        hint = f"{look} {hint}".rstrip()
    return Message(error.title, f"{error.detail}{_seam(error.detail)}{_fate(outcome)}", hint)


def _seam(text: str) -> str:
    """Return what goes between a text and one sentence more: evidence has lines of its own."""
    return "\n" if "\n" in text else " "


def _fate(outcome: Outcome) -> str:
    """Say what became of a run whose time was over."""
    return {
        "yes": "The run was stopped (on_timeout: cancel).",
        "nothing": "The run had ended before it could be stopped (on_timeout: cancel).",
        "unconfirmed": (
            "Airflow did not confirm that the run was stopped (on_timeout: cancel): look "
            f"there.{_why(outcome)}"
        ),
    }.get(
        outcome.stopped or "",
        "The run was left as it is and may still succeed (on_timeout: leave, or another "
        "workflow made it).",
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
    hint = (
        "Mend the cause. Re-running this job then continues this run from the tasks that "
        "did not succeed; a new commit gets a "
        "run of its own."
    )
    if run.state == "success":
        return Message(
            "DAG run has failed tasks",
            f"Airflow calls the run of {run.dag_id} a success all the same; this step does not "
            "(fail_on_failed_tasks: true).",
            hint,
            _failed_tasks(outcome),
        )
    if outcome.dagrun_timeout_exceeded is not None:
        cut = [task.name for task in outcome.tasks or () if task.cut_off]
        return Message(
            "DAG run exceeded its dagrun_timeout",
            f"A run of {run.dag_id} may take "
            f"{format_duration(outcome.dagrun_timeout_exceeded)} (dagrun_timeout), so "
            "Airflow ended this run as "
            f"failed{duration_suffix(run)}. No task failed; what had not ended was skipped"
            f"{f', in the middle of {list_names(cut)}' if cut else ''}.",
            "Make the DAG faster, or raise its dagrun_timeout. Re-running this job "
            "continues this run from what did not end.",
        )
    return Message(
        "DAG run failed",
        f"Airflow ended the run of {run.dag_id} as failed{duration_suffix(run)}.",
        hint,
        _failed_tasks(outcome),
    )


def _late(outcome: Outcome, run: DagRun) -> Message:
    state = "queued" if run.start_date is None else "running"
    seconds = format_duration(outcome.seconds_in_state)
    return Message(
        "DAG run did not start in time" if state == "queued" else "DAG run did not end in time",
        f"After {format_duration(outcome.waited)} the run of {run.dag_id} was still "
        f"{state}, for {seconds} now. {_fate(outcome)}",
        outcome.blockers[0].hint
        if outcome.blockers
        else (
            "Open the run in Airflow to see what it waits for; raise the input timeout if "
            "it simply needs longer."
        ),
        (
            *(f"{blocker.title}. {blocker.detail}" for blocker in outcome.blockers),
            *(_failed_tasks(outcome) if outcome.failed_tasks else ()),
        ),
    )


def _on_cancel(outcome: Outcome) -> Message:
    subject = (
        f"the run {outcome.request.run_id} of {outcome.request.dag_id}"
        if outcome.request
        else "the DAG run"
    )
    run = outcome.run
    if outcome.stopped == "nothing":
        known = f"; {subject} had ended as {run.state}" if run else f" before {subject} was made"
        return Message("Cancelled, nothing to stop", f"The workflow was cancelled{known}.", "")
    if outcome.stopped == "left":
        state = f" It is {run.state}." if run else ""
        return Message(
            "Cancelled, the DAG run goes on",
            f"The workflow was cancelled; {subject} goes on (on_cancel: leave, trigger: "
            "false, or another workflow made "
            f"it).{state}",
            "Stop it in Airflow if it is not wanted.",
        )
    if outcome.stopped == "yes":
        text = f"The workflow was cancelled; {subject} was stopped; Airflow shows it as failed."
        return Message("Cancelled, the DAG run is over", text, "")
    return Message(
        "Cancelled, could not confirm that the DAG run is stopped",
        f"The workflow was cancelled, and Airflow did not confirm in time that {subject} "
        f"is stopped.{_why(outcome)}",
        "The post stage of this step goes on trying for a minute; see its log."
        if outcome.post_stage_retries
        else "Look at the run in Airflow, and mark it failed there if it still runs.",
    )


def _why(outcome: Outcome) -> str:
    return f" {outcome.stop_error.title}: {outcome.stop_error.detail}" if outcome.stop_error else ""


def _success(outcome: Outcome, run: DagRun) -> Message:
    text = f"Airflow ended the run of {run.dag_id} as success{duration_suffix(run)}."
    if outcome.tasks == ():
        text += " It ran no task at all: is the logical date before the DAG's start date?"
    if not outcome.failed_tasks:
        return Message("DAG run succeeded", text, "")
    hint = "Look whether that is meant. With fail_on_failed_tasks: true this step fails then."
    return Message("DAG run succeeded, with failed tasks", text, hint, _failed_tasks(outcome))


def _failed_tasks(outcome: Outcome) -> tuple[str, ...]:
    """Name the failed task instances: the first ones with their reasons, the others by name."""
    if outcome.tasks is None:
        return ("Its tasks could not be read.",)
    names = [task.name for task in outcome.failed_tasks]
    if not names:
        return ("No task is marked failed: somebody may have marked the whole run as failed.",)
    told = outcome.failures[:MAX_FAILURES_LISTED]
    lines = [failure_line(failure) for failure in told]
    if rest := names[len(told) :]:
        lines.append(f"{'Failed too' if told else 'Failed'}: {list_names(rest)}.")
    return tuple(lines)


def failure_line(failure: Failure) -> str:
    """Say why a task instance failed: its name, its try, the cause."""
    return (
        f"{failure.task.name} failed{try_label(failure.task)}: "
        f"{shortened(failure.cause, _MAX_FAILURE_CHARS)}"
    )
