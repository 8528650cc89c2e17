"""Each outcome in words: title, evidence and the next thing to do."""

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError, ExceptionInfo
from entrypoint.models import (
    CANCELLED_MARK,
    Blocker,
    DagRun,
    Failure,
    Outcome,
    Report,
    Result,
    StopStatus,
    TakenOver,
)
from entrypoint.report.wording import (
    MAX_FAILURES_LISTED,
    failure_line,
    origin,
    outcome_message,
    report_line,
)
from entrypoint.run.detached import ended_as
from entrypoint.text import format_duration, try_label
from tests.support.factories import a_report, a_run, a_task, an_outcome

ERROR = ActionError("The DAG is paused", "Airflow would queue it for ever.", "Unpause it.")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.9, "59.9 s"),
        (59.96, "1 m 00 s"),
        (60, "1 m 00 s"),
        (132.4, "2 m 12 s"),
        (3599.4, "59 m 59 s"),
        (3599.6, "1 h 00 m"),
        (3720, "1 h 02 m"),
        (86_400, "24 h 00 m"),
    ],
)
def test_took(seconds: float | None, text: str) -> None:
    """A duration is written for people, in the two units that matter."""
    assert format_duration(seconds) == text


@given(st.floats(0, 35 * 86_400))
def test_took_never_shows_sixty(seconds: float) -> None:
    """No rounding ever shows 60 seconds or 60 minutes."""
    assert not re.search(r"\b60(\.0)? [sm]", format_duration(seconds))


@pytest.mark.parametrize("taken_over", ["attached", "resumed", "restarted"])
@pytest.mark.parametrize("result", get_args(Result))
@pytest.mark.parametrize("error", [None, ERROR])
def test_a_run_that_was_taken_over_is_told_in_the_verdict(
    taken_over: TakenOver, result: Result, error: ActionError | None
) -> None:
    """Whoever reads the annotation alone learns that this step did not trigger what it is about."""
    error = ERROR if result == "error" else error
    told = outcome_message(an_outcome(result=result, taken_over=taken_over, error=error)).detail
    assert origin(an_outcome(taken_over=taken_over)) in told
    assert (
        "it was there already" not in outcome_message(an_outcome(result=result, error=error)).detail
    )


@pytest.mark.parametrize(
    ("stopped", "fate"),
    [
        ("yes", "The run was stopped"),
        ("nothing", "had ended before it could be stopped"),
        ("left", "The run was left as it is"),
        ("unconfirmed", "Airflow did not confirm that the run was stopped"),
    ],
)
@pytest.mark.parametrize("detail", ["It is silent.", "Its evidence\nhas lines"])
def test_an_error_tells_what_became_of_the_run(stopped: StopStatus, fate: str, detail: str) -> None:
    """A run that was stopped although nobody knows how it is must not be a surprise."""
    error = ActionError("Silent", detail, "Look at its log.")
    fault = ActionError("Not confirmed", "PATCH answered 503", "")
    said = outcome_message(
        an_outcome(result="error", error=error, stopped=stopped, stop_error=fault)
    )
    assert said.detail.startswith(detail)
    assert fate in said.detail
    assert ("PATCH answered 503" in said.detail) is (stopped == "unconfirmed")
    assert ("mark it failed there" in said.hint) is (stopped == "unconfirmed")
    assert "Look at its log." in said.hint
    assert outcome_message(an_outcome(result="error", error=error)).detail == detail


@pytest.mark.parametrize("taken_over", [None, *get_args(TakenOver)])
def test_origin(taken_over: TakenOver | None) -> None:
    """Where the DAG run comes from is said in every case."""
    assert origin(an_outcome(taken_over=taken_over))


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (
            a_report(deployment_id=None),
            "commit status airflow / nightly_sales of 0123456789ab, pending",
        ),
        (
            a_report(kind="deployment", name="staging", state="failure"),
            "deployment 7 to staging of 0123456789ab, failure",
        ),
    ],
)
def test_reported(report: Report, text: str) -> None:
    """What stands on GitHub is said with its name, its commit and its state, in the verdict as
    well.
    """
    assert report_line(report) == text
    assert (
        f"Airflow's listener reports it: {text}."
        in outcome_message(an_outcome(result="triggered", report=report)).detail
    )


@pytest.mark.parametrize(
    ("run", "failed", "text"),
    [
        (a_run(), [], "The DAG run succeeded after 2 m 12 s"),
        (a_run(state="failed"), ["a", "b[1]"], "The DAG run failed after 2 m 12 s: a, b[1]"),
        (a_run(state="failed", start_date=None), [], "The DAG run failed"),
        (
            a_run(state="failed", end_date=None),
            ["t"] * 12,
            f"The DAG run failed: {', '.join(['t'] * 10)} and 2 more",
        ),
        (a_run(note=CANCELLED_MARK), ["a"], "The DAG run was stopped: its workflow was cancelled"),
    ],
)
def test_ended_as(run: DagRun, failed: list[str], text: str) -> None:
    """How a run ended is said in one line, and a cancelled one is called so, whatever Airflow made
    of it.
    """
    assert ended_as(run, failed) == text


