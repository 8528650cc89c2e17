"""The listener's queue, on a virtual clock."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.listener import ManualReporter, raising

HOUR = 3600.0


@pytest.fixture
def manual(listener: Any, caplog: pytest.LogCaptureFixture) -> ManualReporter:
    """Return the reporter, with all log levels captured."""
    caplog.set_level(logging.INFO)
    return ManualReporter(listener)


def test_events_are_reported_once_and_in_order(
    manual: ManualReporter, caplog: pytest.LogCaptureFixture
) -> None:
    assert manual.reporter.step() is None
    for run_id in ("r1", "r2"):
        manual.note(run_id)
    assert manual.reporter.step() == 0.0
    assert manual.tried == [(0.0, "r1", "success")]
    manual.advance(HOUR)
    assert [run_id for _, run_id, _ in manual.tried] == ["r1", "r2"]
    assert manual.reporter.step() is None
    assert caplog.messages == []


def test_only_the_last_event_of_a_run_is_reported(manual: ManualReporter) -> None:
    """The same run id in another DAG is another run."""
    for state in ("running", "failed", "success"):
        manual.note("r1", state)
    assert manual.waiting == ["r1"]
    manual.advance(1)
    assert manual.tried == [(0.0, "r1", "success")]


def test_event_during_a_report_is_reported_afterwards(
    manual: ManualReporter, listener: Any
) -> None:
    for error in (
        None,
        listener.NotCommittedError(),
        listener.TransientError("503"),
        listener.PermanentError("404"),
    ):
        manual.tried.clear()

        def outcome(_: str, state: str | None, error: Any = error) -> bool:
            if state == "running":
                manual.note("r1", "success")
                if error:
                    raise error
            return True

        manual.outcome = outcome
        manual.note("r1", "running")
        manual.advance(HOUR)
        assert [state for *_, state in manual.tried] == ["running", "success"]
        assert manual.waiting == []


def test_full_queue_drops_new_runs_and_logs_it_once(
    manual: ManualReporter, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(listener.MAX_WAITING + 50):
        manual.note(f"r{number}")
    manual.note("r0", "failed")
    assert len(manual.waiting) == listener.MAX_WAITING == 1000
    assert caplog.messages == ["1000 DAG runs wait to be reported to GitHub: dropping further ones"]
    manual.advance(1)
    assert len(manual.tried) == 1000
    assert (0.0, "r0", "failed") in manual.tried
    for number in range(listener.MAX_WAITING + 1):
        manual.note(f"r{number}")
    assert len(caplog.messages) == 2


def test_uncommitted_state_is_read_again_for_half_a_minute(
    manual: ManualReporter, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Four times a second."""

    def outcome(_: str, state: str | None) -> bool:
        if state is not None:
            raise listener.NotCommittedError
        return True

    manual.outcome = outcome
    manual.note("r1")
    manual.advance(2)
    assert [moment for moment, *_ in manual.tried] == [0.25 * number for number in range(8)]
    manual.advance(HOUR)
    assert {state for moment, _, state in manual.tried if moment <= 30} == {"success"}
    assert manual.tried[-1] == (30.25, "r1", None)
    assert (manual.waiting, caplog.messages) == ([], [])


def test_uncommitted_run_does_not_block_the_others(manual: ManualReporter, listener: Any) -> None:
    manual.outcome = lambda run_id, _: run_id != "r1" or raising(listener.NotCommittedError())()
    for run_id in ("r1", "r2", "r3"):
        manual.note(run_id)
    manual.advance(0.1)
    assert [run_id for _, run_id, _ in manual.tried] == ["r1", "r2", "r3"]


def test_event_just_before_the_thread_sleeps_is_reported_at_once(
    manual: ManualReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step() -> float | None:
        if manual.waiting:
            raise EOFError
        manual.note("r1")
        return None

    monkeypatch.setattr(manual.reporter, "step", step)
    monkeypatch.setattr(manual.reporter._condition, "wait", lambda _: pytest.fail("It rests"))
    with pytest.raises(EOFError):
        manual.reporter._work()
