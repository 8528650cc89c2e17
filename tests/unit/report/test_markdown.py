"""Text in the Markdown summary stays text, checked with a CommonMark parser."""

import re
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint.report.markdown import block, code, fit, folded, link, prose, table
from entrypoint.runners.sanitize import CONTROL, one_safe_line
from tests.support.markdown import hostile, read

ESCAPES = ("\x1b[0m", "\x1b[1;31m", "\x1b]0;title\x07", "\x1b]", "\x1b[", "\x1b", "\x1b_", "\x1b(B")
FENCES = (
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "\n",
    "\r",
    "\n\n",
    "\u2028",
    "</details>",
    "<script>",
    "a",
    "    ",
    "> ",
    "- ",
)
terminal = st.lists(st.sampled_from((*ESCAPES, *FENCES)), max_size=12).map("".join)
"""Text with terminal escape sequences, which are removed, between possible fences."""


def one_line(text: str) -> str:
    """Return the text as a reader of a code span sees it."""
    return " ".join(re.sub(f"[{CONTROL}]", " ", text).split()) or "-"


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
def test_code_span_uses_the_shortest_fence(text: str, expected: str) -> None:
    assert code(text) == expected


@given(hostile)
def test_any_text_is_one_code_span_in_a_sentence(text: str) -> None:
    page = read(f"It was {code(text)} here.")

    assert page.code == [one_line(text)]
    assert page.prose == [f"It was {one_line(text)} here."]
    assert page.markup == []


@given(hostile)
def test_code_span_at_a_line_start_opens_no_block(text: str) -> None:
    page = read(f"{code(text)}\nafter")

    assert (page.code, page.prose) == ([one_line(text)], [f"{one_line(text)}\nafter"])


@given(hostile)
def test_code_span_in_a_heading_shows_pipes(text: str) -> None:
    page = read(f"## Failed: {code(text)}\n")

    assert page.headings == [f"Failed: {one_line(text)}"]
    assert page.markup == []


@given(hostile, hostile)
def test_code_span_in_a_table_stays_in_its_cell(left: str, right: str) -> None:
    page = read("\n".join(table(("A", "B"), [(code(left), code(right)), ("c", "d")])))

    assert page.tables == [[["A", "B"], [one_line(left), one_line(right)], ["c", "d"]]]
    assert page.code == [one_line(left), one_line(right)]
    assert page.markup == []


def shown_in_block(text: str) -> str:
    """Return the text as a reader of a fenced block sees it."""
    return "\n".join(one_safe_line(line) for line in text.rstrip().split("\n"))


@example("``\x1b[m`\n\n# A heading</details><script>alert(1)</script>")
@given(hostile | terminal)
def test_any_text_is_one_fenced_block(text: str) -> None:
    page = read(f"before\n\n{block(text)}\n\nafter")

    assert [shown.rstrip() for shown in page.blocks] == [shown_in_block(text).rstrip()]
    assert page.prose == ["before", "after"]
    assert (page.markup, page.links, page.headings) == ([], [], [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one line",
        "```\ncode\n```",
        "~~~~",
        "`" * 500,
        "</details>\n\n<script>alert(1)</script>",
        "| a | b |\n| --- | --- |",
        "    indented\n\n\n- list",
        "a\r```\rb",
        "a\u2028```\u2028b",
        "\x1b[31mred\x1b[0m\n##[error]x",
        "x" * 5_000_000,
        "x\n" * 200_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_markup_line_ends_and_length_stay_within_the_block(text: str) -> None:
    page = read(f"before\n\n{block(text)}\n\nafter")

    assert [shown.rstrip("\n") for shown in page.blocks] == [shown_in_block(text)]
    assert (page.prose, page.markup) == (["before", "after"], [])


def test_block_keeps_indentation_and_empty_lines() -> None:
    """Only the end is trimmed."""
    assert block("\n  a\n\n    b\n\n") == "```text\n\n  a\n\n    b\n```"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*a*",
            "**a**",
            "_a_",
            "__a__",
            "a_b_c",
            "~~a~~",
            "`a`",
            "``a``",
            "[x](https://evil.example)",
            "![x](y)",
            "[x]",
        ),
        *(
            "<b>a</b>",
            "<https://evil.example>",
            "<!-- x -->",
            "&lt;",
            "a|b",
            "\\*a*",
            "a\\",
            "$x$",
            "#1",
            "a  \n  b",
            "1\n===",
        ),
    ],
)
def test_every_kind_of_markup_is_shown_as_text(text: str) -> None:
    page = read(f"It said {prose(text)} here.")

    assert page.prose == [f"It said {' '.join(text.split())} here."]
    assert (page.markup, page.links, page.code) == ([], [], [])


