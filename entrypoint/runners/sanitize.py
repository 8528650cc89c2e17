"""Make text from Airflow safe to print: no secrets, control characters or commands."""

from __future__ import annotations

import re

from entrypoint.masking import ESCAPES, masked

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""C0 and C1 control characters, line separators and bidirectional controls, for a regex class."""
_CONTROL = re.compile(f"[{CONTROL}]+")
_COMMAND = re.compile(r"##(?=[a-z]*\[)", re.IGNORECASE)
"""A command of GitHub's log pages, Azure Pipelines (`##vso[`) or TeamCity, anywhere in a line."""


def one_safe_line(text: str) -> str:
    """Return the text as one line without secrets, control characters and commands."""
    text = masked(text)
    if _CONTROL.search(text):
        # Mask again, because removing an escape sequence or a line break may join a secret.
        text = masked(_CONTROL.sub(" ", ESCAPES.sub("", text)))
    return _COMMAND.sub("## ", text)


def printable(text: str) -> str:
    """Replace lone surrogates, which JSON may carry and UTF-8 may not."""
    return text.encode("utf-8", "backslashreplace").decode()
