"""Text into Markdown that stays text. Whatever comes from Airflow passes through here on its way
into the summary.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from entrypoint.masking import masked
from entrypoint.runners.sanitize import CONTROL, one_safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BLANK = re.compile(rf"[\s{CONTROL}]+")
_MARKUP = re.compile(r"[\\`*_\[\]<>&~$#|]|(?<=www)\.|:(?=//)", re.IGNORECASE)
_IN_URLS = "%:/?#[]@!$&'*+,=-._~"
"""What a URL may hold as it is, but for parentheses, which end a link, and the semicolon, which
makes `&lt;` a `<`.
"""


def prose(text: str) -> str:
    """Return the text as part of a paragraph: names with underscores, mentions and addresses in it
    stay text.
    """
    return _MARKUP.sub(r"\\\g<0>", _one_line(text).strip()).replace("@", "@\u2060")


def code(text: str) -> str:
    """Return the text as a code span: nothing in it acts as markup, mention or link."""
    line = _one_line(text).strip() or "-"
    fence = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def block(text: str) -> str:
    """Return the text as a fenced block, without escape sequences and control characters."""
    lines = [one_safe_line(line) for line in text.rstrip().split("\n")]
    # Measured on what is shown: backticks may come together where an escape sequence was between
    # them.
    fence = "`" * max(3, _longest("\n".join(lines)) + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def folded(title: str, markdown: str) -> str:
    """Return Markdown that is folded away below a title, which is plain text."""
    text = escape(_one_line(title)).replace("@", "@\u2060")
    return f"<details><summary>{text}</summary>\n\n{markdown}\n\n</details>"


def fit(blocks: Iterable[str], limit: int) -> str:
    """Join blocks of Markdown, as many as fit into `limit` bytes; those that do not are left out
    whole, and counted.
    """
    taken, size, lines_omitted = [], 0, 0
    for one in blocks:
        needed = len(one.encode(errors="backslashreplace")) + 2
        if size + needed <= limit:
            taken.append(one)
            size += needed
        else:
            lines_omitted += 1
    if lines_omitted:
        taken.append(
            f"{lines_omitted} more parts (logs, tables) are left out: GitHub shows 1 MiB "
            "at the most. Airflow has them all."
        )
    return "\n\n".join(taken) + "\n"


def link(text: str, url: str) -> str:
    """Return a link; `text` is Markdown already, the URL gets the percent signs that it lacks."""
    return f"[{text}]({quote(masked(url), safe=_IN_URLS, errors='backslashreplace')})"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table whose cells are Markdown already."""
    return [_row(header), _row(("---",) * len(header)), *(_row(row) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    # Within a table a pipe ends the cell even inside a code span; elsewhere its backslash would be
    # seen.
    line = " | ".join(cell.replace("|", r"\|") for cell in cells)
    return f"| {line} |"


def _one_line(text: str) -> str:
    """Return the text on one line without secrets, those included that only the joined line has."""
    return masked(_BLANK.sub(" ", masked(text)))


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
