"""Title, detail and hint of each outcome."""

import re
from datetime import datetime, timedelta
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
    TaskInstance,
    TaskVerdict,
)
from entrypoint.report.wording import (
    MAX_FAILURES_LISTED,
    failure_line,
    origin,
    outcome_message,
    report_line,
)
from entrypoint.run.detached import describe_end
from entrypoint.text import format_duration, try_label
from tests.support.factories import START, a_report, a_run, a_task, an_outcome

ERROR = ActionError("The DAG is paused", "Airflow would queue it forever.", "Unpause it.")


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
def test_duration_is_written_in_two_units(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 35 * 86_400))
def test_duration_never_shows_60_seconds_or_minutes(seconds: float) -> None:
    assert not re.search(r"\b60(\.0)? [sm]", format_duration(seconds))


@pytest.mark.parametrize("taken_over", ["attached", "resumed", "restarted"])
@pytest.mark.parametrize("result", get_args(Result))
@pytest.mark.parametrize("error", [None, ERROR])
def test_result_says_that_an_existing_run_was_taken_over(
    taken_over: TakenOver, result: Result, error: ActionError | None
) -> None:
    error = ERROR if result == "error" else error
    detail_text = outcome_message(
        an_outcome(result=result, taken_over=taken_over, error=error)
    ).detail
    assert origin(an_outcome(taken_over=taken_over)) in detail_text
    assert (
        "it existed already" not in outcome_message(an_outcome(result=result, error=error)).detail
    )


@pytest.mark.parametrize(
    ("stopped", "sentence"),
    [
        ("yes", "The run was stopped"),
        ("nothing", "had ended before it could be stopped"),
        ("left", "The run was left as it is"),
        ("unconfirmed", "Airflow did not confirm that the run was stopped"),
    ],
)
@pytest.mark.parametrize("detail", ["It is silent.", "Its evidence\nhas lines"])
def test_error_says_whether_the_run_was_stopped(
    stopped: StopStatus, sentence: str, detail: str
) -> None:
    error = ActionError("Silent", detail, "Look at its log.")
    fault = ActionError("Not confirmed", "PATCH answered 503", "")
    message = outcome_message(
        an_outcome(result="error", error=error, stopped=stopped, stop_error=fault)
    )
    assert message.detail.startswith(detail)
    assert sentence in message.detail
    assert ("PATCH answered 503" in message.detail) is (stopped == "unconfirmed")
    assert ("mark it failed there" in message.hint) is (stopped == "unconfirmed")
    assert "Look at its log." in message.hint
    assert outcome_message(an_outcome(result="error", error=error)).detail == detail


@pytest.mark.parametrize("taken_over", [None, *get_args(TakenOver)])
def test_origin_of_the_run_is_always_named(taken_over: TakenOver | None) -> None:
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
def test_github_report_has_name_commit_and_state(report: Report, text: str) -> None:
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
def test_end_of_a_run_is_one_line_and_a_cancel_is_named(
    run: DagRun, failed: list[str], text: str
) -> None:
    assert describe_end(run, failed) == text


def test_success_names_dag_and_duration_without_a_hint() -> None:
    message = outcome_message(an_outcome())

    assert message.title == "DAG run succeeded"
    assert message.detail == "Airflow ended the run of nightly_sales as success after 2 m 12 s."
    assert message.hint == ""


def test_success_names_failed_tasks_and_the_input_to_refuse_them() -> None:
    message = outcome_message(an_outcome(tasks=(a_task("a", state="failed"), a_task("b"))))

    assert message.title != outcome_message(an_outcome()).title
    assert "failed tasks" in message.title
    assert message.reasons == ("Failed: a.",)
    assert "fail_on_failed_tasks" in message.hint


def test_failure_for_failed_tasks_names_the_input() -> None:
    tasks = (a_task("a", state="failed"),)
    message = outcome_message(
        an_outcome(result="failed", tasks=tasks, failures=(Failure(tasks[0], "KeyError: 'x'"),))
    )

    assert "failed tasks" in message.title
    assert "success" in message.detail
    assert "fail_on_failed_tasks" in message.detail
    assert message.reasons == ("a failed: KeyError: 'x'",)


RESUMES = "continues"
ALONE = "clear the tasks in Airflow first"
ATTACHED = "trigger: false"


@pytest.mark.parametrize(
    ("state", "required", "taken_over", "parts"),
    [
        ("failed", False, None, {RESUMES}),
        ("failed", False, "attached", {RESUMES, ATTACHED}),
        ("success", False, None, {ALONE}),
        ("failed", True, "attached", {RESUMES, ALONE, ATTACHED}),
        ("running", True, None, {RESUMES, ALONE}),
        ("success", True, None, {ALONE}),
    ],
)
def test_a_failure_says_what_a_re_run_of_the_job_does(
    state: str, required: bool, taken_over: TakenOver | None, parts: set[str]
) -> None:
    """It continues only a run that Airflow ended as failed."""
    message = outcome_message(
        an_outcome(
            result="failed",
            run=a_run(state=state, end_date=None if state == "running" else START),
            taken_over=taken_over,
            verdict=TaskVerdict(("load",), "failed") if required else None,
        )
    )

    assert {part for part in (RESUMES, ALONE, ATTACHED) if part in message.hint} == parts