@given(hostile)
def test_any_text_in_a_sentence_is_no_markup_link_or_mention(text: str) -> None:
    page = read(f"It said {prose(text)} here.")
    line = " ".join(re.sub(f"[{CONTROL}]", " ", text).split())

    assert [" ".join(shown.split()) for shown in page.prose] == [
        " ".join(f"It said {line} here.".replace("@", "@\u2060").split())
    ]
    assert (page.markup, page.links, page.code, page.tables) == ([], [], [], [])


@given(
    hostile
    | st.sampled_from(
        ["WWW.evil.example", "HTTPS://x.example", "a@b.example", "x www.a.b", "ftp://a.b/c"]
    )
)
def test_github_autolinks_and_mentions_are_broken_up(text: str) -> None:
    assert not re.search(r"@\w|www\.|(?<!\\):/", prose(text), re.IGNORECASE)


@given(hostile | terminal, hostile | terminal)
def test_fold_is_closed_with_a_plain_title(title: str, text: str) -> None:
    begin, end = folded(title, "THE TEXT").split("THE TEXT")
    title_shown = begin.removeprefix("<details><summary>").partition("</summary>")[0]
    page = read(f"before\n\n{folded(title, code(text))}\n\nafter")

    assert (begin, end) == (f"<details><summary>{title_shown}</summary>\n\n", "\n\n</details>")
    assert not re.search(r"[<>\n\r]|@\w", title_shown)
    assert (
        unescape(title_shown).split()
        == re.sub(f"[{CONTROL}]", " ", title).replace("@", "@\u2060").split()
    )
    assert page.markup == ["html_block", "html_block"]
    assert page.prose == ["before", one_line(text), "after"]


def sizes_that_fit(limit: int, *parts: int) -> list[int]:
    """Return the sizes of the blocks that fit into a number of bytes."""
    text = fit([letter * size for letter, size in zip("abcdefgh", parts, strict=False)], limit)
    return [len(one) for one in text.rstrip("\n").split("\n\n") if len(set(one)) == 1]


@pytest.mark.parametrize(
    ("limit", "parts", "taken"),
    [
        (100, (), []),
        (100, (10, 20), [10, 20]),
        (100, (49, 47), [49, 47]),
        (100, (49, 48), [49]),
        (100, (99,), []),
        (100, (200, 10), [10]),
        (100, (10, 200, 20, 80, 30), [10, 20, 30]),
    ],
)
def test_first_blocks_that_fit_are_taken(
    limit: int, parts: tuple[int, ...], taken: list[int]
) -> None:
    """A block that is too large does not keep out later ones."""
    assert sizes_that_fit(limit, *parts) == taken


def test_number_of_omitted_blocks_is_shown() -> None:
    assert fit(["a" * 60, "b" * 60, "c" * 60], 200) == f"{'a' * 60}\n\n{'b' * 60}\n\n{'c' * 60}\n"
    assert re.search(r"\n\n2 .*left out.*\n$", fit(["a" * 60, "b" * 60, "c" * 60], 100))


@given(
    st.lists(st.text(st.sampled_from("a任🚀\ud800"), max_size=300), max_size=20),
    st.integers(0, 5000),
)
def test_any_blocks_stay_whole_ordered_and_within_the_byte_limit(
    texts: list[str], limit: int
) -> None:
    blocks = [f"block {number}: {text}" for number, text in enumerate(texts)]
    *taken, last = fit(blocks, limit).removesuffix("\n").split("\n\n")
    if last.startswith("block"):
        taken, last = [*taken, last], ""
    numbers = [int(one.split()[1].rstrip(":")) for one in taken]

    assert taken == [blocks[number] for number in numbers]
    assert numbers == sorted(set(numbers))
    assert sum(len(one.encode(errors="backslashreplace")) + 2 for one in taken) <= limit
    assert (int(last.split()[0]) if last else 0) == len(blocks) - len(taken)


@given(hostile, hostile)
def test_any_url_is_one_link(text: str, path: str) -> None:
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
def test_percent_encoded_url_is_not_encoded_again(url: str) -> None:
    assert link("x", url) == f"[x]({url})"


def test_table_has_header_rule_and_rows() -> None:
    assert table(("A", "B"), [("1", "2")]) == ["| A | B |", "| --- | --- |", "| 1 | 2 |"]
