"""The replay's workflow commands and masks."""

import base64
import json
import re
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dev.runner.commands import Annotation, Command, StepLog, parse_command
from dev.runner.masking import Masker

texts = st.text(st.characters(exclude_categories=["Cs"]))
TOKEN = "7c1f6a0e-fence"


def escape_data(text: str) -> str:
    """Escape the data of a command as GitHub's documentation says."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Escape a property of a command as GitHub's documentation says."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def feed(*lines: str, debug: bool = False) -> StepLog:
    """Return the result of the runner for these lines."""
    log = StepLog(Masker(), debug=debug)
    for line in lines:
        log.feed(line)
    return log


@given(texts, texts)
def test_escaped_data_and_properties_are_read_unchanged(title: str, message: str) -> None:
    """Except for blanks around, and `=` before, the last property."""
    assume(title.strip() == title != "" and not title.startswith("="))
    line = f"::error title={escape_property(title)}::{escape_data(message)}"

    assert "\n" not in line
    assert parse_command(line, {"error"}) == Command("error", message, {"title": title})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("::error::x", Command("error", "x")),
        (" \t\u00a0::error::x", Command("error", "x")),
        ("::ERROR::x", Command("error", "x")),
        ("::error file=a,line=3,,title=::x", Command("error", "x", {"file": "a", "line": "3"})),
        ("::error title=a=b::x", Command("error", "x", {"title": "a=b"})),
        ("::error title==b::x", Command("error", "x", {"title": "b"})),
        ("::error::x::y", Command("error", "x::y")),
        ("::error::%253A%0A", Command("error", "%3A\n")),
        ("##[error]x", Command("error", "x")),
        ("a b ##[error title=t;file=f]x%5D", Command("error", "x]", {"title": "t", "file": "f"})),
        ("::nothing::##[error]x", Command("error", "x")),
        ("a ::error::x", None),
        ("::error:x", None),
        ("::nothing::x", None),
        ("##[nothing]x", None),
        ("##[error", None),
        ("x] ##[error", None),
        ("\x1c::error::x", None),
        ("", None),
    ],
)
def test_both_forms_of_a_command_are_found_where_the_runner_finds_them(
    line: str, expected: Command | None
) -> None:
    """Source: docs/notes/runner.md#workflow-commands."""
    assert parse_command(line, {"error"}) == expected


@given(texts)
def test_no_line_makes_the_parser_fail(line: str) -> None:
    """A line without a command is shown unchanged."""
    log = feed(line)

    if "::" not in line and "##[" not in line:
        assert log.lines == [line]


def test_an_annotation_has_title_and_relative_file_and_the_log_its_message() -> None:
    log = feed("::warning title=T,file=/github/workspace/dags/a.py,line=7::Careful")

    assert log.annotations == [Annotation("warning", "Careful", "T", "dags/a.py", 7)]
    assert log.lines == ["Warning: Careful"]


def test_each_level_has_at_most_ten_annotations() -> None:
    """Further ones are only in the log."""
    log = feed(*["::error::x"] * 11, "::notice::y")

    assert [note.level for note in log.annotations] == ["error"] * 10 + ["notice"]
    assert log.lines == ["Error: x"] * 11 + ["Notice: y"]


def test_a_message_ends_after_4096_characters() -> None:
    assert len(feed(f"::error::{'x' * 5000}").annotations[0].message) == 4096


def test_a_blank_message_is_no_annotation() -> None:
    assert feed("::error title=T:: ").annotations == []


def test_a_group_shows_its_title_and_debug_lines_need_debug_mode() -> None:
    lines = ("::group::Wait", "::debug::a%0Ab", "::endgroup::")

    assert feed(*lines).lines == ["Wait"]
    assert feed(*lines, debug=True).lines == ["Wait", "##[debug]a", "##[debug]b"]


