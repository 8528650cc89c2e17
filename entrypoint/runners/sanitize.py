"""Make text from Airflow safe to print: no secrets, control characters or commands."""

from __future__ import annotations

import re

from entrypoint.masking import ESCAPES, masked

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Control characters (C0, C1), what ends a line, and what turns the direction of text: as a class
of characters.
"""


_CONTROL = re.compile(f"[{CONTROL}]+")


_COMMAND = re.compile(r"##(?=[a-z]*\[)", re.IGNORECASE)
"""What GitHub's pages, Azure Pipelines (`##vso[`) and TeamCity obey anywhere in a line."""


def one_safe_line(text: str) -> str:
    """Return the text as one line without secrets, escape sequences, control characters, and
    commands within a line.
    """
    text = masked(text)
    if _CONTROL.search(text):
        # Masked again: what stood on both sides of an escape sequence or a line break may be a
        # secret now.
        text = masked(_CONTROL.sub(" ", ESCAPES.sub("", text)))
    return _COMMAND.sub("## ", text)


def printable(text: str) -> str:
    """Replace lone surrogates, which JSON may carry and UTF-8 may not."""
    return text.encode("utf-8", "backslashreplace").decode()
