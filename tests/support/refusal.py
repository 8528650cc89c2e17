"""Check the error of an input's parser, and give the texts that a parser may get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from entrypoint.inputs.parsers import ParseError

if TYPE_CHECKING:
    from collections.abc import Callable

texts = st.text(st.characters(exclude_categories=["Cs"]))
"""Texts that UTF-8 can encode."""


def refusal(parser: Callable[[str], Any], text: str) -> ParseError:
    """Return the error for a text, which must have one sentence each for problem and remedy."""
    with pytest.raises(ParseError) as caught:
        parser(text)
    for message in (caught.value.problem, caught.value.remedy):
        assert message.endswith("."), message
        assert "\n" not in message
    return caught.value