def test_between_stop_commands_and_its_token_every_command_is_text() -> None:
    """The token itself is hidden."""
    log = feed(
        f"::stop-commands::{TOKEN}",
        "::error::x",
        "##[error]y",
        "::x::",
        f"##[{TOKEN.upper()}]",
        "::notice::z",
    )

    assert log.lines == [
        "::stop-commands::***",
        "::error::x",
        "##[error]y",
        "::x::",
        f"##[{TOKEN.upper()}]",
        "Notice: z",
    ]
    assert [note.message for note in log.annotations] == ["z"]
    assert log.masks == set()


@given(st.lists(texts))
def test_no_text_ends_a_fence_without_its_token(lines: list[str]) -> None:
    log = feed(
        f"::stop-commands::{TOKEN}",
        *(f"{mark}{line}" for line in lines for mark in ("::error::", "##[error]")),
    )

    assert (log.annotations, log.masks, log.outputs, log.unexpected, log.failed) == (
        [],
        set(),
        {},
        [],
        False,
    )
    assert len(log.lines) == 1 + 2 * len(lines)


@pytest.mark.parametrize("token", ["", "error", "Pause-Logging"])
def test_an_empty_token_or_a_command_as_token_fails_the_step(token: str) -> None:
    """No fence begins then."""
    log = feed(f"::stop-commands::{token}", "::notice::z")

    assert (log.failed, log.annotations[-1].message) == (True, "z")


def test_a_mask_holds_for_later_lines() -> None:
    log = feed("s3cret", "::add-mask::s3cret", "a s3crets3cret b", "::error::s3cret!")

    assert log.lines == ["s3cret", "a *** b", "Error: ***!"]
    assert (log.annotations[0].message, log.masks) == ("***!", {"s3cret"})


def test_each_line_of_a_multi_line_mask_is_hidden() -> None:
    """Without the blanks around it."""
    log = feed("::add-mask::first%0A  second %0D%0A%0Athird", "first|second|third")

    assert log.lines == ["***|***|***"]
    assert log.masks == {"first\n  second \r\n\nthird", "first", "second", "third"}


def test_a_blank_mask_is_a_warning() -> None:
    log = feed("::add-mask::  ", "a b")

    assert ([note.level for note in log.annotations], log.lines[-1]) == (["warning"], "a b")


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="☃\x85\u2028\u2029"), min_size=1
    )
)
def test_encoded_and_quoted_forms_of_a_secret_are_masked(secret: str) -> None:
    """Base64, JSON, URL and XML encoding; quotes of a shell or an expression."""
    masker = Masker()
    masker.add(secret)
    forms = [
        secret,
        base64.b64encode(secret.encode()).decode(),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        escape(secret, {'"': "&quot;", "'": "&apos;"}),
        secret.replace('"', '\\"'),
        secret.replace("'", "''"),
    ]

    assert [masker.mask(f"☃{form}☃") for form in forms] == ["☃***☃"] * len(forms)


@pytest.mark.parametrize("user", ["a", "ab", "abc"])
def test_a_password_is_masked_in_base64_of_user_and_password(user: str) -> None:
    """At each of the three alignments."""
    masker = Masker()
    masker.add("correct horse battery")
    encoded = base64.b64encode(f"{user}:correct horse battery".encode()).decode()

    assert masker.mask(encoded).endswith("***")


@given(texts, st.sets(texts))
def test_masking_only_replaces_stretches_by_three_asterisks(text: str, secrets: set[str]) -> None:
    masker = Masker()
    for secret in secrets:
        masker.add(secret)
    kept = (re.escape(part) for part in masker.mask(text).split("***"))

    assert re.fullmatch(".*".join(kept), text, re.DOTALL)


@pytest.mark.parametrize("line", ["::set-output name=a::1", "::save-state name=a::1"])
def test_deprecated_commands_work_and_are_reported(line: str) -> None:
    log = feed(line)

    assert (log.outputs | log.state, log.unexpected, log.failed) == ({"a": "1"}, [line], False)


@pytest.mark.parametrize("line", ["::set-env name=a::1", "::add-path::/x", "##[set-output]1"])
def test_disabled_commands_and_outputs_without_a_name_fail_the_step(line: str) -> None:
    log = feed(line)

    assert (log.unexpected, log.failed) == ([line], True)
