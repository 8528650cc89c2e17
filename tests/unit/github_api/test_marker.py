"""The marker in a run's note: what is written is read, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint.github_api.marker import Marker, note_with_marker, parse_marker
from entrypoint.inputs.parsers import ParseError, environment
from entrypoint.models import CANCELLED_MARK, stopped_note
from tests.support.factories import SHA, a_run
from tests.support.markdown import hostile

MARKER = Marker(
    "https://airflow.example.com", "https://api.github.com", "octo-org/sales", SHA, None
)
LINE = (
    'airflow-dag-run: {"airflow":"https://airflow.example.com","api_url":"https://api.github.com",'
    f'"repository":"octo-org/sales","commit":"{SHA}"}}'
)
DEPLOYED = MARKER._replace(environment="production")
LONGEST = MARKER._replace(
    airflow=f"https://{'x' * 200}",
    api_url=f"https://{'x' * 100}",
    repository=f"{'o' * 40}/{'r' * 100}",
    commit="f" * 64,
    environment="🚀" * 255,
)


def is_environment(text: str) -> bool:
    """Whether the input takes this as an environment."""
    try:
        return bool(environment(text))
    except ParseError:
        return False


letters = st.characters(exclude_categories=["Cs"])
markers = st.builds(
    Marker,
    airflow=st.from_regex(r"https?://[!#-\[\]-~]{1,200}", fullmatch=True),
    api_url=st.from_regex(r"https?://[!#-\[\]-~]{1,100}", fullmatch=True),
    # GitHub has no owner and no repository that is called so.
    repository=st.from_regex(r"[A-Za-z0-9_.-]{1,40}/[A-Za-z0-9_.-]{1,100}", fullmatch=True).filter(
        lambda name: not {".", ".."} & set(name.split("/"))
    ),
    commit=st.from_regex(r"[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True),
    environment=st.none() | st.text(letters, min_size=1, max_size=255).filter(is_environment),
)


def changed(**changes: object) -> str:
    """A line with other values."""
    values = MARKER._replace(environment="x")._asdict() | changes
    known = {name: value for name, value in values.items() if value != "-"}
    return f"airflow-dag-run: {json.dumps(known, separators=(',', ':'), ensure_ascii=False)}"


@pytest.mark.parametrize(
    ("note", "whole"),
    [
        (None, LINE),
        ("", LINE),
        ("Nightly sales", f"Nightly sales\n{LINE}"),
        ("Two\nlines \n\n", f"Two\nlines\n{LINE}"),
    ],
)
def test_a_note(note: str | None, whole: str) -> None:
    """The marker stands below what people wrote, on a line of its own, and is read again."""
    assert note_with_marker(note, MARKER) == whole
    assert parse_marker(whole) == MARKER


def test_an_environment() -> None:
    """The environment of a deployment goes with it."""
    assert note_with_marker(None, DEPLOYED).endswith(',"environment":"production"}')
    assert parse_marker(note_with_marker(None, DEPLOYED)) == DEPLOYED


@given(st.none() | hostile | st.text(letters, max_size=1500), markers)
@example("x" * 1000, MARKER)
@example("x y" * 400, LONGEST)
@example(f"above\n{LINE}\nbelow", DEPLOYED)
@example(f"\x0b{LINE}", MARKER)
@example(CANCELLED_MARK, MARKER)
@example(f"{'word ' * 190}{CANCELLED_MARK}", DEPLOYED)
def test_what_is_written_is_read(note: str | None, marker: Marker) -> None:
    """Whatever the note says, it stays within Airflow's 1000 characters and names this marker, also
    once it is cancelled.
    """
    whole = note_with_marker(note, marker)
    cancelled = stopped_note(a_run(note=whole))

    assert max(len(whole), len(cancelled)) <= 1000
    assert parse_marker(whole) == parse_marker(cancelled) == marker
    assert CANCELLED_MARK in cancelled
    assert (CANCELLED_MARK in whole) is (CANCELLED_MARK in (note or ""))
    assert parse_marker(cancelled.replace(CANCELLED_MARK, "").strip()) == marker


def test_a_long_note_is_cut() -> None:
    """A note that leaves no room is cut at a blank, and the marker is whole."""
    whole = note_with_marker("word " * 200, DEPLOYED)

    assert 900 < len(whole) <= 1000
    assert whole.splitlines()[0].endswith("word…")
    assert parse_marker(whole) == DEPLOYED


def test_a_marker_is_written_once() -> None:
    """A note that is marked again has the last marker only, and what people wrote."""
    assert note_with_marker(note_with_marker("By hand", DEPLOYED), MARKER) == f"By hand\n{LINE}"


@pytest.mark.parametrize(
    "note",
    [
        None,
        "",
        "Nightly sales",
        f" {LINE}",
        f"see {LINE}",
        LINE.upper(),
        f"{LINE}\n{LINE}",
        f"{LINE}\n{changed()}",
        f"{LINE}\nairflow-dag-run: none",
        LINE[:-1],
        f"{LINE}x",
        LINE.replace('"commit"', '\n"commit"'),
        "airflow-dag-run: ",
        "airflow-dag-run: []",
        "airflow-dag-run: null",
        f"airflow-dag-run: {'[' * 980}",
        changed(commit="-"),
        changed(airflow="-"),
        changed(airflow=None),
        changed(airflow=["https://airflow.example.com"]),
        changed(airflow="airflow.example.com"),
        changed(airflow="ftp://airflow.example.com"),
        changed(airflow="https://"),
        changed(airflow="https://airflow.example.com/ x"),
        changed(airflow="https://airflow.example.com/\n"),
        changed(airflow='https://airflow.example.com/"'),
        changed(airflow="https://airflow.example.com\\"),
        changed(airflow=f"https://{'x' * 201}"),
        LINE.replace('"airflow":"https://airflow.example.com",', ""),
        changed(url="https://evil.example.com"),
        changed(context="ci / build"),
        changed(commit=7),
        changed(commit=SHA[:12]),
        changed(commit=SHA.upper()),
        changed(commit=f"{SHA}\n"),
        changed(commit="../../../user/repos"),
        changed(repository="octo-org"),
        changed(repository="octo-org/sales/actions"),
        changed(repository="octo-org/sales?x"),
        changed(repository="octo-org/.."),
        changed(repository="./sales"),
        changed(repository="\uff4fcto-org/sales"),
        changed(api_url="ftp://api.github.com"),
        changed(api_url="https://api.github.com\r\nX: y"),
        changed(api_url="https://"),
        changed(api_url=f"https://{'x' * 101}"),
        changed(repository=f"{'o' * 41}/sales"),
        changed(repository=f"octo-org/{'r' * 101}"),
        changed(environment=None),
        changed(environment=""),
        changed(environment="a\nb"),
        changed(environment="x" * 256),
        changed(environment="\ud800"),
        f"{LINE[:-1]}\udcff}}",
        f'{LINE[:-1]},"commit":"{"0" * 40}"}}',
    ],
)
def test_what_no_action_writes(note: str | None) -> None:
    """A note without a marker, with two, or with one that is forged, torn or not text is one
    without.
    """
    assert parse_marker(note) is None
    assert parse_marker(changed()) == MARKER._replace(environment="x")


@given(st.text(st.characters(), max_size=200))
def test_any_note_is_read(text: str) -> None:
    """Whatever stands behind the sign, it is a marker or none, and no error."""
    for note in (text, f"airflow-dag-run: {text}", f"airflow-dag-run: {json.dumps(text)}"):
        found = parse_marker(note)
        assert found is None or note_with_marker(None, found)
