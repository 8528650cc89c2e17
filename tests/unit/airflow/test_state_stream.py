"""Reading a stream of DAG run states."""

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


def record_states(states: list[str]) -> Callable[[str], bool]:
    """Return a callback that records each state and continues the stream."""

    def record(state: str) -> bool:
        states.append(state)
        return True

    return record


@given(st.lists(st.integers(0, len(LINES)), max_size=10))
def test_each_state_is_read_once_for_any_chunks(cuts: list[int]) -> None:
    states = list[str]()
    lines = StateLineReader(record_states(states))
    places = [0, *sorted(cuts), len(LINES)]

    assert all(lines.consume(LINES[begin:end]) for begin, end in pairwise(places))
    assert states == ["queued", "running", "success"]


def test_nothing_is_read_after_the_callback_stops_the_stream() -> None:
    """Lines in the same chunk are not read either."""
    states = list[str]()

    def record(state: str) -> bool:
        states.append(state)
        return False

    lines = StateLineReader(record)

    assert not lines.consume(LINES)
    assert states == ["queued"]


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
def test_invalid_or_endless_line_ends_the_stream(piece: bytes) -> None:
    states = list[str]()
    lines = StateLineReader(record_states(states))

    assert not lines.consume(piece)
    assert states == []
