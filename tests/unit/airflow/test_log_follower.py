"""A followed log: every cut of a response, and every kind of text."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint import masking
from entrypoint.airflow.log_follower import JsonFollower, LogFollower, TextFollower
from entrypoint.airflow.logs import JsonLog
from entrypoint.airflow.text_log import TextLog
from entrypoint.errors import UnexpectedResponse
from tests.support import known_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), max_size=8)
STAMP = "[2026-11-20T10:00:00.000+0000] {a.py:1} INFO - "


def token(position: int, *, ended: bool = False) -> str:
    said = json.dumps({"end_of_log": ended, "log_pos": position}).encode()
    return f"{base64.urlsafe_b64encode(said).decode().rstrip('=')}.signature"


def text_response(text: str, position: int, *, ended: bool = False) -> bytes:
    """Return a response of Airflow 2."""
    content = repr([("a'host", text)])
    return json.dumps(
        {"content": content, "continuation_token": token(position, ended=ended)}
    ).encode()


def entry(line: str, second: int) -> dict[str, str]:
    return {"timestamp": f"2026-11-20T10:00:{second:02}Z", "event": line, "level": "info"}


def json_response(lines: list[str], following: str | None, start: int = 0) -> bytes:
    """Return a response of Airflow 3."""
    content = [entry(line, number) for number, line in enumerate(lines, start)]
    return json.dumps({"content": content, "continuation_token": following}).encode()


def read(follower: LogFollower, response: bytes, size: int = 2**20) -> None:
    """Let the follower read a response in pieces of so many bytes."""
    follower.begin()
    for start in range(0, len(response), size):
        follower.consume(response[start : start + size])
    follower.end()


def two(shown: list[str]) -> TextFollower:
    return TextFollower(TextLog(5, shown.append))


def three(shown: list[str]) -> JsonFollower:
    return JsonFollower(JsonLog(5, shown.append))


@given(LINES, LINES, st.integers(1, 40))
def test_any_text_in_any_pieces_is_read_once(
    first: list[str], second: list[str], size: int
) -> None:
    first, second = ([f"{STAMP}{line}" for line in lines] for lines in (first, second))
    whole, shown = "\n".join(first), list[str]()
    follower = two(shown)
    read(follower, text_response(whole, len(whole)), size)
    both = "\n".join([*first, *second])
    read(follower, text_response(both[len(whole) :], len(both), ended=True), size)
    expected: list[str] = []
    reader = TextLog(100, expected.append)
    for line in (*first, *second):
        reader.line(line)
    assert shown == expected
    assert follower.ended


@given(LINES, LINES, st.integers(1, 40))
def test_any_events_in_any_pieces_are_read_once(
    first: list[str], second: list[str], size: int
) -> None:
    shown: list[str] = []
    follower = three(shown)
    read(follower, json_response(first, token(len(first))), size)
    read(follower, json_response(second, None, len(first)), size)
    expected: list[str] = []
    reader = JsonLog(100, expected.append)
    for number, line in enumerate((*first, *second)):
        reader.entry(entry(line, number))
    assert shown == expected
    assert follower.ended


@pytest.mark.parametrize("cut", range(20, 460, 37))
def test_a_response_that_is_cut_off_is_continued(cut: int) -> None:
    """The next request has the same token, and its response begins with the same lines."""
    lines = [f"{STAMP}line {n}" for n in range(6)]
    text = "\n".join(lines)
    for follower_of, response in (
        (two, text_response(text, len(text))),
        (three, json_response(lines, token(6))),
    ):
        shown: list[str] = []
        follower = follower_of(shown)
        follower.begin()
        follower.consume(response[:cut])
        follower.end()
        assert not follower.complete
        assert follower.token is None
        read(follower, response)
        assert [line[-6:] for line in shown] == [line[-6:] for line in lines]
        assert follower.complete


@pytest.mark.parametrize("follower_of", [two, three])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Sign in</html>", b"[]", b'{"detail": "no"}', b'{"content": 1, "x": "["'],
)
def test_what_is_no_log_is_an_error(
    follower_of: Callable[[list[str]], LogFollower], body: bytes
) -> None:
    shown: list[str] = []
    with pytest.raises(UnexpectedResponse):
        read(follower_of(shown), body)
    assert shown == []


@pytest.mark.parametrize(
    ("follower_of", "body"),
    [
        (two, b"{\"content\": \"[('a', '" + b"x" * 2**21),
        (two, b"{\"content\": \"[('a', '\\\\x" + b"y" * 2**14),
        (three, b'{"content": [{"event": "' + b"x" * 2**21),
        (three, b'{"content": [' + b'{"a":' * 2**17),
        (three, b'{"content": [1]}'),
    ],
)
def test_a_line_without_an_end_is_not_kept_in_memory(
    follower_of: Callable[[list[str]], LogFollower], body: bytes
) -> None:
    with pytest.raises(UnexpectedResponse):
        read(follower_of([]), body)


@pytest.mark.parametrize(
    ("entries", "sources"),
    [
        ([{"event": "::group::Log message source details", "sources": ["a", "b"]}], ["a", "b"]),
        ([{"event": "::group::Log message source details"}, {"event": "a"}], ["a"]),
    ],
)
def test_the_sources_of_a_log_are_no_lines(
    entries: list[dict[str, Any]], sources: list[str]
) -> None:
    shown: list[str] = []
    follower = three(shown)
    content = [*entries, {"event": "::endgroup::"}, {"event": "line", "timestamp": None}]
    read(follower, json.dumps({"content": content, "continuation_token": token(1)}).encode())
    assert (follower.sources, shown) == (sources, ["line"])


def test_the_last_line_of_airflow_2_is_completed_by_the_next_response() -> None:
    shown: list[str] = []
    follower = two(shown)
    read(follower, text_response(f"{STAMP}a\n{STAMP}b", 100))
    read(follower, text_response("c\n" + f"{STAMP}d", 200))
    read(follower, text_response("", 200))
    assert [line.removeprefix(STAMP) for line in shown] == ["a", "b", "c", "d"]


def test_equal_lines_are_not_taken_for_the_beginning_of_the_log() -> None:
    shown: list[str] = []
    follower = three(shown)
    for start in range(3):
        read(follower, json_response([f"line {start}"], token(start + 1), start))
    read(follower, json_response(["line 0"], token(4)))
    assert len(shown) == 4


@pytest.mark.parametrize("following", [token(1), None])
def test_half_a_secret_at_the_end_of_a_log_is_masked(following: str | None) -> None:
    """A worker that hangs or is killed leaves half a line of JSON, which Airflow cannot parse."""
    secret = "k9-Uq7/pass+word"
    known_secrets.add(secret)
    masking.add(secret)
    shown: list[str] = []
    follower = three(shown)
    half = {"timestamp": None, "event": f'{{"event":"it is {secret[:9]}'}
    for _ in range(2):
        read(follower, json.dumps({"content": [half], "continuation_token": following}).encode())
    assert shown == ['{"event":"it is ***']
