"""Airflow's own names: what is understood, and what is refused with a problem and a remedy."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrypoint.inputs import identifiers
from entrypoint.inputs.parsers import ParseError
from entrypoint.models import XComName

texts = st.text(st.characters(exclude_categories=["Cs"]))


def refusal(parser: Callable[[str], Any], text: str) -> ParseError:
    """The refusal of a text, which has to be a sentence about the problem and a sentence about the
    remedy.
    """
    with pytest.raises(ParseError) as caught:
        parser(text)
    for said in (caught.value.problem, caught.value.remedy):
        assert said.endswith("."), said
        assert "\n" not in said
    return caught.value


@pytest.mark.parametrize(
    "text", ["nightly_sales", "a", "A.b-c_1", "продажи", "__main__", "x" * 250]
)
def test_dag_id(text: str) -> None:
    """Airflow's keys are letters of any script, digits, dash, dot and underscore."""
    assert identifiers.dag_id(text) == text


@pytest.mark.parametrize(
    "text", ["a b", "a/b", "a?b", "a%2Fb", "x" * 251, ".", "..", "~", "a\nb", "a:b", "${{ x }}"]
)
def test_not_a_dag_id(text: str) -> None:
    """Anything else is refused before it becomes part of a path."""
    assert "cannot be a DAG id" in refusal(identifiers.dag_id, text).problem


run_id_texts = st.text(st.sampled_from("abcXYZ019_.~:+-"), min_size=1, max_size=200)


@given(run_id_texts)
def test_run_id(text: str) -> None:
    """Every text of the allowed characters is a run id, but for those that change the meaning of a
    path.
    """
    assume(".." not in text and text not in (".", "~"))

    assert identifiers.run_id(text) == text


@given(texts)
def test_any_run_id_is_understood_or_refused(text: str) -> None:
    """Whatever the text, an accepted run id obeys the contract's rule."""
    try:
        identifiers.run_id(text)
    except ParseError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]{1,200}", text)
    assert ".." not in text
    assert text not in (".", "~")


@pytest.mark.parametrize(
    "text",
    [
        "deploy/main",
        "a b",
        "a..b",
        "..",
        ".",
        "~",
        "x" * 201,
        "é",
        "a\n",
        "a%2B",
        "a*b",
        "a,b",
        "a'b",
        "\u0661",
        "a?b",
        "a#b",
    ],
)
def test_not_a_run_id(text: str) -> None:
    """A slash, a blank, two dots, another script: each is refused with what to do about branch
    names.
    """
    wrong = refusal(identifiers.run_id, text)

    assert "cannot be a run id" in wrong.problem
    assert "branch" in wrong.remedy


@pytest.mark.parametrize(
    "prefix", ["scheduled__", "backfill__", "asset_triggered__", "dataset_triggered__"]
)
def test_reserved_run_id(prefix: str) -> None:
    """The prefixes of Airflow's own run types are refused by name, at the beginning only."""
    assert prefix in refusal(identifiers.run_id, f"{prefix}2026").problem
    assert identifiers.run_id(f"my_{prefix}") == f"my_{prefix}"


def test_note() -> None:
    """A note has 1000 characters at the most, whatever they are, and the refusal counts them."""
    assert identifiers.note("é" * 1000) == "é" * 1000
    assert "1001 characters" in refusal(identifiers.note, "x" * 1001).problem


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("extract", [("extract", "extract", "return_value")]),
        ("extract:row_count", [("extract:row_count", "extract", "row_count")]),
        ("extract: row_count", [("extract: row_count", "extract", "row_count")]),
        ("group.extract:a:b", [("group.extract:a:b", "group.extract", "a:b")]),
        ("laden:größe", [("laden:größe", "laden", "größe")]),
        (
            "  load  \n\n\textract:a \r\n",
            [("load", "load", "return_value"), ("extract:a", "extract", "a")],
        ),
        (
            "load\nload:return_value",
            [("load", "load", "return_value"), ("load:return_value", "load", "return_value")],
        ),
        ("", []),
        (" \n ", []),
    ],
)
def test_xcoms(text: str, named: list[tuple[str, str, str]]) -> None:
    """Each line names a task and, after the first colon, a key; without one it is what the task
    returned.
    """
    assert identifiers.xcoms(text) == tuple(XComName(*name) for name in named)


@pytest.mark.parametrize(
    "text",
    [
        "extract:",
        "extract: ",
        ":row_count",
        ":",
        "extract row_count",
        "a/b",
        "a b:c",
        "load\n- extract",
        '["load"]',
    ],
)
def test_not_an_xcom(text: str) -> None:
    """A line without a task or with an empty key is refused, and quoted."""
    assert "names no XCom" in refusal(identifiers.xcoms, text).problem


def test_an_xcom_twice() -> None:
    """The same line twice would be one key of the output: it is refused."""
    assert '"load:a" is there twice' in refusal(identifiers.xcoms, "load:a\nload\n load:a").problem


def test_too_many_xcoms() -> None:
    """Fifty XComs can be asked for, not more, and the refusal counts them."""
    fifty = "\n".join(f"task_{number}" for number in range(50))

    assert len(identifiers.xcoms(fifty)) == 50
    assert "51 lines" in refusal(identifiers.xcoms, f"{fifty}\nextract").problem


@given(st.lists(texts | st.sampled_from(["load", "load:a", ":", "load:"])).map("\n".join))
def test_any_xcoms_are_understood_or_refused(text: str) -> None:
    """Whatever the lines, each that is accepted has a task, a key and a name of its own."""
    try:
        names = identifiers.xcoms(text)
    except ParseError:
        return
    assert len({name.line for name in names}) == len(names)
    assert all(name.task_id and name.key and name.line.startswith(name.task_id) for name in names)
