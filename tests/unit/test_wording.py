"""Each outcome in words: title, evidence and the next thing to do."""

import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError
from entrypoint.models import CANCELLED, Outcome, Result, TakenOver
from entrypoint.report.wording import origin, took, words
from tests.support.nouns import a_run, a_task, an_outcome

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
    assert took(seconds) == text


@given(st.floats(0, 35 * 86_400))
def test_took_never_shows_sixty(seconds: float) -> None:
    """No rounding ever shows 60 seconds or 60 minutes."""
    assert not re.search(r"\b60(\.0)? [sm]", took(seconds))


@pytest.mark.parametrize("taken_over", [None, *get_args(TakenOver)])
def test_origin(taken_over: TakenOver | None) -> None:
    """Where the DAG run comes from is said in every case."""
    assert origin(an_outcome(taken_over=taken_over))


def test_success() -> None:
    """A success says which DAG and how long, and leaves nothing to do."""
    said = words(an_outcome())

    assert said.title == "DAG run succeeded"
    assert said.detail == "Airflow ended the run of nightly_sales as success after 2 m 12 s."
    assert said.hint == ""


def test_success_with_failed_tasks() -> None:
    """A success with failed tasks says so, and names them."""
    said = words(an_outcome(tasks=(a_task("a", state="failed"), a_task("b"))))

    assert said.detail.endswith("Yet not every task succeeded. Failed: a.")


def test_success_without_tasks() -> None:
    """A success that ran nothing at all is worth a question."""
    assert "no task at all" in words(an_outcome(tasks=())).detail
    assert "no task at all" not in words(an_outcome(tasks=None)).detail


def test_triggered() -> None:
    """A run that is not waited for was accepted, and its state is the one of that moment."""
    said = words(an_outcome(result="triggered", run=a_run(state="queued"), tasks=None))

    assert said.title == "DAG run triggered"
    assert "nightly_sales (queued)" in said.detail


@pytest.mark.parametrize(
    ("tasks", "ending"),
    [
        ((a_task("a", state="failed"), a_task("b", state="upstream_failed")), "Failed: a."),
        (tuple(a_task("m", state="failed", map_index=n) for n in range(2)), "Failed: m[0], m[1]."),
        (
            tuple(a_task(f"t{n}", state="failed") for n in range(12)),
            "Failed: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 2 more.",
        ),
        ((a_task(),), "failed by hand."),
        (None, "Its tasks could not be read."),
    ],
)
def test_failed(tasks: Any, ending: str) -> None:
    """A failure names the failed tasks, counts them when they are many, and explains when there are none."""
    said = words(an_outcome(result="failed", run=a_run(state="failed"), tasks=tasks))

    assert said.title == "DAG run failed"
    assert said.detail.startswith("Airflow ended the run of nightly_sales as failed after 2 m 12 s.")
    assert said.detail.endswith(ending)
    assert said.hint


def test_failed_because_it_was_cancelled() -> None:
    """A run that a cancelled workflow stopped has failed for that reason, whatever Airflow shows."""
    said = words(an_outcome(result="failed", run=a_run(state="success", note=f"why {CANCELLED}")))

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
    """A timeout tells a run that never started from one that is still at work, and how long that was."""
    said = words(an_outcome(result="timeout", run=run, tasks=None, waited=3600.0))

    assert said.title == title
    assert "1 h 00 m" in said.detail
    assert said.hint


def test_error() -> None:
    """An error speaks for itself, whatever is known besides."""
    for outcome in (Outcome(result="error", error=ERROR), an_outcome(result="error", error=ERROR)):
        said = words(outcome)
        assert (said.title, said.detail, said.hint) == (ERROR.title, ERROR.detail, ERROR.hint)


@pytest.mark.parametrize("result", get_args(Result))
@pytest.mark.parametrize("taken_over", [None, *get_args(TakenOver)])
def test_every_result_has_words(result: Result, taken_over: TakenOver | None) -> None:
    """There are words for every result, with and without tasks, and what is not a pass leaves something to do."""
    whole = an_outcome(result=result, taken_over=taken_over, error=ERROR if result == "error" else None)
    for outcome in (whole, replace(whole, tasks=None)):
        said = words(outcome)
        assert said.title
        assert said.detail
        assert said.hint or outcome.passes or result == "cancelled"
