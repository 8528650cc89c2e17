"""Text in the summary stays text, with a CommonMark parser as the referee."""

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given

from entrypoint.report.markdown import block, code, link, table
from tests.support.markdown import hostile, read


def one_line(text: str) -> str:
    """The text as one line of words, as a reader of a code span sees it."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split()) or "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nightly_sales", "`nightly_sales`"),
        ("", "`-`"),
        (" \n ", "`-`"),
        ("a\nb\tc", "`a b c`"),
        ("a`b", "``a`b``"),
        ("`a`", "`` `a` ``"),
        ("a|b", "`a|b`"),
    ],
)
def test_code(text: str, expected: str) -> None:
    """A code span is as short as its text allows."""
    assert code(text) == expected


@given(hostile)
def test_code_in_a_sentence(text: str) -> None:
    """Whatever the text, it comes back as exactly one code span, and the sentence around it is untouched."""
    page = read(f"It was {code(text)} here.")

    assert page.code == [one_line(text)]
    assert page.prose == [f"It was {one_line(text)} here."]
    assert page.markup == []


@given(hostile)
def test_code_at_the_start_of_a_line(text: str) -> None:
    """A code span at the start of a line opens no block."""
    page = read(f"{code(text)}\nafter")

    assert (page.code, page.prose) == ([one_line(text)], [f"{one_line(text)}\nafter"])


@given(hostile)
def test_code_in_a_heading(text: str) -> None:
    """A code span in a heading shows the text as it is, pipes included."""
    page = read(f"## Failed: {code(text)}\n")

    assert page.headings == [f"Failed: {one_line(text)}"]
    assert page.markup == []


@given(hostile, hostile)
def test_code_in_a_table(left: str, right: str) -> None:
    """In a table each code span stays in its cell and shows the text as it is."""
    page = read("\n".join(table(("A", "B"), [(code(left), code(right)), ("c", "d")])))

    assert page.tables == [[["A", "B"], [one_line(left), one_line(right)], ["c", "d"]]]
    assert page.code == [one_line(left), one_line(right)]
    assert page.markup == []


@given(hostile)
def test_block(text: str) -> None:
    """Whatever the text, it comes back as exactly one fenced block, and what follows is no part of it."""
    page = read(f"before\n\n{block(text)}\n\nafter")
    lines = re.sub("\r\n|\r", "\n", text).replace("\x00", "\ufffd")

    assert [shown.rstrip() for shown in page.blocks] == [lines.rstrip()]
    assert page.prose == ["before", "after"]
    assert page.markup == []


@given(hostile, hostile)
def test_link(text: str, path: str) -> None:
    """Whatever the address holds, the link is one link, to that address."""
    url = f"https://airflow.example.com/dags/{path}".rstrip()
    (row,) = read("\n".join(table(("A", "B"), [(link(code(text), url), "x")]))).tables[0][1:]
    ((shown, address),) = read(f"See {link(code(text), url)}.").links

    assert row == [one_line(text), "x"]
    assert shown == one_line(text)
    assert unquote(address).replace("\ufffd", "") == unquote(url).replace("\ufffd", "")
    assert urlsplit(address).hostname == "airflow.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://airflow.example.com/dags/d/runs/a%2Bb%3Ac",
        "http://[::1]:8080/x?dag_run_id=a&task_id=b_c&tab=logs",
        "https://github.com/octo-org/sales/commit/0123abc",
    ],
)
def test_ordinary_links_are_left_alone(url: str) -> None:
    """An address that is percent-encoded already is not encoded again."""
    assert link("x", url) == f"[x]({url})"


def test_table() -> None:
    """A table is its header, a rule and its rows."""
    assert table(("A", "B"), [("1", "2")]) == ["| A | B |", "| --- | --- |", "| 1 | 2 |"]
