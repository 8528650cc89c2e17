"""Waiting, as tables: what the looks show → how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil, inf
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from entrypoint.run.polling import WaitLimits, wait_for_end
from entrypoint.run.schedule import UsualDuration
from entrypoint.run.streaming import MAX_STREAM_SECONDS, stream_interval
from tests.support.factories import START
from tests.support.scripted import Bench, Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.scripted import Recorder
    from tests.support.virtual_time import VirtualTime

DOWN = TransientError("down", "", "")
LOGIN_PAGE = UnexpectedResponse("login page", "", "")
REFUSED = Unauthorized("refused", "", "")
MISSING = Forbidden("missing", "", "")
GATEWAY = GatewayRefused("gateway", "", "")


def run(state: Any) -> DagRun:
    """Return the run in this state."""
    return DagRun("sales", "r1", state, {})


QUEUED, RUNNING, SUCCESS, FAILED = run("queued"), run("running"), run("success"), run("failed")


@dataclass
class Looks:
    """An Airflow of which only the looks matter."""

    get_run: Script
    now: Any = None
    stream_states: Script = field(default_factory=lambda: Script([NotSupported("no", "", "")]))


def waited(
    looks: list[Any], *, start: DagRun = QUEUED, **times: Any
) -> tuple[DagRun, VirtualTime, Recorder, float]:
    """Wait through these looks; return the last run, the clock, what was told, and since when the
    state holds.
    """
    bench = Bench()
    airflow: Any = Looks(Script(looks))
    last, entered = wait_for_end(
        airflow,
        start,
        bench.retrier,
        WaitLimits(**{"since": bench.time.now, "timeout": 600.0, **times}),
    )
    return last, bench.time, bench.told, entered


@pytest.mark.parametrize(
    ("looks", "end"),
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
def test_the_run_s_own_end_ends_the_wait(looks: list[Any], end: DagRun) -> None:
    """Whatever is ridden out on the way, the end is Airflow's."""
    assert waited(looks)[0] == end


@pytest.mark.parametrize(
    ("looks", "error"),
    [
        ([RUNNING, *[None] * 99], RunNotFound),
        ([REFUSED] * 99, Unauthorized),
        ([RUNNING, *[MISSING] * 99], Forbidden),
        ([RUNNING, *[None, REFUSED] * 50], (Unauthorized, RunNotFound)),
    ],
)
def test_bad_news_must_be_said_for_a_minute(looks: list[Any], error: Any) -> None:
    """A run that is gone and a credential that is refused end the wait once several looks agree,
    and not at once.
    """
    script = Script(looks)
    bench = Bench()
    airflow: Any = Looks(script)
    with pytest.raises(error):
        wait_for_end(
            airflow, QUEUED, bench.retrier, WaitLimits(since=bench.time.now, timeout=3600.0)
        )
    assert bench.time.now >= 1000 + REFUSAL_SECONDS
    assert bench.time.now <= 1000 + 3 * REFUSAL_SECONDS


@pytest.mark.parametrize("news", [None, REFUSED, MISSING])
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_bad_news_that_pass_end_nothing(news: Any, looks: int) -> None:
    """A role that is just synchronised, a replica with another key, a cache: all is well again, and
    the run's end counts.
    """
    assert waited([RUNNING, *[news] * looks, RUNNING, *[news] * looks, SUCCESS])[0] == SUCCESS


def test_the_timeout_ends_the_wait() -> None:
    """At the deadline the run is returned as it was last seen."""
    last, time, _, _ = waited([RUNNING] * 1000, timeout=90.0)
    assert (last, time.now) == (RUNNING, 1090.0)


def test_the_timeout_ends_the_wait_for_a_server_that_is_gone() -> None:
    """Without any answer the wait ends at the deadline, too, and says for how long nothing was
    known.
    """
    with pytest.raises(StateUnknown, match=r"For 90 s nothing could be read.* last seen queued"):
        waited([DOWN] * 1000, timeout=90.0)
    with pytest.raises(StateUnknown, match=r"last seen running"):
        waited([RUNNING, *[DOWN, LOGIN_PAGE] * 500], timeout=90.0)
    assert waited([DOWN, DOWN, *[RUNNING] * 1000], timeout=90.0)[0] == RUNNING


@pytest.mark.parametrize("fault", [DOWN, LOGIN_PAGE, REFUSED, MISSING, GATEWAY, None])
def test_what_is_not_believed_at_the_deadline_is_a_silence(fault: Any) -> None:
    """Two refusals in the last seconds are no verdict about the run or the credential: nobody
    knows.
    """
    with pytest.raises(StateUnknown, match=r"For 40 s nothing could be read.* last seen running"):
        waited([RUNNING, RUNNING, *[fault] * 99], timeout=60.0, poll_interval=10.0)