def test_success() -> None:
    """A success says which DAG and how long, and leaves nothing to do."""
    said = outcome_message(an_outcome())

    assert said.title == "DAG run succeeded"
    assert said.detail == "Airflow ended the run of nightly_sales as success after 2 m 12 s."
    assert said.hint == ""


def test_success_with_failed_tasks() -> None:
    """A success with failed tasks is told from a plain one, names them, and says how not to accept
    it.
    """
    said = outcome_message(an_outcome(tasks=(a_task("a", state="failed"), a_task("b"))))

    assert said.title != outcome_message(an_outcome()).title
    assert "failed tasks" in said.title
    assert said.reasons == ("Failed: a.",)
    assert "fail_on_failed_tasks" in said.hint


def test_red_tasks_that_are_not_accepted() -> None:
    """A success that fails the step for its failed tasks says whose decision that is."""
    tasks = (a_task("a", state="failed"),)
    said = outcome_message(
        an_outcome(result="failed", tasks=tasks, failures=(Failure(tasks[0], "KeyError: 'x'"),))
    )

    assert "failed tasks" in said.title
    assert "success" in said.detail
    assert "fail_on_failed_tasks" in said.detail
    assert said.reasons == ("a failed: KeyError: 'x'",)


def test_success_without_tasks() -> None:
    """A success that ran nothing at all is worth a question."""
    assert "no task at all" in outcome_message(an_outcome(tasks=())).detail
    assert "no task at all" not in outcome_message(an_outcome(tasks=None)).detail


def test_triggered() -> None:
    """A run that is not waited for was accepted, and its state is the one of that moment."""
    said = outcome_message(an_outcome(result="triggered", run=a_run(state="queued"), tasks=None))

    assert said.title == "DAG run triggered"
    assert "nightly_sales (queued)" in said.detail


@pytest.mark.parametrize(
    ("tasks", "failure_line"),
    [
        ((a_task("a", state="failed"), a_task("b", state="upstream_failed")), "Failed: a."),
        (tuple(a_task("m", state="failed", map_index=n) for n in range(2)), "Failed: m[0], m[1]."),
        (
            tuple(a_task(f"t{n}", state="failed") for n in range(12)),
            "Failed: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 2 more.",
        ),
        (
            (a_task(),),
            "No task is marked failed: somebody may have marked the whole run as failed.",
        ),
        (None, "Its tasks could not be read."),
    ],
)
def test_failed(tasks: Any, failure_line: str) -> None:
    """A failure names the failed tasks, counts them when they are many, and explains when there are
    none.
    """
    said = outcome_message(an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks))

    assert said.title == "DAG run failed"
    assert said.detail.startswith(
        "Airflow ended the run of nightly_sales as failed after 2 m 12 s."
    )
    assert said.reasons == (failure_line,)
    assert said.hint


@pytest.mark.parametrize("count", [1, MAX_FAILURES_LISTED, MAX_FAILURES_LISTED + 1, 20, 5000])
def test_failed_for_reasons(count: int) -> None:
    """The first failures are told with their reasons, one each, the others by name, and very many
    are counted.
    """
    tasks = tuple(a_task(f"t{n}", state="failed") for n in range(count))
    failures = tuple(Failure(task, f"KeyError: {task.task_id}") for task in tasks[:20])
    said = outcome_message(
        an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks, failures=failures)
    ).reasons

    assert said[:MAX_FAILURES_LISTED] == tuple(
        f"t{n} failed: KeyError: t{n}" for n in range(min(count, MAX_FAILURES_LISTED))
    )
    assert len(said) == min(count, MAX_FAILURES_LISTED) + (count > MAX_FAILURES_LISTED)
    assert f"t{min(count, 10) - 1}" in said[-1] or count > MAX_FAILURES_LISTED
    assert all(len(one) < 1000 for one in said)


def test_reason() -> None:
    """A reason names task instance, try and cause, and is short whatever the cause is."""
    task = a_task("load", state="failed", map_index=3, try_number=2, max_tries=1)
    long = failure_line(
        Failure(task, "E: " + "word " * 10_000, (ExceptionInfo("E", "word " * 10_000),))
    )

    assert failure_line(Failure(task, "E: why")) == "load[3] failed (try 2 of 2): E: why"
    assert long.startswith("load[3] failed (try 2 of 2): E: word word")
    assert len(long) < 1000


