"""The errors' words, and how text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError, DagNotRunnable, ExceptionInfo
from entrypoint.text import shortened

words = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1)


def test_action_error() -> None:
    """An error has a title, evidence and a remedy, and its text is the first two."""
    error = ActionError("Title", "detail", "hint")

    assert (str(error), error.title, error.detail, error.hint) == (
        "Title: detail",
        "Title",
        "detail",
        "hint",
    )


def test_the_exceptions_behind_an_error() -> None:
    """Of most errors no exception is known, and what is known of one is not taken for another's."""
    known, other = (
        DagNotRunnable("Title", "detail", "hint"),
        DagNotRunnable("Title", "detail", "hint"),
    )
    known.raised = (ExceptionInfo("KeyError", "1"),)

    assert (known.raised, other.raised) == ((ExceptionInfo("KeyError", "1"),), ())


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ExceptionInfo("KeyError", "'amount'"), "KeyError: 'amount'"),
        (ExceptionInfo("KeyError", ""), "KeyError"),
        (ExceptionInfo("E", " "), "E:  "),
    ],
)
def test_an_exception_in_words(raised: ExceptionInfo, said: str) -> None:
    """An exception reads as Python prints it: its class, and its text if it has one."""
    assert str(raised) == said


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("one two", 7, "one two"),
        ("one two", 6, "one…"),
        ("one two", 4, "one…"),
        ("one  \n two", 6, "one…"),
        ("one two", 3, "…"),
        ("onetwo", 5, "…"),
        ("one\ntwo three", 8, "one\ntwo…"),
        ("one\ttwo", 5, "one…"),
        ("", 5, ""),
    ],
)
def test_shortened(text: str, limit: int, cut: str) -> None:
    """A text that is too long ends at a blank, with an ellipsis."""
    assert shortened(text, limit) == cut


@given(st.lists(words, min_size=1), st.integers(1, 50))
def test_no_word_is_cut_in_two(text: list[str], limit: int) -> None:
    """What is left is no longer than allowed, and consists of whole words: no half of a secret is
    shown.
    """
    cut = shortened(" ".join(text), limit)

    assert len(cut) <= limit
    if cut != " ".join(text):
        assert cut.endswith("…")
        kept = cut[:-1].split()
        assert kept == text[: len(kept)]
