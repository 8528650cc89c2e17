"""Parse the project's pages: headings with GitHub's anchors, links, pictures, snippets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_READER = MarkdownIt("commonmark", {"html": True}).enable("table")


@dataclass(slots=True)
class Section:
    """A heading with its level and anchor, and the text up to the next heading of any level."""

    title: str
    level: int
    anchor: str
    text: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    fences: list[tuple[str, str]] = field(default_factory=list)


def pages() -> list[Path]:
    """Return every page of the documentation."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "tests" / "README.md",
    ]


def sections(page: Path) -> list[Section]:
    """Return the sections of a page; the first one has no heading.

    `links` are addresses, `pictures` maps addresses to alternative texts, `fences` are pairs of
    language and content.
    """
    found = [Section("", 0, "")]
    anchors: list[str] = []
    tokens = _READER.parse(page.read_text(encoding="utf-8"))
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            title = "".join(child.content for child in tokens[place + 1].children or ())
            found.append(Section(title, int(token.tag[1]), anchor_of(title, anchors)))
            anchors.append(anchor_of(title, []))
        elif token.type == "fence":
            found[-1].fences.append((token.info, token.content))
        elif token.type == "inline":
            if tokens[place - 1].type != "heading_open":
                found[-1].text.append(token.content)
            for child in _all(token):
                if child.type == "link_open":
                    found[-1].links.append(str(child.attrGet("href")))
                elif child.type == "image":
                    found[-1].pictures[str(child.attrGet("src"))] = child.content
    return found


def anchor_of(title: str, before: list[str]) -> str:
    """Return the anchor that GitHub gives a heading; a repeated title gets a number."""
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"{anchor}-{before.count(anchor)}" if anchor in before else anchor


def _all(token: Token) -> Iterator[Token]:
    for child in token.children or ():
        yield child
        yield from _all(child)