@pytest.mark.parametrize(("start", "named"), [(None, True), (START, False)])
def test_a_timeout_names_the_inputs_to_raise(start: datetime | None, named: bool) -> None:
    run = a_run(state="running" if start else "queued", start_date=start, end_date=None)
    hint = outcome_message(an_outcome(result="timeout", run=run, tasks=())).hint

    assert "Raise the input timeout " in hint
    assert ("start_timeout" in hint) is named


END = START + timedelta(days=1)
SKIPPED = a_task("load", state="skipped")
DECIDES = a_task("check", control="decision")


@pytest.mark.parametrize(
    ("tasks", "unread_succeeded", "reasons"),
    [
        ((), 0, ()),
        ((SKIPPED,), 0, ("Skipped: load.",)),
        (
            (a_task("gone", state="removed"),),
            0,
            ("Removed, because the DAG no longer has them: gone.",),
        ),
        (
            (DECIDES, SKIPPED, a_task("end", control="marker")),
            0,
            (
                "Decided that the others are skipped (a short circuit or a branch): check.",
                "Skipped: load.",
            ),
        ),
        (None, 0, None),
        ((a_task(), SKIPPED), 0, None),
        ((SKIPPED,), 1, None),
        ((DECIDES, a_task("end", control="marker")), 0, None),
        ((a_task("end", control="marker"),), 0, None),
        ((DECIDES, SKIPPED, a_task("broken", state="failed")), 0, None),
        ((a_task("check", control="decision", state="failed"), SKIPPED), 0, None),
    ],
)
def test_success_in_which_no_task_did_any_work_is_questioned(
    tasks: tuple[TaskInstance, ...] | None, unread_succeeded: int, reasons: tuple[str, ...] | None
) -> None:
    """A task that decides that all others are skipped does none."""
    outcome = an_outcome(tasks=tasks, unread_succeeded=unread_succeeded)
    message = outcome_message(outcome)

    assert outcome.nothing_ran == (reasons is not None)
    assert ("nothing ran" in message.title, bool(message.hint)) == (
        (True, True) if reasons is not None else (False, bool(outcome.failed_tasks))
    )
    if reasons is not None:
        assert message.reasons == reasons


def test_only_a_success_that_the_run_decided_is_questioned() -> None:
    verdict = TaskVerdict(("load",), "success", 1, 1)
    for changes in ({"result": "failed"}, {"result": "triggered"}, {"verdict": verdict}):
        assert not an_outcome(tasks=(), **changes).nothing_ran


@pytest.mark.parametrize(
    ("start", "date", "is_named"),
    [
        (END, START, True),
        (START, END, False),
        (END, None, False),
        (None, START, False),
    ],
)
def test_start_date_after_the_logical_date_is_the_reason_for_no_tasks(
    start: datetime | None, date: datetime | None, is_named: bool
) -> None:
    outcome = an_outcome(tasks=(), dag_start_date=start, run=a_run(logical_date=date))
    detail = outcome_message(outcome).detail

    assert "no task instance" in detail
    assert ("which is after the logical date" in detail) == is_named
    assert (END.isoformat() in detail) == is_named


def test_triggered_run_has_its_first_state() -> None:
    message = outcome_message(an_outcome(result="triggered", run=a_run(state="queued"), tasks=None))

    assert message.title == "DAG run triggered"
    assert "nightly_sales (queued)" in message.detail


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
            "No task is marked failed; a user may have marked the whole run as failed.",
        ),
        (None, "The tasks of the run could not be read."),
    ],
)
def test_failure_names_or_counts_the_failed_tasks(tasks: Any, failure_line: str) -> None:
    """Without failed tasks it says so."""
    message = outcome_message(an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks))

    assert message.title == "DAG run failed"
    assert message.detail.startswith(
        "Airflow ended the run of nightly_sales as failed after 2 m 12 s."
    )
    assert message.reasons == (failure_line,)
    assert message.hint


