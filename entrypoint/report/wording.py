"""The outcome in words: what happened, the evidence, what to do next. The annotation and the summary say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrypoint.models import DagRun, Outcome

_NAMED = 10
"""How many failed tasks a sentence names before it only counts them."""


@dataclass(frozen=True, slots=True)
class Words:
    """A heading, the evidence, and the next thing to do (empty if there is nothing to do)."""

    title: str
    detail: str
    hint: str


def took(seconds: float | None) -> str:
    """Write a duration for people: `4.2 s`, `2 m 13 s`, `1 h 02 m`."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} m"


_ORIGIN = {
    None: "triggered by this step",
    "attached": "it was there already, nothing was triggered",
    "resumed": "it was there already and had failed; continued from the tasks that had not succeeded",
    "restarted": "it was there already and had ended; all its tasks run again",
}


def origin(outcome: Outcome) -> str:
    """Say where the DAG run comes from: this step, or an earlier one, and what was done about it then."""
    return _ORIGIN[outcome.taken_over]


def words(outcome: Outcome) -> Words:
    """Put an outcome into words."""
    if outcome.result == "cancelled":
        return _cancelled(outcome)
    if outcome.error is not None:
        return Words(outcome.error.title, outcome.error.detail, outcome.error.hint)
    assert outcome.run is not None  # noqa: S101 - only an error or a cancel leaves without one
    say = {"success": _success, "triggered": _triggered, "failed": _failed, "timeout": _late}[outcome.result]
    return say(outcome, outcome.run)


def _triggered(outcome: Outcome, run: DagRun) -> Words:
    start = "accepted the run of" if outcome.created else "has the run of"
    return Words(
        "DAG run triggered", f"Airflow {start} {run.dag_id} ({run.state}); this step does not wait for its end.", ""
    )


def _failed(outcome: Outcome, run: DagRun) -> Words:
    if run.cancelled:
        return Words(
            "DAG run failed",
            f"The run of {run.dag_id} was stopped when its workflow was cancelled; Airflow shows it as {run.state}.",
            "Set if_run_exists: resume to continue it, or restart to run all of it again.",
        )
    return Words(
        "DAG run failed",
        f"Airflow ended the run of {run.dag_id} as failed{_after(run)}. {_failed_tasks(outcome)}",
        (
            "Open the run in Airflow, read the failed task's log and mend the cause. Re-running this job then continues this "
            "run from the tasks that did not succeed; a new commit gets a run of its own."
        ),
    )


def _late(outcome: Outcome, run: DagRun) -> Words:
    fate = {
        "yes": "It was stopped (on_timeout: cancel).",
        "unconfirmed": "Airflow did not confirm that it was stopped (on_timeout: cancel): look there.",
    }.get(outcome.stopped or "", "It was left as it is and may still succeed (on_timeout: leave).")
    state = "queued" if run.start_date is None else "running"
    seconds = took(outcome.state_for)
    return Words(
        "DAG run did not start in time" if state == "queued" else "DAG run did not end in time",
        f"{outcome.stuck + ' ' if outcome.stuck else ''}After {took(outcome.waited)} the run of {run.dag_id} "
        f"was still {state}, for {seconds} now. {fate}",
        "Open the run in Airflow to see what it waits for; raise the input timeout if it simply needs longer.",
    )


def _cancelled(outcome: Outcome) -> Words:
    subject = f"the run {outcome.request.run_id} of {outcome.request.dag_id}" if outcome.request else "the DAG run"
    run = outcome.run
    if outcome.stopped == "nothing":
        known = f"; {subject} had ended as {run.state}" if run else f" before {subject} was made"
        return Words("Cancelled, nothing to stop", f"The workflow was cancelled{known}.", "")
    if outcome.stopped == "left":
        state = f" It is {run.state}." if run else ""
        return Words(
            "Cancelled, the DAG run goes on",
            f"The workflow was cancelled; {subject} goes on (on_cancel: leave, or trigger: false).{state}",
            "Stop it in Airflow if it is not wanted.",
        )
    if outcome.stopped == "yes" and run is not None:
        how = "had succeeded by then" if run.state == "success" else "was stopped; Airflow shows it as failed"
        return Words("Cancelled, the DAG run is over", f"The workflow was cancelled; {subject} {how}.", "")
    cause = f" {outcome.error.title}: {outcome.error.detail}" if outcome.error else ""
    return Words(
        "Cancelled, could not confirm that the DAG run is stopped",
        f"The workflow was cancelled, and Airflow did not confirm in time that {subject} is stopped.{cause}",
        "Look at the run in Airflow, and mark it failed there if it still runs."
        if outcome.post
        else "The post stage of this step tries once more; see its log.",
    )


def _success(outcome: Outcome, run: DagRun) -> Words:
    text = f"Airflow ended the run of {run.dag_id} as success{_after(run)}."
    if outcome.failed_tasks:
        text += f" Yet not every task succeeded. {_failed_tasks(outcome)}"
    if outcome.tasks == ():
        text += " It ran no task at all: is the logical date before the DAG's start date?"
    return Words("DAG run succeeded", text, "")


def _after(run: DagRun) -> str:
    return f" after {took(run.duration)}" if run.duration is not None else ""


def _failed_tasks(outcome: Outcome) -> str:
    if outcome.tasks is None:
        return "Its tasks could not be read."
    names = [task.name for task in outcome.failed_tasks]
    if not names:
        return "No task is marked failed: the whole run may have timed out (dagrun_timeout) or been failed by hand."
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"Failed: {', '.join(names[:_NAMED])}{more}."
