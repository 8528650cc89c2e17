"""The pause between two polls, with and without the durations of earlier runs."""

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
def test_pause_without_history_grows_from_1_to_10_seconds(waited: float, pause: float) -> None:
    assert (
        poll_interval_after(waited)
        == poll_interval_after(waited, 3.0)
        == poll_interval_after(waited, None, TEN_MINUTES)
        == pause
    )


@given(seconds, seconds)
def test_pause_without_history_never_shrinks(one: float, other: float) -> None:
    early, late = sorted((one, other))

    assert 1 <= poll_interval_after(early) <= poll_interval_after(late) <= 10


@pytest.mark.parametrize(
    ("running", "pause"),
    [
        (0, 5),  # at first five times as long as without history
        (16, 10),
        (144, 28.9),
        (400, 30),  # at most half a minute
        (450, 22.7),  # the nearer the end, the shorter
        (500, 8.1),
        (600, 2.9),
        (700, 2.5),
        (900, 11.5),  # far beyond the usual duration
        (20_000, 30),
    ],
)
def test_pause_with_history_is_short_only_near_the_likely_end(running: float, pause: float) -> None:
    assert poll_interval_after(running, running, TEN_MINUTES) == pytest.approx(pause, rel=0.05)


@given(seconds, seconds, st.floats(1, 86_400), st.floats(0.08, 0.6))
def test_pause_with_any_history_is_from_1_to_30_seconds(
    waited: float, running: float, median: float, spread: float
) -> None:
    assert 1 <= poll_interval_after(waited, running, UsualDuration(median, spread)) <= 30


def test_usual_duration_uses_logarithms() -> None:
    """One outlier changes little."""
    found = usual_duration([100, 110, 90, 105, 95, 100, 102, 98, 100, 5000])

    assert found is not None
    assert found.median == pytest.approx(100, abs=1)
    assert found.spread == pytest.approx(1.48 * 0.045 * 1.2, abs=0.02)


@pytest.mark.parametrize(
    "durations", [(), (10.0,), (10.0, 12.0), (10.0, 12.0, 0.0), (0.0, 0.0, 0.0, -1.0)]
)
def test_usual_duration_needs_three_valid_durations(durations: tuple[float, ...]) -> None:
    assert usual_duration(durations) is None


@pytest.mark.parametrize(
    ("durations", "spread"), [((60.0,) * 10, 0.08), ((1.0, 100.0, 10_000.0), 0.6)]
)
def test_spread_of_the_usual_duration_is_bounded(
    durations: tuple[float, ...], spread: float
) -> None:
    found = usual_duration(durations)

    assert found is not None
    assert found.spread == spread
    assert log(found.median) == pytest.approx(log(sorted(durations)[len(durations) // 2]))