@pytest.mark.parametrize(
    ("try_number", "max_tries", "text"),
    [
        (1, 0, ""),
        (1, 1, " (try 1 of 2)"),
        (2, 1, " (try 2 of 2)"),
        (0, 3, " (try 0 of 4)"),
        # A task instance that was cleared has more tries behind it than its DAG allows.
        (5, 1, " (try 5 of 5)"),
    ],
)
def test_tries(try_number: int, max_tries: int, text: str) -> None:
    """Which try it was is said where there may be several, and never as more than all."""
    assert try_label(a_task(try_number=try_number, max_tries=max_tries)) == text


def test_dagrun_timeout() -> None:
    """A run that was too slow as a whole is named as such, with its limit, although no task
    failed.
    """
    tasks = (a_task("a"), a_task("b", state="skipped"))
    said = outcome_message(
        an_outcome(
            result="failed", run=a_run(state="failed"), tasks=tasks, dagrun_timeout_exceeded=120.0
        )
    )

    assert "dagrun_timeout" in said.title
    assert "2 m 00 s" in said.detail
    assert "nightly_sales" in said.detail
    assert "dagrun_timeout" in said.hint
    assert not any("marked the whole run" in one for one in said.reasons)


def test_failed_because_it_was_cancelled() -> None:
    """A run that a cancelled workflow stopped has failed for that reason, whatever Airflow
    shows.
    """
    said = outcome_message(
        an_outcome(result="failed", run=a_run(state="success", note=f"why {CANCELLED_MARK}"))
    )

    assert "stopped when its workflow was cancelled" in said.detail
    assert "if_run_exists" in said.hint


@pytest.mark.parametrize(
    ("run", "title"),
    [
        (a_run(state="running", end_date=None), "DAG run did not end in time"),
        (a_run(state="queued", start_date=None, end_date=None), "DAG run did not start in time"),
    ],
)
def test_timeout(run: Any, title: str) -> None:
    """A timeout tells a run that never started from one that is still at work, and how long that
    was.
    """
    said = outcome_message(an_outcome(result="timeout", run=run, tasks=None, waited=3600.0))

    assert said.title == title
    assert "1 h 00 m" in said.detail
    assert said.hint


BLOCKERS = (
    Blocker("The DAG is paused", "nobody runs it.", "Unpause it."),
    Blocker("The pool is full", "by b.", "Wait."),
)


def test_timeout_with_blockers() -> None:
    """What blocks the run is the first thing said of a timeout, the likeliest first, and its remedy
    is what to do next.
    """
    run = a_run(state="queued", start_date=None, end_date=None)
    said = outcome_message(
        an_outcome(
            result="timeout",
            run=run,
            tasks=(),
            blockers=BLOCKERS,
            waited=900.0,
            seconds_in_state=890.0,
        )
    )

    assert said.reasons == ("The DAG is paused. nobody runs it.", "The pool is full. by b.")
    assert said.hint.startswith("Unpause it.")
    assert "14 m 50 s" in said.detail


def test_timeout_with_failed_tasks() -> None:
    """A run that is still at work although tasks failed is told with both."""
    tasks = (a_task("a", state="failed"), a_task("b", state="running"))
    said = outcome_message(
        an_outcome(
            result="timeout",
            run=a_run(state="running", end_date=None),
            tasks=tasks,
            blockers=BLOCKERS,
        )
    )

    assert len(said.reasons) == 3
    assert "a" in said.reasons[-1]


@pytest.mark.parametrize(
    ("stopped", "part"),
    [
        ("left", "on_timeout: leave"),
        ("yes", "was stopped"),
        ("unconfirmed", "did not confirm"),
        (None, "on_timeout: leave"),
    ],
)
def test_timeout_says_what_became_of_the_run(stopped: StopStatus | None, part: str) -> None:
    """A timeout says whether the run goes on."""
    said = outcome_message(
        an_outcome(
            result="timeout", run=a_run(state="running", end_date=None), tasks=(), stopped=stopped
        )
    )

    assert part in said.detail


def test_error() -> None:
    """An error speaks for itself, whatever is known besides."""
    for outcome in (Outcome(result="error", error=ERROR), an_outcome(result="error", error=ERROR)):
        said = outcome_message(outcome)
        assert (said.title, said.detail, said.hint) == (ERROR.title, ERROR.detail, ERROR.hint)


@pytest.mark.parametrize("result", get_args(Result))
@pytest.mark.parametrize("taken_over", [None, *get_args(TakenOver)])
def test_every_result_has_words(result: Result, taken_over: TakenOver | None) -> None:
    """There are words for every result, with and without tasks, and what is not a pass leaves
    something to do.
    """
    whole = an_outcome(
        result=result, taken_over=taken_over, error=ERROR if result == "error" else None
    )
    for outcome in (whole, whole._replace(tasks=None)):
        said = outcome_message(outcome)
        assert said.title
        assert said.detail
        assert said.hint or outcome.passes or result == "cancelled"
