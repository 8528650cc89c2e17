"""Parsing Airflow identifiers: DAG ids, run ids, notes and XCom lines."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrypoint.inputs import identifiers
from entrypoint.inputs.parsers import ParseError
from entrypoint.models import XComName
from tests.support.refusal import refusal, texts


@pytest.mark.parametrize(
    "text", ["nightly_sales", "a", "A.b-c_1", "продажи", "__main__", "x" * 250]
)
def test_dag_id_has_letters_digits_dashes_dots_and_underscores(text: str) -> None:
    assert identifiers.dag_id(text) == text


@pytest.mark.parametrize(
    "text", ["a b", "a/b", "a?b", "a%2Fb", "x" * 251, ".", "..", "~", "a\nb", "a:b", "${{ x }}"]
)
def test_other_characters_in_a_dag_id_are_refused(text: str) -> None:
    assert "cannot be a DAG id" in refusal(identifiers.dag_id, text).problem


run_id_texts = st.text(st.sampled_from("abcXYZ019_.~:+-"), min_size=1, max_size=200)


@given(run_id_texts)
def test_run_id_of_allowed_characters_is_accepted(text: str) -> None:
    """Texts that change the meaning of a path are refused."""
    assume(".." not in text and text not in (".", "~"))

    assert identifiers.run_id(text) == text


@given(texts)
def test_any_accepted_run_id_obeys_the_rule(text: str) -> None:
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
def test_invalid_run_id_is_refused_with_a_hint_about_branch_names(text: str) -> None:
    wrong = refusal(identifiers.run_id, text)

    assert "cannot be a run id" in wrong.problem
    assert "branch" in wrong.remedy


@pytest.mark.parametrize(
    "text", ["scheduled__2026-01-31T00:00:00+00:00", "by hand", "x" * 250, "ümläut", "a..b"]
)
def test_existing_run_may_have_any_id_that_airflow_has(text: str) -> None:
    assert identifiers.existing_run_id(text) == text


@pytest.mark.parametrize("text", ["x" * 251, "a/b", "a\nb", "a\x00b", ".", "..", "~"])
def test_id_that_cannot_name_an_existing_run_is_refused(text: str) -> None:
    assert "existing DAG run" in refusal(identifiers.existing_run_id, text).problem


@pytest.mark.parametrize(
    "prefix", ["scheduled__", "backfill__", "asset_triggered__", "dataset_triggered__"]
)
def test_run_id_with_a_reserved_prefix_is_refused(prefix: str) -> None:
    assert prefix in refusal(identifiers.run_id, f"{prefix}2026").problem
    assert identifiers.run_id(f"my_{prefix}") == f"my_{prefix}"


def test_note_is_limited_to_1000_characters() -> None:
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
def test_xcom_line_is_a_task_and_an_optional_key(
    text: str, named: list[tuple[str, str, str]]
) -> None:
    """The key follows the first colon; the default is `return_value`."""
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
def test_xcom_line_without_task_or_with_empty_key_is_refused(text: str) -> None:
    assert "is not the name of an XCom" in refusal(identifiers.xcoms, text).problem


def test_repeated_xcom_line_is_refused() -> None:
    assert '"load:a" is given twice' in refusal(identifiers.xcoms, "load:a\nload\n load:a").problem


def test_at_most_fifty_xcoms_are_accepted() -> None:
    fifty = "\n".join(f"task_{number}" for number in range(50))

    assert len(identifiers.xcoms(fifty)) == 50
    assert "51 lines" in refusal(identifiers.xcoms, f"{fifty}\nextract").problem


@given(st.lists(texts | st.sampled_from(["load", "load:a", ":", "load:"])).map("\n".join))
def test_any_accepted_xcom_has_task_key_and_unique_name(text: str) -> None:
    try:
        names = identifiers.xcoms(text)
    except ParseError:
        return
    assert len({name.line for name in names}) == len(names)
    assert all(name.task_id and name.key and name.line.startswith(name.task_id) for name in names)