@pytest.mark.parametrize("fault", [DOWN, LOGIN_PAGE, REFUSED, MISSING, GATEWAY, None])
@pytest.mark.parametrize(("interval", "timeout"), [(10.0, 60.0), (4.0, 60.0), (45.0, 90.0)])
def test_a_last_look_that_fails_leaves_what_was_seen(
    fault: Any, interval: float, timeout: float
) -> None:
    """Whoever has just said that the run goes on is not silent: the time is over, and that is
    all.
    """
    good = ceil(timeout / interval) - 1
    last, time, _, _ = waited(
        [RUNNING] * good + [fault] * 9, timeout=timeout, poll_interval=interval
    )
    assert (last, time.now) == (RUNNING, 1000.0 + timeout)


@pytest.mark.parametrize("fault", [DOWN, MISSING, None])
def test_a_silence_does_not_outlast_the_start_timeout(fault: Any) -> None:
    """A run that was queued when Airflow fell silent is given up when it should have started, with
    since when.
    """
    bench = Bench()
    airflow: Any = Looks(Script([fault] * 999))
    with pytest.raises(StateUnknown, match=r"For 30 s nothing could be read.* last seen queued"):
        wait_for_end(
            airflow,
            QUEUED,
            bench.retrier,
            WaitLimits(since=bench.time.now, timeout=3600.0, start_timeout=30.0),
        )
    assert bench.time.now == 1030.0
    assert waited([QUEUED, fault, fault, *[RUNNING] * 9, SUCCESS], start_timeout=30.0)[0] == SUCCESS


def test_a_run_that_stays_queued_is_given_up_after_its_start_timeout() -> None:
    """start_timeout ends the wait for a run that never starts, and leaves one alone that runs."""
    last, time, _, _ = waited([QUEUED] * 1000, start_timeout=30.0)
    assert (last, time.now) == (QUEUED, 1030.0)
    assert waited([QUEUED] * 3 + [RUNNING] * 20 + [SUCCESS], start_timeout=30.0)[0] == SUCCESS


def test_the_moment_of_the_last_change_is_known() -> None:
    """How long the run has been in its last state counts from the look that first showed it."""
    _, _, _, entered = waited([RUNNING] * 1000, timeout=90.0, poll_interval=10.0)
    assert entered == 1010.0


def test_a_fixed_interval_overrides_the_pace() -> None:
    """poll_interval is kept to, look after look."""
    _, time, _, _ = waited([RUNNING] * 5 + [SUCCESS], poll_interval=7.0)
    assert time.slept == [7.0] * 6


def test_every_look_is_told() -> None:
    """The log learns of every state that was seen, the first included."""
    assert waited([RUNNING, RUNNING, SUCCESS])[2].states == [
        "queued",
        "running",
        "running",
        "success",
    ]


def test_what_is_done_meanwhile_is_done_after_every_look_but_the_last() -> None:
    """Whoever looks at the tasks is called with the run as it was just seen, never for a failed
    look, and not at its end.
    """
    bench, seen = Bench(), list[tuple[str, int]]()
    airflow: Any = Looks(Script([QUEUED, DOWN, None, RUNNING, RUNNING, SUCCESS]))
    times = WaitLimits(since=bench.time.now, timeout=600.0)
    wait_for_end(
        airflow,
        QUEUED,
        bench.retrier,
        times,
        on_poll=lambda run: seen.append((run.state, airflow.get_run.calls)),
    )
    assert seen == [("queued", 1), ("running", 4), ("running", 5)]


def test_a_run_that_has_ended_is_not_looked_at() -> None:
    """Nothing is asked about a run that is over already."""
    last, time, _, _ = waited([], start=FAILED)
    assert (last, time.slept) == (FAILED, [])


@given(
    looks=st.lists(st.sampled_from([QUEUED, RUNNING, DOWN, LOGIN_PAGE]), max_size=30),
    end=st.sampled_from([SUCCESS, FAILED]),
    timeout=st.floats(1, 5000),
)
def test_no_sequence_of_looks_outlasts_the_timeout_or_invents_an_end(
    looks: list[Any], end: DagRun, timeout: float
) -> None:
    """The wait ends by the deadline, with the run's real end or with a state that is none."""
    try:
        last, time, _, _ = waited([*looks, *[end] * 10000], timeout=timeout, start_timeout=inf)
    except StateUnknown:
        return
    assert time.now <= 1000.0 + timeout + 1e-6
    assert last.state in ("queued", "running") or last == end


