"""Waiting for the end of a DAG run: from polled and streamed states to the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from math import ceil, inf
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.deadline import Deadline
from entrypoint.errors import (
    Forbidden,
    GatewayRefused,
    NotSupported,
    RunNotFound,
    StateUnknown,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import REFUSAL_SECONDS
from entrypoint.models import DagRun
from entrypoint.run.polling import FollowedRun, WaitLimits, poll
from entrypoint.run.schedule import UsualDuration
from entrypoint.run.streaming import MAX_STREAM_SECONDS, stream_interval
from tests.support.factories import START
from tests.support.scripted import Harness, ScriptedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.http.retry import Retrier
    from tests.support.scripted import RecordingProgress
    from tests.support.virtual_time import VirtualTime

DOWN = TransientError("down", "", "")
LOGIN_PAGE = UnexpectedResponse("login page", "", "")
REFUSED = Unauthorized("refused", "", "")
MISSING = Forbidden("missing", "", "")
GATEWAY = GatewayRefused("gateway", "", "")


def run_in(state: Any) -> DagRun:
    return DagRun("sales", "r1", state, {})


QUEUED, RUNNING, SUCCESS, FAILED = (
    run_in("queued"),
    run_in("running"),
    run_in("success"),
    run_in("failed"),
)


def limits(harness: Harness, timeout: float = 600.0, **more: Any) -> WaitLimits:
    return WaitLimits(harness.time.now, harness.deadline(timeout), **more)


def wait_for_end(
    airflow: Any,
    run: DagRun,
    retrier: Retrier,
    limits: WaitLimits,
    *,
    on_poll: Callable[[DagRun], None] = lambda _: None,
    next_poll: Callable[[DagRun], float] = lambda _: inf,
) -> tuple[DagRun, float]:
    """Return the last run, and since when it was in its state.

    `on_poll` gets the run after each poll that is not the last.
    """
    followed = FollowedRun(run, limits, retrier.clock(), next_poll, retrier.events.run_state)
    for number, seen in enumerate(poll(airflow, [followed], retrier)):
        assert seen is followed
        if number and not seen.run.ended:
            on_poll(seen.run)
    assert followed.done
    if followed.error is not None:
        raise followed.error
    return followed.run, followed.since


@dataclass
class PollingAirflow:
    get_run: ScriptedCall
    now: Any = None
    stream_states: ScriptedCall = field(
        default_factory=lambda: ScriptedCall([NotSupported("no", "", "")])
    )

    def within(self, _: Deadline) -> PollingAirflow:
        return self


def poll_to_end(
    polls: list[Any], *, start: DagRun = QUEUED, **times: Any
) -> tuple[DagRun, VirtualTime, RecordingProgress, float]:
    """Return the last run, the clock, the recorder, and when the last state began."""
    harness = Harness()
    airflow: Any = PollingAirflow(ScriptedCall(polls))
    last, entered = wait_for_end(
        airflow,
        start,
        harness.retrier,
        limits(harness, **times),
    )
    return last, harness.time, harness.progress, entered


@pytest.mark.parametrize(
    ("polls", "end"),
    [
        ([QUEUED, RUNNING, SUCCESS], SUCCESS),
        ([RUNNING, FAILED], FAILED),
        ([SUCCESS], SUCCESS),
        ([DOWN, DOWN, RUNNING, DOWN, SUCCESS], SUCCESS),
        ([LOGIN_PAGE, RUNNING, LOGIN_PAGE, FAILED], FAILED),
        ([None, RUNNING, None, SUCCESS], SUCCESS),
        ([REFUSED, RUNNING, MISSING, SUCCESS], SUCCESS),
        ([RUNNING, QUEUED, RUNNING, SUCCESS], SUCCESS),
    ],
)
def test_end_of_the_run_ends_the_wait_despite_errors(polls: list[Any], end: DagRun) -> None:
    assert poll_to_end(polls)[0] == end


@pytest.mark.parametrize(
    ("polls", "error"),
    [
        ([RUNNING, *[None] * 99], RunNotFound),
        ([REFUSED] * 99, Unauthorized),
        ([RUNNING, *[MISSING] * 99], Forbidden),
        ([RUNNING, *[None, REFUSED] * 50], (Unauthorized, RunNotFound)),
    ],
)
def test_missing_run_or_refusal_ends_the_wait_after_a_minute(polls: list[Any], error: Any) -> None:
    script = ScriptedCall(polls)
    harness = Harness()
    airflow: Any = PollingAirflow(script)
    with pytest.raises(error):
        wait_for_end(airflow, QUEUED, harness.retrier, limits(harness, timeout=3600.0))
    assert harness.time.now >= 1000 + REFUSAL_SECONDS
    assert harness.time.now <= 1000 + 3 * REFUSAL_SECONDS


@pytest.mark.parametrize("refusal", [None, REFUSED, MISSING])
@pytest.mark.parametrize("polls", [1, 2, 3])
def test_short_refusals_do_not_end_the_wait(refusal: Any, polls: int) -> None:
    assert (
        poll_to_end([RUNNING, *[refusal] * polls, RUNNING, *[refusal] * polls, SUCCESS])[0]
        == SUCCESS
    )


def test_timeout_returns_the_last_seen_run() -> None:
    last, time, _, _ = poll_to_end([RUNNING] * 1000, timeout=90.0)
    assert (last, time.now) == (RUNNING, 1090.0)


def test_timeout_without_responses_names_the_length_of_the_silence() -> None:
    with pytest.raises(StateUnknown, match=r"For 90 s no request .* last known state is queued"):
        poll_to_end([DOWN] * 1000, timeout=90.0)
    with pytest.raises(StateUnknown, match=r"last known state is running"):
        poll_to_end([RUNNING, *[DOWN, LOGIN_PAGE] * 500], timeout=90.0)
    assert poll_to_end([DOWN, DOWN, *[RUNNING] * 1000], timeout=90.0)[0] == RUNNING


@pytest.mark.parametrize("fault", [DOWN, LOGIN_PAGE, REFUSED, MISSING, GATEWAY, None])
def test_unconfirmed_refusal_at_the_deadline_is_an_unknown_state(fault: Any) -> None:
    with pytest.raises(StateUnknown, match=r"For 40 s no request .* last known state is running"):
        poll_to_end([RUNNING, RUNNING, *[fault] * 99], timeout=60.0, poll_interval=10.0)


@pytest.mark.parametrize("fault", [DOWN, LOGIN_PAGE, REFUSED, MISSING, GATEWAY, None])
@pytest.mark.parametrize(("interval", "timeout"), [(10.0, 60.0), (4.0, 60.0), (45.0, 90.0)])
def test_failed_last_poll_is_a_timeout_with_the_last_state(
    fault: Any, interval: float, timeout: float
) -> None:
    good = ceil(timeout / interval) - 1
    last, time, _, _ = poll_to_end(
        [RUNNING] * good + [fault] * 9, timeout=timeout, poll_interval=interval
    )
    assert (last, time.now) == (RUNNING, 1000.0 + timeout)


@pytest.mark.parametrize("fault", [DOWN, MISSING, None])
def test_start_timeout_applies_while_airflow_does_not_respond(fault: Any) -> None:
    harness = Harness()
    airflow: Any = PollingAirflow(ScriptedCall([fault] * 999))
    with pytest.raises(StateUnknown, match=r"For 30 s no request .* last known state is queued"):
        wait_for_end(
            airflow,
            QUEUED,
            harness.retrier,
            limits(harness, timeout=3600.0, start_timeout=30.0),
        )
    assert harness.time.now == 1030.0
    assert (
        poll_to_end([QUEUED, fault, fault, *[RUNNING] * 9, SUCCESS], start_timeout=30.0)[0]
        == SUCCESS
    )


def test_start_timeout_ends_the_wait_only_for_a_queued_run() -> None:
    last, time, _, _ = poll_to_end([QUEUED] * 1000, start_timeout=30.0)
    assert (last, time.now) == (QUEUED, 1030.0)
    assert poll_to_end([QUEUED] * 3 + [RUNNING] * 20 + [SUCCESS], start_timeout=30.0)[0] == SUCCESS


def test_time_in_the_last_state_counts_from_its_first_poll() -> None:
    _, _, _, entered = poll_to_end([RUNNING] * 1000, timeout=90.0, poll_interval=10.0)
    assert entered == 1010.0


def test_poll_interval_is_used_for_every_pause() -> None:
    _, time, _, _ = poll_to_end([RUNNING] * 5 + [SUCCESS], poll_interval=7.0)
    assert time.slept == [7.0] * 6


def test_every_polled_state_is_reported() -> None:
    assert poll_to_end([RUNNING, RUNNING, SUCCESS])[2].states == [
        "queued",
        "running",
        "running",
        "success",
    ]


def test_callback_runs_after_every_successful_poll_but_the_last() -> None:
    harness, seen = Harness(), list[tuple[str, int]]()
    airflow: Any = PollingAirflow(ScriptedCall([QUEUED, DOWN, None, RUNNING, RUNNING, SUCCESS]))
    times = limits(harness, timeout=600.0)
    wait_for_end(
        airflow,
        QUEUED,
        harness.retrier,
        times,
        on_poll=lambda run: seen.append((run.state, airflow.get_run.calls)),
    )
    assert seen == [("queued", 1), ("running", 4), ("running", 5)]


def test_ended_run_is_not_polled() -> None:
    last, time, _, _ = poll_to_end([], start=FAILED)
    assert (last, time.slept) == (FAILED, [])


@given(
    polls=st.lists(st.sampled_from([QUEUED, RUNNING, DOWN, LOGIN_PAGE]), max_size=30),
    end=st.sampled_from([SUCCESS, FAILED]),
    timeout=st.floats(1, 5000),
)
def test_any_sequence_of_responses_ends_by_the_timeout_with_a_real_state(
    polls: list[Any], end: DagRun, timeout: float
) -> None:
    try:
        last, time, _, _ = poll_to_end([*polls, *[end] * 10000], timeout=timeout, start_timeout=inf)
    except StateUnknown:
        return
    assert time.now <= 1000.0 + timeout + 1e-6
    assert last.state in ("queued", "running") or last == end


@pytest.mark.parametrize(
    ("start", "now", "pauses"),
    [
        (None, None, [5.0, 5.59, 8.14]),  # begins with the first poll that shows it running
        (START, START, [5.0, 5.59, 8.14]),
        (START, START + timedelta(seconds=600), [2.88, 2.88, 2.88]),  # its end is likely
        (START, START - timedelta(seconds=30), [5.0, 5.59, 8.14]),  # clocks differ
    ],
)
def test_polls_follow_the_usual_duration_from_the_runs_start(
    start: Any, now: Any, pauses: list[float]
) -> None:
    harness = Harness()
    running = RUNNING._replace(start_date=start)
    airflow: Any = PollingAirflow(ScriptedCall([running, running, SUCCESS]), now)
    times = limits(harness, expected=UsualDuration(600.0, 0.1))
    wait_for_end(airflow, running, harness.retrier, times)

    assert harness.time.slept == pytest.approx(pauses, abs=0.01)


def test_poll_interval_wins_over_history_without_jitter() -> None:
    harness = Harness()
    airflow: Any = PollingAirflow(ScriptedCall([RUNNING, SUCCESS]))
    wait_for_end(
        airflow,
        RUNNING,
        harness.retrier,
        limits(harness, poll_interval=7.0, expected=UsualDuration(600.0, 0.1)),
    )

    assert harness.time.slept == [7.0, 7.0]


class StreamingAirflow:
    now = None

    def __init__(self, time: VirtualTime, streams: list[list[Any]], polls: list[Any]) -> None:
        self.get_run = ScriptedCall(polls)
        self.streams = streams
        self.intervals: list[float] = []
        self._time = time

    def within(self, _: Deadline) -> StreamingAirflow:
        return self

    def stream_states(
        self, _run: DagRun, interval: float, take: Callable[[Any], bool], *_limits: float
    ) -> None:
        self.intervals.append(interval)
        for place, state in enumerate(self.streams.pop(0) if self.streams else ["running"] * 1000):
            if isinstance(state, Exception):
                raise state
            if place:
                self._time.now += interval
            if not take(state):
                return


def stream_to_end(
    streams: list[list[Any]],
    polls: list[Any],
    due: Callable[[DagRun], float] = lambda _: inf,
    **times: Any,
) -> tuple[DagRun, Harness, StreamingAirflow]:
    harness = Harness()
    airflow: Any = StreamingAirflow(harness.time, streams, polls)
    last, _ = wait_for_end(
        airflow,
        QUEUED,
        harness.retrier,
        limits(harness, **times),
        next_poll=due,
    )
    return last, harness, airflow


@pytest.mark.parametrize(("streamed", "end"), [("success", FAILED), ("failed", SUCCESS)])
def test_streamed_end_is_confirmed_by_one_poll_without_a_pause(streamed: str, end: DagRun) -> None:
    last, harness, airflow = stream_to_end([["queued", "running", "running", streamed]], [end])

    assert last == end
    assert harness.time.slept == []
    assert harness.progress.states == ["queued", "queued", "running", "running", end.state]
    assert airflow.get_run.calls == 1


@pytest.mark.parametrize(
    ("elapsed", "seconds"),
    [(0, 1), (39, 1), (40, 2), (599, 2), (600, 3), (1799, 3), (1800, 5), (86_400, 5)],
)
def test_stream_interval_grows_with_the_duration(elapsed: float, seconds: float) -> None:
    assert stream_interval(elapsed) == seconds


@pytest.mark.parametrize(
    ("next_update", "seconds"), [(10.0, 1.0), (0.5, 0.5), (0.0, 0.1), (-5.0, 0.1)]
)
def test_stream_interval_is_limited_by_the_next_update(next_update: float, seconds: float) -> None:
    """It is never zero."""
    harness, seen = Harness(), list[DagRun]()
    airflow: Any = StreamingAirflow(harness.time, [["queued"] * 100, ["success"]], [SUCCESS])
    times = limits(harness, timeout=60.0)
    wait_for_end(
        airflow,
        QUEUED,
        harness.retrier,
        times,
        on_poll=seen.append,
        next_poll=lambda _: inf if seen else 1000.0 + next_update,
    )
    assert airflow.intervals == [seconds, 1.0]
    assert harness.time.now <= 1000 + max(next_update, 0.0) + seconds


def test_streamed_change_with_a_due_update_ends_the_stream() -> None:
    harness, seen = Harness(), list[tuple[str, float]]()
    airflow: Any = StreamingAirflow(
        harness.time, [["queued"] * 3 + ["running"] * 9, ["success"]], [SUCCESS]
    )
    wait_for_end(
        airflow,
        QUEUED,
        harness.retrier,
        limits(harness, timeout=60.0),
        on_poll=lambda run: seen.append((run.state, harness.time.now)),
        next_poll=lambda run: inf if run.state == "queued" or seen else harness.time.now,
    )
    assert seen == [("running", 1003.0)]


def test_streams_follow_each_other_without_a_poll() -> None:
    """Their interval grows."""
    last, harness, airflow = stream_to_end([], [RUNNING], timeout=3600.0)

    assert (last.state, airflow.get_run.calls) == ("running", 1)  # the poll at the deadline
    assert 3600 <= harness.time.now - 1000 <= 3605
    assert sorted(set(airflow.intervals)) == [*airflow.intervals[:1], 2.0, 3.0, 5.0]
    assert airflow.intervals == sorted(airflow.intervals)
    assert len(airflow.intervals) <= 3600 / MAX_STREAM_SECONDS + 2


def test_stream_ends_when_an_update_is_due() -> None:
    harness, seen = Harness(), list[tuple[str, float]]()
    airflow: Any = StreamingAirflow(harness.time, [], [SUCCESS])
    times = limits(harness, timeout=25.0)

    def due(_: DagRun) -> float:
        return (seen[-1][1] if seen else 1000.0) + 10

    def record(run: DagRun) -> None:
        seen.append((run.state, harness.time.now))

    wait_for_end(airflow, QUEUED, harness.retrier, times, on_poll=record, next_poll=due)
    assert seen == [("running", 1010.0), ("running", 1020.0)]


@pytest.mark.parametrize("poll_interval", [None, 30.0])
def test_a_consumer_reads_its_tasks_between_two_polls_without_postponing_them(
    poll_interval: float | None,
) -> None:
    """Until then the run is not streamed, and is polled as often as otherwise."""
    harness, seen = Harness(), list[float]()
    airflow: Any = StreamingAirflow(harness.time, [], [RUNNING] * 99)
    times = limits(harness, timeout=60.0, poll_interval=poll_interval)
    followed = FollowedRun(
        RUNNING, times, harness.time.now, next_read=lambda _: (seen or [1000.0])[-1] + 1.5
    )
    for _ in poll(airflow, [followed], harness.retrier):
        seen.append(harness.time.now)
    assert harness.time.now == 1060.0
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 1.5
    assert len(seen) <= 60 / 1.5 + airflow.get_run.calls + 2
    plain = Harness()
    polled: Any = PollingAirflow(ScriptedCall([RUNNING] * 99))
    wait_for_end(
        polled, RUNNING, plain.retrier, limits(plain, timeout=60.0, poll_interval=poll_interval)
    )
    assert airflow.get_run.calls == polled.get_run.calls
    assert airflow.intervals == []


def test_start_timeout_ends_the_stream_of_a_queued_run() -> None:
    last, harness, _ = stream_to_end([["queued"] * 1000], [QUEUED], start_timeout=30.0)

    assert (last.state, harness.time.now) == ("queued", 1030.0)


@pytest.mark.parametrize(
    "broken", [[], [DOWN], [LOGIN_PAGE], ["running"], ["running", DOWN], [REFUSED]]
)
def test_two_failed_streams_in_a_row_disable_streaming(broken: list[Any]) -> None:
    """Each is followed by a pause and a poll."""
    last, harness, airflow = stream_to_end([broken, broken, ["success"]], [RUNNING] * 5 + [SUCCESS])

    assert last == SUCCESS
    assert airflow.streams == [["success"]]
    assert len(harness.time.slept) == 6
    assert min(harness.time.slept) >= 1.0


def test_successful_stream_resets_the_failures() -> None:
    last, _, airflow = stream_to_end(
        [[DOWN], ["running"] * 100, [DOWN], ["running"] * 100, ["failed"]], [RUNNING] * 2 + [FAILED]
    )

    assert (last, airflow.streams) == (FAILED, [])


def test_unconfirmed_streamed_ends_disable_streaming() -> None:
    last, harness, airflow = stream_to_end([["success"]] * 5, [RUNNING] * 4 + [FAILED])

    assert last == FAILED
    assert len(airflow.streams) == 3
    assert len(harness.time.slept) == 3


def test_poll_interval_disables_streaming() -> None:
    last, _, airflow = stream_to_end([["success"]], [RUNNING, SUCCESS], poll_interval=7.0)

    assert (last, airflow.intervals) == (SUCCESS, [])


@pytest.mark.parametrize("together", [1, 3])
def test_every_request_is_limited_by_the_step_and_by_the_timeout(together: int) -> None:
    """A server that hangs must not hold a poll until the timeout."""
    harness, deadlines = Harness(), list[Deadline]()

    class Watched(PollingAirflow):
        def within(self, deadline: Deadline) -> PollingAirflow:
            deadlines.append(deadline)
            return self

        def list_runs(self, _: object) -> dict[tuple[str, str], DagRun]:
            return {}

    airflow: Any = Watched(ScriptedCall([RUNNING] * 99))
    until = harness.deadline(20.0)
    limit = WaitLimits(harness.time.now, until.limited(5.0), poll_interval=7.0)
    runs = [FollowedRun(QUEUED, limit, harness.time.now) for _ in range(together)]
    assert len(list(poll(airflow, runs, harness.retrier))) == 4 * together
    assert deadlines == [until.limited(5.0)] * 3
