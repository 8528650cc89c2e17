"""The pause between two looks at a DAG run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.gate.pace import pause_after

seconds = st.floats(0, 35 * 86_400)


@pytest.mark.parametrize(
    ("waited", "pause"),
    [(-1, 1), (0, 1), (1, 1), (4, 1), (16, 2), (100, 5), (400, 10), (3600, 10), (86_400, 10)],
)
def test_automatic(waited: float, pause: float) -> None:
    """Without a wish of the user the pause grows with the square root of the time, from 1 s to 10 s."""
    assert pause_after(waited, None) == pause


@given(seconds, seconds)
def test_never_shorter(one: float, other: float) -> None:
    """The pause never shrinks, and stays between 1 s and 10 s."""
    early, late = sorted((one, other))

    assert 1 <= pause_after(early, None) <= pause_after(late, None) <= 10


@given(seconds, seconds)
def test_fixed(waited: float, fixed: float) -> None:
    """The user's own interval holds at every time."""
    assert pause_after(waited, fixed) == fixed