@pytest.mark.parametrize("count", [1, MAX_FAILURES_LISTED, MAX_FAILURES_LISTED + 1, 20, 5000])
def test_first_failures_have_reasons_and_others_names_or_a_count(count: int) -> None:
    tasks = tuple(a_task(f"t{n}", state="failed") for n in range(count))
    failures = tuple(Failure(task, f"KeyError: {task.task_id}") for task in tasks[:20])
    message = outcome_message(
        an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks, failures=failures)
    ).reasons

    assert message[:MAX_FAILURES_LISTED] == tuple(
        f"t{n} failed: KeyError: t{n}" for n in range(min(count, MAX_FAILURES_LISTED))
    )
    assert len(message) == min(count, MAX_FAILURES_LISTED) + (count > MAX_FAILURES_LISTED)
    assert f"t{min(count, 10) - 1}" in message[-1] or count > MAX_FAILURES_LISTED
    assert all(len(one) < 1000 for one in message)


def test_reason_is_short_with_task_try_and_cause() -> None:
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
        # A cleared task instance may have more tries than its DAG allows.
        (5, 1, " (try 5 of 5)"),
    ],
)
def test_try_is_shown_if_there_may_be_several(try_number: int, max_tries: int, text: str) -> None:
    assert try_label(a_task(try_number=try_number, max_tries=max_tries)) == text


def test_dagrun_timeout_is_named_with_its_limit() -> None:
    tasks = (a_task("a"), a_task("b", state="skipped"))
    message = outcome_message(
        an_outcome(
            result="failed", run=a_run(state="failed"), tasks=tasks, dagrun_timeout_exceeded=120.0
        )
    )

    assert "dagrun_timeout" in message.title
    assert "2 m 00 s" in message.detail
    assert "nightly_sales" in message.detail
    assert "dagrun_timeout" in message.hint
    assert not any("marked the whole run" in one for one in message.reasons)


def test_cancelled_run_has_failed_for_that_reason() -> None:
    message = outcome_message(
        an_outcome(result="failed", run=a_run(state="success", note=f"why {CANCELLED_MARK}"))
    )

    assert "stopped when its workflow was cancelled" in message.detail
    assert "if_run_exists" in message.hint


@pytest.mark.parametrize(
    ("run", "title"),
    [
        (a_run(state="running", end_date=None), "DAG run did not end in time"),
        (a_run(state="queued", start_date=None, end_date=None), "DAG run did not start in time"),
    ],
)
def test_timeout_tells_a_queued_run_from_a_running_one(run: Any, title: str) -> None:
    message = outcome_message(an_outcome(result="timeout", run=run, tasks=None, waited=3600.0))

    assert message.title == title
    assert "1 h 00 m" in message.detail
    assert message.hint


BLOCKERS = (
    Blocker("The DAG is paused", "nobody runs it.", "Unpause it."),
    Blocker("The pool is full", "by b.", "Wait."),
)


def test_timeout_begins_with_its_likeliest_blocker() -> None:
    run = a_run(state="queued", start_date=None, end_date=None)
    message = outcome_message(
        an_outcome(
            result="timeout",
            run=run,
            tasks=(),
            blockers=BLOCKERS,
            waited=900.0,
            seconds_in_state=890.0,
        )
    )

    assert message.reasons == ("The DAG is paused. nobody runs it.", "The pool is full. by b.")
    assert message.hint.startswith("Unpause it.")
    assert "14 m 50 s" in message.detail


def test_timeout_names_failed_tasks() -> None:
    tasks = (a_task("a", state="failed"), a_task("b", state="running"))
    message = outcome_message(
        an_outcome(
            result="timeout",
            run=a_run(state="running", end_date=None),
            tasks=tasks,
            blockers=BLOCKERS,
        )
    )

    assert len(message.reasons) == 3
    assert "a" in message.reasons[-1]


@pytest.mark.parametrize(
    ("stopped", "part"),
    [
        ("left", "on_timeout: leave"),
        ("yes", "was stopped"),
        ("unconfirmed", "did not confirm"),
        (None, "on_timeout: leave"),
    ],
)
def test_timeout_says_whether_the_run_goes_on(stopped: StopStatus | None, part: str) -> None:
    message = outcome_message(
        an_outcome(
            result="timeout", run=a_run(state="running", end_date=None), tasks=(), stopped=stopped
        )
    )

    assert part in message.detail


def test_error_keeps_its_own_text() -> None:
    for outcome in (Outcome(result="error", error=ERROR), an_outcome(result="error", error=ERROR)):
        message = outcome_message(outcome)
        assert (message.title, message.detail, message.hint) == (
            ERROR.title,
            ERROR.detail,
            ERROR.hint,
        )


@pytest.mark.parametrize("result", get_args(Result))
@pytest.mark.parametrize("taken_over", [None, *get_args(TakenOver)])
def test_every_result_has_a_title_and_every_failure_a_hint(
    result: Result, taken_over: TakenOver | None
) -> None:
    whole = an_outcome(
        result=result, taken_over=taken_over, error=ERROR if result == "error" else None
    )
    for outcome in (whole, whole._replace(tasks=None)):
        message = outcome_message(outcome)
        assert message.title
        assert message.detail
        assert message.hint or outcome.passes or result == "cancelled"
