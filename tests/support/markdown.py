"""Parse Markdown as GitHub does, with a third-party parser, to check the job summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

_REFEREE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_FRAGMENTS = (
    *(
        "`",
        "``",
        "```",
        "~~~",
        "|",
        "\\",
        "\\|",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\x00",
        "\x1b",
        "\x85",
        "\u2028",
    ),
    *(
        "</details><script>alert(1)</script>",
        "<!--",
        "<img src=x>",
        "@octocat",
        "#1",
        "https://evil.example",
        "&lt;",
    ),
    *(
        "[x](https://evil.example)",
        "![x](y)",
        "*",
        "_",
        "__",
        "~~",
        "# ",
        "- ",
        "> ",
        "    ",
        "| a | b |",
        "---",
        "$x$",
    ),
    *("::error::", "##[error]", "%0A", " ", "a", "é", "任务", "🚀"),
)

hostile = st.lists(st.sampled_from(_FRAGMENTS), max_size=12).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"])
)
"""Text that tries to be markup or a workflow command."""
HOSTILE_TEXTS = (
    *(
        "</details><script>alert(1)</script>",
        "</details>\n\n<img src=x onerror=y>",
        "<!--",
        "</summary>",
        "<details>",
        "&lt;b&gt;",
    ),
    *(
        "```",
        "````text",
        "~~~",
        "`",
        "``x`",
        "```\n\n# A heading\n\n```",
        "```\n\n# A heading\n\n```mermaid\ngantt",
        "| a | b |\n| --- | --- |\n| c | d |",
    ),
    *(
        "@octocat",
        "[x](https://evil.example)",
        "![x](https://evil.example)",
        "https://evil.example",
        "www.evil.example",
    ),
    *(
        "::error::x",
        "##[error]x",
        "::stop-commands::x",
        "::add-mask::e",
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x1b]",
    ),
    *(
        "a\r```\r\rb",
        "a\u2028```\u2028b",
        "\x85",
        "\x00",
        "\ud800",
        "- a\n- b",
        "    code",
        "> quote",
        "a\\",
    ),
)
"""Texts that would change the page if they were not escaped."""


@dataclass(slots=True)
class Page:
    """A parsed page of Markdown.

    Attributes:
        headings: their text, code spans included
        code: the content of each code span
        blocks: the content of each fenced block
        links: text and address of each link
        tables: rows of cells as plain text, the header first
        prose: the text of each paragraph, code and links included
        markup: kinds of tokens that our pages must not contain, such as raw HTML, images and
            accidental emphasis
    """

    headings: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    markup: list[str] = field(default_factory=list)


_EXPECTED = {
    "text",
    "softbreak",
    "code_inline",
    "link_open",
    "link_close",
    "strong_open",
    "strong_close",
}


def read(markdown: str) -> Page:
    page = Page()
    inside = ""
    for token in _REFEREE.parse(markdown):
        if token.type in ("heading_open", "th_open", "td_open", "paragraph_open"):
            inside = token.type
        elif token.type == "table_open":
            page.tables.append([])
        elif token.type == "tr_open":
            page.tables[-1].append([])
        elif token.type == "fence":
            page.blocks.append(token.content)
        elif token.type == "inline":
            _read_inline(token.children or [], inside, page)
        elif token.type.startswith(("html", "code_block", "blockquote", "hr", "bullet", "ordered")):
            page.markup.append(token.type)
    return page


def _read_inline(tokens: list[Token], inside: str, page: Page) -> None:
    text = "".join(token.content or ("\n" if token.type == "softbreak" else "") for token in tokens)
    if inside == "heading_open":
        page.headings.append(text)
    elif inside in ("th_open", "td_open"):
        page.tables[-1][-1].append(text)
    else:
        page.prose.append(text)
    page.code += [token.content for token in tokens if token.type == "code_inline"]
    page.links += _links(tokens)
    page.markup += [token.type for token in tokens if token.type not in _EXPECTED]


def _links(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    for start, token in enumerate(tokens):
        if token.type == "link_open":
            end = next(at for at in range(start, len(tokens)) if tokens[at].type == "link_close")
            yield "".join(one.content for one in tokens[start:end]), str(token.attrGet("href"))
