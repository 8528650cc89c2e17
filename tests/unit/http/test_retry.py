"""Retrying transient errors with backoff."""

from __future__ import annotations

import pytest

from entrypoint.deadline import Deadline
from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.retry import BACKOFF_SECONDS, Retrier
from tests.support.scripted import Harness, RecordingProgress, ScriptedCall
from tests.support.virtual_time import VirtualTime

DOWN = TransientError("down", "detail", "hint")
BUSY = TransientError("busy", "detail", "hint", status=429, retry_after=30.0)
LOGIN_PAGE = UnexpectedResponse("login page", "detail", "hint")


def test_backoff_grows_with_each_failure_up_to_a_minute() -> None:
    harness = Harness()
    assert (
        harness.retrier.within(harness.deadline(1000)).read(ScriptedCall([DOWN] * 8 + ["answer"]))
        == "answer"
    )
    assert harness.time.slept == [*BACKOFF_SECONDS, BACKOFF_SECONDS[-1], BACKOFF_SECONDS[-1]]


def test_pauses_have_jitter_and_a_minimum() -> None:
    pauses = []
    for _ in range(50):
        time = VirtualTime()
        retrier = Retrier(time.clock, time.sleep, RecordingProgress())
        retrier.within(Deadline.after(time.clock, 100)).read(ScriptedCall([DOWN, "answer"]))
        pauses += time.slept
    assert all(BACKOFF_SECONDS[0] / 2 <= pause <= BACKOFF_SECONDS[0] for pause in pauses)
    assert len(set(pauses)) > 10


def test_longer_retry_after_wins_over_backoff() -> None:
    harness = Harness()
    harness.retrier.within(harness.deadline(100)).read(ScriptedCall([BUSY, "answer"]))
    assert harness.time.slept == [30.0]


def test_pause_ends_at_the_deadline_and_raises_the_last_error() -> None:
    harness = Harness()
    with pytest.raises(TransientError) as caught:
        harness.retrier.within(harness.deadline(45)).read(ScriptedCall([BUSY] * 9))
    assert caught.value is BUSY
    assert sum(harness.time.slept) == 45


@pytest.mark.parametrize(("unexpected", "survives"), [(True, True), (False, False)])
def test_unexpected_response_is_retried_only_after_the_trigger(
    unexpected: bool, survives: bool
) -> None:
    """Before the trigger a login page means a wrong URL, afterwards a restarting gateway."""
    harness, script = Harness(), ScriptedCall([LOGIN_PAGE, "answer"])
    if survives:
        assert (
            harness.retrier.within(harness.deadline(100)).read(script, retry_unexpected=unexpected)
            == "answer"
        )
    else:
        with pytest.raises(UnexpectedResponse):
            harness.retrier.within(harness.deadline(100)).read(script, retry_unexpected=unexpected)
        assert harness.time.slept == []


def test_every_retry_is_counted_and_reported() -> None:
    harness = Harness()
    harness.retrier.within(harness.deadline(100)).read(ScriptedCall([DOWN, LOGIN_PAGE, "answer"]))
    assert (harness.retrier.retries, harness.progress.faults) == (2, [DOWN, LOGIN_PAGE])


def test_poll_interval_has_jitter() -> None:
    time = VirtualTime()
    retrier = Retrier(time.clock, time.sleep, RecordingProgress())
    pauses = [retrier.jittered(10.0) for _ in range(100)]

    assert all(9 <= pause <= 11 for pause in pauses)
    assert len(set(pauses)) > 90