@pytest.mark.parametrize(
    ("start", "now", "pauses"),
    [
        (None, None, [5.0, 5.59, 8.14]),  # it is taken to begin as soon as it is seen running
        (START, START, [5.0, 5.59, 8.14]),
        (START, START + timedelta(seconds=600), [2.88, 2.88, 2.88]),  # its end is likely
        (START, START - timedelta(seconds=30), [5.0, 5.59, 8.14]),  # clocks differ
    ],
)
def test_history_paces_the_looks(start: Any, now: Any, pauses: list[float]) -> None:
    """Looks at a run follow how long its DAG usually takes, counted by Airflow from the run's own
    start.
    """
    bench = Bench()
    running = RUNNING._replace(start_date=start)
    airflow: Any = Looks(Script([running, running, SUCCESS]), now)
    times = WaitLimits(bench.time.now, 600.0, expected=UsualDuration(600.0, 0.1))
    wait_for_end(airflow, running, bench.retrier, times)

    assert bench.time.slept == pytest.approx(pauses, abs=0.01)


def test_the_wish_of_the_user_comes_before_history() -> None:
    """A fixed interval holds whatever is known of the DAG, and has no jitter."""
    bench = Bench()
    airflow: Any = Looks(Script([RUNNING, SUCCESS]))
    wait_for_end(
        airflow,
        RUNNING,
        bench.retrier,
        WaitLimits(bench.time.now, 600.0, inf, 7.0, UsualDuration(600.0, 0.1)),
    )

    assert bench.time.slept == [7.0, 7.0]


class Telling:
    """An Airflow that tells a run's state: each slice is the states that it tells, an error with
    which it breaks, or both.
    """

    now = None

    def __init__(self, time: VirtualTime, slices: list[list[Any]], looks: list[Any]) -> None:
        self.get_run = Script(looks)
        self.slices = slices
        self.intervals: list[float] = []
        self._time = time

    def stream_states(
        self, _run: DagRun, interval: float, take: Callable[[Any], bool], *_limits: float
    ) -> None:
        """Tell the states of a slice, the first at once; the last one repeats if it is given so."""
        self.intervals.append(interval)
        for place, state in enumerate(self.slices.pop(0) if self.slices else ["running"] * 1000):
            if isinstance(state, Exception):
                raise state
            if place:
                self._time.now += interval
            if not take(state):
                return


def heard(
    slices: list[list[Any]],
    looks: list[Any],
    due: Callable[[DagRun], float] = lambda _: inf,
    **times: Any,
) -> tuple[DagRun, Bench, Telling]:
    """Wait for a run of an Airflow that tells."""
    bench = Bench()
    airflow: Any = Telling(bench.time, slices, looks)
    last, _ = wait_for_end(
        airflow,
        QUEUED,
        bench.retrier,
        WaitLimits(**{"since": bench.time.now, "timeout": 600.0, **times}),
        next_poll=due,
    )
    return last, bench, airflow


@pytest.mark.parametrize(("told", "end"), [("success", FAILED), ("failed", SUCCESS)])
def test_the_end_that_is_told_is_looked_at(told: str, end: DagRun) -> None:
    """What was told is shown, nothing is slept, and the one look decides."""
    last, bench, airflow = heard([["queued", "running", "running", told]], [end])

    assert last == end
    assert bench.time.slept == []
    assert bench.told.states == ["queued", "queued", "running", "running", end.state]
    assert airflow.get_run.calls == 1


@pytest.mark.parametrize(
    ("waited", "seconds"),
    [(0, 1), (39, 1), (40, 2), (599, 2), (600, 3), (1799, 3), (1800, 5), (86_400, 5)],
)
def test_how_often_it_is_told(waited: float, seconds: float) -> None:
    """The longer the run takes, the more seconds lie between two words."""
    assert stream_interval(waited) == seconds


