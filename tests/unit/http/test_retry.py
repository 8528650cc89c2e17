"""Riding out failures that pass."""

from __future__ import annotations

import pytest

from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.retry import BACKOFF_SECONDS, Retrier
from tests.support.scripted import Bench, Recorder, Script
from tests.support.virtual_time import VirtualTime

DOWN = TransientError("down", "detail", "hint")
BUSY = TransientError("busy", "detail", "hint", status=429, retry_after=30.0)
LOGIN_PAGE = UnexpectedResponse("login page", "detail", "hint")


def test_pauses_grow_with_the_failures_in_a_row() -> None:
    """Each failure in a row is followed by a longer pause, up to a minute."""
    bench = Bench()
    assert (
        bench.retrier.read(Script([DOWN] * 8 + ["answer"]), until=bench.time.now + 1000) == "answer"
    )
    assert bench.time.slept == [*BACKOFF_SECONDS, BACKOFF_SECONDS[-1], BACKOFF_SECONDS[-1]]


def test_pauses_are_spread_and_never_fast() -> None:
    """Waiters do not come back in step, and none comes back at once."""
    pauses = []
    for _ in range(50):
        time = VirtualTime()
        Retrier(time.clock, time.sleep, Recorder()).read(
            Script([DOWN, "answer"]), until=time.now + 100
        )
        pauses += time.slept
    assert all(BACKOFF_SECONDS[0] / 2 <= pause <= BACKOFF_SECONDS[0] for pause in pauses)
    assert len(set(pauses)) > 10


def test_a_server_that_names_a_time_is_given_it() -> None:
    """Retry-After wins over a shorter pause."""
    bench = Bench()
    bench.retrier.read(Script([BUSY, "answer"]), until=bench.time.now + 100)
    assert bench.time.slept == [30.0]


def test_no_pause_outlasts_the_deadline() -> None:
    """A pause ends at the deadline, and the last failure is raised then."""
    bench = Bench()
    with pytest.raises(TransientError) as caught:
        bench.retrier.read(Script([BUSY] * 9), until=bench.time.now + 45)
    assert caught.value is BUSY
    assert sum(bench.time.slept) == 45


@pytest.mark.parametrize(("unexpected", "survives"), [(True, True), (False, False)])
def test_an_unexpected_answer_is_ridden_out_only_where_it_may_pass(
    unexpected: bool, survives: bool
) -> None:
    """Before the trigger a login page means a wrong URL; afterwards it is a gateway that is being
    replaced.
    """
    bench, script = Bench(), Script([LOGIN_PAGE, "answer"])
    if survives:
        assert (
            bench.retrier.read(script, until=bench.time.now + 100, retry_unexpected=unexpected)
            == "answer"
        )
    else:
        with pytest.raises(UnexpectedResponse):
            bench.retrier.read(script, until=bench.time.now + 100, retry_unexpected=unexpected)
        assert bench.time.slept == []


def test_everything_ridden_out_is_counted_and_told() -> None:
    """The summary's count and the log's lines are about the same failures."""
    bench = Bench()
    bench.retrier.read(Script([DOWN, LOGIN_PAGE, "answer"]), until=bench.time.now + 100)
    assert (bench.retrier.retries, bench.told.faults) == (2, [DOWN, LOGIN_PAGE])


def test_pauses_between_good_looks_differ() -> None:
    """Looks that go well are about so far apart as they should be, and never in step."""
    time = VirtualTime()
    retrier = Retrier(time.clock, time.sleep, Recorder())
    pauses = [retrier.jittered(10.0) for _ in range(100)]

    assert all(9 <= pause <= 11 for pause in pauses)
    assert len(set(pauses)) > 90
