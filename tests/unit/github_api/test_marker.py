"""Writing and reading the marker in a run's note."""

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
    """Tell whether the input `environment` accepts this text."""
    try:
        return bool(environment(text))
    except ParseError:
        return False


letters = st.characters(exclude_categories=["Cs"])
markers = st.builds(
    Marker,
    airflow=st.from_regex(r"https?://[!#-\[\]-~]{1,200}", fullmatch=True),
    api_url=st.from_regex(r"https?://[!#-\[\]-~]{1,100}", fullmatch=True),
    # GitHub allows neither name.
    repository=st.from_regex(r"[A-Za-z0-9_.-]{1,40}/[A-Za-z0-9_.-]{1,100}", fullmatch=True).filter(
        lambda name: not {".", ".."} & set(name.split("/"))
    ),
    commit=st.from_regex(r"[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True),
    environment=st.none() | st.text(letters, min_size=1, max_size=255).filter(is_environment),
)


def changed_line(**changes: object) -> str:
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
def test_marker_is_the_last_line_of_the_note_and_is_read_back(note: str | None, whole: str) -> None:
    assert note_with_marker(note, MARKER) == whole
    assert parse_marker(whole) == MARKER


def test_marker_contains_the_environment_of_a_deployment() -> None:
    assert note_with_marker(None, DEPLOYED).endswith(',"environment":"production"}')
    assert parse_marker(note_with_marker(None, DEPLOYED)) == DEPLOYED


@given(st.none() | hostile | st.text(letters, max_size=1500), markers)
@example("x" * 1000, MARKER)
@example("x y" * 400, LONGEST)
@example(f"above\n{LINE}\nbelow", DEPLOYED)
@example(f"\x0b{LINE}", MARKER)
@example(CANCELLED_MARK, MARKER)
@example(f"{'word ' * 190}{CANCELLED_MARK}", DEPLOYED)
def test_any_note_fits_airflows_limit_and_is_read_back(note: str | None, marker: Marker) -> None:
    """The mark of a cancel is added in some cases."""
    whole = note_with_marker(note, marker)
    cancelled = stopped_note(a_run(note=whole))

    assert max(len(whole), len(cancelled)) <= 1000
    assert parse_marker(whole) == parse_marker(cancelled) == marker
    assert CANCELLED_MARK in cancelled
    assert (CANCELLED_MARK in whole) is (CANCELLED_MARK in (note or ""))
    assert parse_marker(cancelled.replace(CANCELLED_MARK, "").strip()) == marker


def test_long_note_is_cut_at_a_blank_before_the_whole_marker() -> None:
    whole = note_with_marker("word " * 200, DEPLOYED)

    assert 900 < len(whole) <= 1000
    assert whole.splitlines()[0].endswith("word…")
    assert parse_marker(whole) == DEPLOYED


def test_new_marker_replaces_the_old_one() -> None:
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
        f"{LINE}\n{changed_line()}",
        f"{LINE}\nairflow-dag-run: none",
        LINE[:-1],
        f"{LINE}x",
        LINE.replace('"commit"', '\n"commit"'),
        "airflow-dag-run: ",
        "airflow-dag-run: []",
        "airflow-dag-run: null",
        f"airflow-dag-run: {'[' * 980}",
        changed_line(commit="-"),
        changed_line(airflow="-"),
        changed_line(airflow=None),
        changed_line(airflow=["https://airflow.example.com"]),
        changed_line(airflow="airflow.example.com"),
        changed_line(airflow="ftp://airflow.example.com"),
        changed_line(airflow="https://"),
        changed_line(airflow="https://airflow.example.com/ x"),
        changed_line(airflow="https://airflow.example.com/\n"),
        changed_line(airflow='https://airflow.example.com/"'),
        changed_line(airflow="https://airflow.example.com\\"),
        changed_line(airflow=f"https://{'x' * 201}"),
        LINE.replace('"airflow":"https://airflow.example.com",', ""),
        changed_line(url="https://evil.example.com"),
        changed_line(context="ci / build"),
        changed_line(commit=7),
        changed_line(commit=SHA[:12]),
        changed_line(commit=SHA.upper()),
        changed_line(commit=f"{SHA}\n"),
        changed_line(commit="../../../user/repos"),
        changed_line(repository="octo-org"),
        changed_line(repository="octo-org/sales/actions"),
        changed_line(repository="octo-org/sales?x"),
        changed_line(repository="octo-org/.."),
        changed_line(repository="./sales"),
        changed_line(repository="\uff4fcto-org/sales"),
        changed_line(api_url="ftp://api.github.com"),
        changed_line(api_url="https://api.github.com\r\nX: y"),
        changed_line(api_url="https://"),
        changed_line(api_url=f"https://{'x' * 101}"),
        changed_line(repository=f"{'o' * 41}/sales"),
        changed_line(repository=f"octo-org/{'r' * 101}"),
        changed_line(environment=None),
        changed_line(environment=""),
        changed_line(environment="a\nb"),
        changed_line(environment="x" * 256),
        changed_line(environment="\ud800"),
        f"{LINE[:-1]}\udcff}}",
        f'{LINE[:-1]},"commit":"{"0" * 40}"}}',
    ],
)
def test_missing_double_forged_or_damaged_marker_is_ignored(note: str | None) -> None:
    assert parse_marker(note) is None
    assert parse_marker(changed_line()) == MARKER._replace(environment="x")


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_a_marker_or_none(text: str) -> None:
    for note in (text, f"airflow-dag-run: {text}", f"airflow-dag-run: {json.dumps(text)}"):
        found = parse_marker(note)
        assert found is None or note_with_marker(None, found)
