"""The pause between two looks at a DAG run, without and with what its last runs tell."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.run.schedule import UsualDuration, poll_interval_after, usual_duration

seconds = st.floats(0, 35 * 86_400)
TEN_MINUTES = UsualDuration(600.0, 0.1)


@pytest.mark.parametrize(
    ("waited", "pause"),
    [(-1, 1), (0, 1), (1, 1), (4, 1), (16, 2), (100, 5), (400, 10), (3600, 10), (86_400, 10)],
)
def test_without_history(waited: float, pause: float) -> None:
    """The pause grows with the square root of the time, from 1 s to 10 s; so it does before the run
    begins.
    """
    assert (
        poll_interval_after(waited)
        == poll_interval_after(waited, 3.0)
        == poll_interval_after(waited, None, TEN_MINUTES)
        == pause
    )


@given(seconds, seconds)
def test_never_shorter(one: float, other: float) -> None:
    """Without history the pause never shrinks, and stays between 1 s and 10 s."""
    early, late = sorted((one, other))

    assert 1 <= poll_interval_after(early) <= poll_interval_after(late) <= 10


@pytest.mark.parametrize(
    ("running", "pause"),
    [
        (0, 5),  # at the beginning five times as long as without history
        (16, 10),
        (144, 28.9),
        (400, 30),  # and never longer than half a minute
        (450, 22.7),  # the nearer the end, the shorter
        (500, 8.1),
        (600, 2.9),
        (700, 2.5),
        (900, 11.5),  # what is far beyond may take for ever
        (20_000, 30),
    ],
)
def test_with_history(running: float, pause: float) -> None:
    """Looks are seldom while the end is not likely, and frequent while it is."""
    assert poll_interval_after(running, running, TEN_MINUTES) == pytest.approx(pause, rel=0.05)


@given(seconds, seconds, st.floats(1, 86_400), st.floats(0.08, 0.6))
def test_always_within_bounds(waited: float, running: float, median: float, spread: float) -> None:
    """Whatever the history, a pause lasts from 1 s to 30 s."""
    assert 1 <= poll_interval_after(waited, running, UsualDuration(median, spread)) <= 30


def test_how_long_a_dag_usually_takes() -> None:
    """The median and the spread are those of the logarithms, so that one straggler changes
    little.
    """
    found = usual_duration([100, 110, 90, 105, 95, 100, 102, 98, 100, 5000])

    assert found is not None
    assert found.median == pytest.approx(100, abs=1)
    assert found.spread == pytest.approx(1.48 * 0.045 * 1.2, abs=0.02)


@pytest.mark.parametrize(
    "durations", [(), (10.0,), (10.0, 12.0), (10.0, 12.0, 0.0), (0.0, 0.0, 0.0, -1.0)]
)
def test_too_little_is_known(durations: tuple[float, ...]) -> None:
    """From fewer than three durations nothing is concluded, nor from those that are none."""
    assert usual_duration(durations) is None


@pytest.mark.parametrize(
    ("durations", "spread"), [((60.0,) * 10, 0.08), ((1.0, 100.0, 10_000.0), 0.6)]
)
def test_the_spread_is_bounded(durations: tuple[float, ...], spread: float) -> None:
    """Runs that all took the same may differ yet, and runs that differ wildly say no more than
    that.
    """
    found = usual_duration(durations)

    assert found is not None
    assert found.spread == spread
    assert log(found.median) == pytest.approx(log(sorted(durations)[len(durations) // 2]))
