"""Escape text for Markdown. All text from Airflow passes through here into the summary."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from entrypoint.masking import masked
from entrypoint.runners.github import MAX_SUMMARY_BYTES
from entrypoint.runners.sanitize import CONTROL, one_safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RESERVED_BYTES = 1_000
"""Bytes below GitHub's limit that stay free.

The sentence that counts the omitted blocks needs some; GitHub's own counting may need the others.
"""
_BLANK = re.compile(rf"[\s{CONTROL}]+")
_MARKUP = re.compile(r"[\\`*_\[\]<>&~$#|]|(?<=www)\.|:(?=//)", re.IGNORECASE)
_URL_CHARS = "%:/?#[]@!$&'*+,=-._~"
"""Characters that stay unquoted in a URL.

Parentheses are quoted because they end a link, the semicolon because it makes `&lt;` a `<`.
"""


def prose(text: str) -> str:
    """Escape text for a paragraph, so that underscores, mentions and URLs have no effect."""
    return _MARKUP.sub(r"\\\g<0>", _one_line(text).strip()).replace("@", "@\u2060")


def code(text: str) -> str:
    """Return the text as a code span, so that markup, mentions and links have no effect."""
    line = _one_line(text).strip() or "-"
    fence = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def block(text: str) -> str:
    """Return the text as a fenced block, without escape sequences and control characters."""
    lines = [one_safe_line(line) for line in text.rstrip().split("\n")]
    # Count after cleaning, because removing an escape sequence may join backticks.
    fence = "`" * max(3, _longest("\n".join(lines)) + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def folded(title: str, markdown: str) -> str:
    """Return Markdown folded below a title, which is plain text."""
    text = escape(_one_line(title)).replace("@", "@\u2060")
    return f"<details><summary>{text}</summary>\n\n{markdown}\n\n</details>"


def fit(blocks: Iterable[str], limit: int = MAX_SUMMARY_BYTES - _RESERVED_BYTES) -> str:
    """Join the blocks of Markdown that fit into `limit` bytes, and count the omitted ones."""
    taken, size, omitted = [], 0, 0
    for one in blocks:
        needed = len(one.encode(errors="backslashreplace")) + 2
        if size + needed <= limit:
            taken.append(one)
            size += needed
        else:
            omitted += 1
    if omitted:
        taken.append(
            f"{omitted} more parts (logs, tables) are left out, because GitHub shows at most 1 "
            "MiB. Airflow shows all of them."
        )
    return "\n\n".join(taken) + "\n"


def link(text: str, url: str) -> str:
    """Return a link with a quoted URL; `text` must be Markdown already."""
    return f"[{text}]({quote(masked(url), safe=_URL_CHARS, errors='backslashreplace')})"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table; its cells must be Markdown already."""
    return [_row(header), _row(("---",) * len(header)), *(_row(row) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    # In a table a pipe ends the cell even inside a code span. Elsewhere its backslash is visible.
    line = " | ".join(cell.replace("|", r"\|") for cell in cells)
    return f"| {line} |"


def _one_line(text: str) -> str:
    """Return the text on one line, and mask secrets before and after joining its lines."""
    return masked(_BLANK.sub(" ", masked(text)))


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
