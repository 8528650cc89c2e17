"""Action errors and shortened texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError, DagNotRunnable, ExceptionInfo
from entrypoint.text import shortened

words = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1)


def test_text_of_an_error_is_title_and_detail() -> None:
    error = ActionError("Title", "detail", "hint")

    assert (str(error), error.title, error.detail, error.hint) == (
        "Title: detail",
        "Title",
        "detail",
        "hint",
    )


def test_errors_do_not_share_their_list_of_exceptions() -> None:
    known, other = (
        DagNotRunnable("Title", "detail", "hint"),
        DagNotRunnable("Title", "detail", "hint"),
    )
    known.raised = (ExceptionInfo("KeyError", "1"),)

    assert (known.raised, other.raised) == ((ExceptionInfo("KeyError", "1"),), ())


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ExceptionInfo("KeyError", "'amount'"), "KeyError: 'amount'"),
        (ExceptionInfo("KeyError", ""), "KeyError"),
        (ExceptionInfo("E", " "), "E:  "),
    ],
)
def test_exception_text_is_class_and_message(raised: ExceptionInfo, message: str) -> None:
    assert str(raised) == message


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
def test_long_text_ends_at_a_blank_with_an_ellipsis(text: str, limit: int, cut: str) -> None:
    assert shortened(text, limit) == cut


@given(st.lists(words, min_size=1), st.integers(1, 50))
def test_shortened_text_has_only_whole_words(text: list[str], limit: int) -> None:
    """Half a secret would not be masked."""
    cut = shortened(" ".join(text), limit)

    assert len(cut) <= limit
    if cut != " ".join(text):
        assert cut.endswith("…")
        kept = cut[:-1].split()
        assert kept == text[: len(kept)]
