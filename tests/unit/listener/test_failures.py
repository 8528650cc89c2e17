"""The listener's retries after failures, on a virtual clock."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest

from tests.support.listener import ManualReporter, raising

HOUR = 3600.0


@pytest.fixture
def manual(listener: Any, caplog: pytest.LogCaptureFixture) -> ManualReporter:
    """Return the reporter, with all log levels captured."""
    caplog.set_level(logging.INFO)
    return ManualReporter(listener)


def test_pauses_grow_to_a_minute_and_failure_is_logged_once(
    manual: ManualReporter, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The recovery is logged as well."""
    manual.outcome = raising(listener.TransientError("GET /x answered 503"))
    for run_id in ("r1", "r2"):
        manual.note(run_id)
    manual.advance(200)
    assert [moment for moment, *_ in manual.tried] == [0, 2, 7, 17, 37, 77, 137, 197]
    manual.outcome = lambda *_: True
    manual.note("r3")
    manual.advance(57)
    manual.advance(1)
    assert sorted(manual.tried[8:]) == [(257.0, run_id, "success") for run_id in ("r1", "r2", "r3")]
    assert caplog.messages == [
        "Reports to GitHub fail and are retried for an hour: GET /x answered 503",
        "Reports to GitHub work again",
    ]
    manual.outcome = raising(listener.TransientError("GET /x answered 502"))
    manual.note("r4")
    manual.advance(3)
    assert [moment for moment, *_ in manual.tried[11:]] == [258.0, 260.0]
    assert len(caplog.messages) == 3


def test_longer_retry_after_of_github_pauses_all_runs(
    manual: ManualReporter, listener: Any
) -> None:
    manual.outcome = raising(listener.TransientError("429", 100.0))
    manual.note("r1")
    manual.advance(1)
    manual.outcome = lambda *_: True
    manual.note("r2")
    manual.advance(98.9)
    assert len(manual.tried) == 1
    manual.advance(1)
    assert [moment for moment, *_ in manual.tried[1:]] == [100.0, 100.0]
    manual.outcome = raising(listener.TransientError("429", 1.0))
    manual.note("r3")
    manual.advance(2.1)
    assert len(manual.tried) == 5


def test_report_is_given_up_after_an_hour_with_one_log_line(
    manual: ManualReporter, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    manual.outcome = raising(listener.TransientError("GET /x answered 503"))
    for run_id in ("r1", "r2"):
        manual.note(run_id)
    manual.advance(HOUR - 1)
    assert manual.waiting == ["r1", "r2"]
    manual.advance(HOUR)
    assert manual.waiting == []
    assert caplog.messages[1:] == [
        f"Could not report the DAG run {run_id} of sales to GitHub: GET /x answered 503"
        for run_id in ("r1", "r2")
    ]


def test_permanent_error_is_logged_and_not_retried(
    manual: ManualReporter, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of an unexpected exception is not logged."""
    for run_id, error in (
        ("r1", listener.PermanentError("404 'Not Found'")),
        ("r2", KeyError("Zq8")),
        ("r3", OSError()),
    ):
        manual.outcome = raising(error)
        manual.note(run_id)
        manual.advance(HOUR)
    assert (len(manual.tried), manual.waiting) == (3, [])
    assert caplog.messages == [
        f"Could not report the DAG run {run_id} of sales to GitHub: {why}"
        for run_id, why in (("r1", "404 'Not Found'"), ("r2", "KeyError"), ("r3", "OSError"))
    ]


def test_failing_run_does_not_block_the_others(manual: ManualReporter, listener: Any) -> None:
    manual.outcome = lambda run_id, _: run_id != "r1" or raising(listener.TransientError("502"))()
    for run_id in ("r1", "r2", "r3"):
        manual.note(run_id)
    manual.advance(2.1)
    assert manual.waiting == ["r1"]
    manual.note("r4")
    manual.advance(60)
    assert manual.waiting == ["r1"]
    manual.advance(2 * HOUR)
    assert manual.waiting == []


def test_pause_counts_from_the_end_of_the_attempt(manual: ManualReporter, listener: Any) -> None:
    def outcome(*_: Any) -> bool:
        manual.time.now += 20
        raise errors.pop()

    errors = [
        listener.TransientError("Timeout"),
        listener.TransientError("429", 30.0),
        listener.NotCommittedError(),
    ]
    manual.outcome = outcome
    manual.note("r1")
    for wait in (0.25, 30.0, 5.0):
        assert manual.reporter.step() == 0.0
        assert manual.reporter.step() == wait
        manual.time.now += wait


def test_reports_that_are_given_up_still_pause(manual: ManualReporter, listener: Any) -> None:
    manual.outcome = raising(listener.TransientError("503", 60.0))
    for number in range(20):
        manual.note(f"r{number}")
    manual.advance(3 * HOUR)
    moments = [moment for moment, *_ in manual.tried]
    assert min(later - earlier for earlier, later in pairwise(moments)) >= 60
    assert manual.waiting == []


def test_run_without_a_github_request_does_not_end_the_outage(
    manual: ManualReporter, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    manual.outcome = lambda run_id, _: (
        not run_id.startswith("r") and raising(listener.TransientError("503"))()
    )
    manual.note("github")
    for number in range(20):
        manual.note(f"r{number}")
    manual.advance(100)
    assert manual.waiting == ["github"]
    assert [moment for moment, run_id, _ in manual.tried if run_id == "github"] == [
        0,
        2,
        7,
        17,
        37,
        77,
    ]
    assert len(caplog.messages) == 1