@pytest.mark.parametrize(("wanted_in", "asked"), [(10.0, 1.0), (0.5, 0.5), (0.0, 0.1), (-5.0, 0.1)])
def test_no_word_comes_much_later_than_it_is_wanted(wanted_in: float, asked: float) -> None:
    """Whoever wants to look soon is not kept waiting for the next word; and what is asked for is
    never nothing.
    """
    bench, seen = Bench(), list[DagRun]()
    airflow: Any = Telling(bench.time, [["queued"] * 100, ["success"]], [SUCCESS])
    times = WaitLimits(since=bench.time.now, timeout=60.0)
    wait_for_end(
        airflow,
        QUEUED,
        bench.retrier,
        times,
        on_poll=seen.append,
        next_poll=lambda _: inf if seen else 1000.0 + wanted_in,
    )
    assert airflow.intervals == [asked, 1.0]
    assert bench.time.now <= 1000 + max(wanted_in, 0.0) + asked


def test_what_becomes_due_by_a_change_is_done_at_once() -> None:
    """A run that is heard to begin ends the slice if somebody wants to look at its tasks then."""
    bench, seen = Bench(), list[tuple[str, float]]()
    airflow: Any = Telling(bench.time, [["queued"] * 3 + ["running"] * 9, ["success"]], [SUCCESS])
    wait_for_end(
        airflow,
        QUEUED,
        bench.retrier,
        WaitLimits(since=bench.time.now, timeout=60.0),
        on_poll=lambda run: seen.append((run.state, bench.time.now)),
        next_poll=lambda run: inf if run.state == "queued" or seen else bench.time.now,
    )
    assert seen == [("running", 1003.0)]


def test_slices_follow_each_other_without_a_look() -> None:
    """As long as Airflow tells that the run goes on nobody asks; the words come seldomer in the
    course of time.
    """
    last, bench, airflow = heard([], [RUNNING], timeout=3600.0)

    assert (last.state, airflow.get_run.calls) == ("running", 1)  # the look at the deadline
    assert 3600 <= bench.time.now - 1000 <= 3605
    assert sorted(set(airflow.intervals)) == [*airflow.intervals[:1], 2.0, 3.0, 5.0]
    assert airflow.intervals == sorted(airflow.intervals)
    assert len(airflow.intervals) <= 3600 / MAX_STREAM_SECONDS + 2


def test_a_slice_ends_when_something_else_is_due() -> None:
    """Whoever wants to look at the tasks is called in time, and the run is told as it was heard."""
    bench, seen = Bench(), list[tuple[str, float]]()
    airflow: Any = Telling(bench.time, [], [SUCCESS])
    times = WaitLimits(since=bench.time.now, timeout=25.0)

    def due(_: DagRun) -> float:
        return (seen[-1][1] if seen else 1000.0) + 10

    def meanwhile(run: DagRun) -> None:
        seen.append((run.state, bench.time.now))

    wait_for_end(airflow, QUEUED, bench.retrier, times, on_poll=meanwhile, next_poll=due)
    assert seen == [("running", 1010.0), ("running", 1020.0)]


def test_a_run_may_stay_queued_only_for_its_start_timeout() -> None:
    """What is told of a run that waits ends in time as well."""
    last, bench, _ = heard([["queued"] * 1000], [QUEUED], start_timeout=30.0)

    assert (last.state, bench.time.now) == ("queued", 1030.0)


@pytest.mark.parametrize(
    "broken", [[], [DOWN], [LOGIN_PAGE], ["running"], ["running", DOWN], [REFUSED]]
)
def test_what_breaks_twice_is_given_up(broken: list[Any]) -> None:
    """Whatever is no slice to its end is followed by a pause and a look; after the second in a row
    only looks are left.
    """
    last, bench, airflow = heard([broken, broken, ["success"]], [RUNNING] * 5 + [SUCCESS])

    assert last == SUCCESS
    assert airflow.slices == [["success"]]
    assert len(bench.time.slept) == 6
    assert min(bench.time.slept) >= 1.0


def test_one_failure_is_forgotten() -> None:
    """A slice that works makes good for one that did not."""
    last, _, airflow = heard(
        [[DOWN], ["running"] * 100, [DOWN], ["running"] * 100, ["failed"]], [RUNNING] * 2 + [FAILED]
    )

    assert (last, airflow.slices) == (FAILED, [])


def test_an_end_that_no_look_confirms_is_doubted() -> None:
    """Who tells an end again and again that Airflow does not know is not listened to for ever."""
    last, bench, airflow = heard([["success"]] * 5, [RUNNING] * 4 + [FAILED])

    assert last == FAILED
    assert len(airflow.slices) == 3
    assert len(bench.time.slept) == 3


def test_a_fixed_interval_listens_to_nobody() -> None:
    """poll_interval means looks, and nothing else."""
    last, _, airflow = heard([["success"]], [RUNNING, SUCCESS], poll_interval=7.0)

    assert (last, airflow.intervals) == (SUCCESS, [])
