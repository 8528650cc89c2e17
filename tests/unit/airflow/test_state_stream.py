"""Reading the lines in which Airflow tells a state, in whatever pieces they come."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.state_stream import StateLineReader

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = (
    b'{"state": "queued"}\n{"state": "running"}\n{"state": "success", "results": {"a": [1, '
    b"null]}}\n"
)


def told_to(told: list[str]) -> Callable[[str], bool]:
    """Return who takes down each state, and always wants more."""

    def tell(state: str) -> bool:
        told.append(state)
        return True

    return tell


@given(st.lists(st.integers(0, len(LINES)), max_size=10))
def test_pieces_need_not_end_with_a_line(cuts: list[int]) -> None:
    """However the answer is cut, each state is told once and in order."""
    told = list[str]()
    lines = StateLineReader(told_to(told))
    places = [0, *sorted(cuts), len(LINES)]

    assert all(lines.take(LINES[begin:end]) for begin, end in pairwise(places))
    assert told == ["queued", "running", "success"]


def test_nothing_is_told_once_nothing_more_is_wanted() -> None:
    """What came in the same piece as the last line that was wanted is left alone."""
    told = list[str]()

    def tell(state: str) -> bool:
        told.append(state)
        return False

    lines = StateLineReader(tell)

    assert not lines.take(LINES)
    assert told == ["queued"]


@pytest.mark.parametrize(
    "piece",
    [
        b"<html>\n",
        b"\n",
        b"null\n",
        b"[]\n",
        b'{"state": "finished"}\n',
        b'{"state": null}\n',
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b'{"state": "success", ' + b" " * 70_000,
        b"\xff\n",
    ],
)
def test_what_is_no_state_is_not_guessed_at(piece: bytes) -> None:
    """A line that tells no state of Airflow's, or never ends, ends the listening."""
    told = list[str]()
    lines = StateLineReader(told_to(told))

    assert not lines.take(piece)
    assert told == []
