"""The replay's workflow commands and masks: what is obeyed, what is shown, what is hidden."""

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
    """The escaping that GitHub's documentation asks for in a command's data."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """The escaping that GitHub's documentation asks for in a command's property."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def feed(*lines: str, debug: bool = False) -> StepLog:
    """What the runner makes of these lines."""
    log = StepLog(Masker(), debug=debug)
    for line in lines:
        log.feed(line)
    return log


@given(texts, texts)
def test_commands_come_back(title: str, message: str) -> None:
    """Escaped text in data and properties is read as it was, but for blanks around and `=` before
    the last property.
    """
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
def test_parse(line: str, expected: Command | None) -> None:
    """Both forms are found where the runner finds them, and nowhere else
    (docs/notes/runner.md#workflow-commands).
    """
    assert parse_command(line, {"error"}) == expected


@given(texts)
def test_any_line_is_shown_or_obeyed(line: str) -> None:
    """No line makes the parser fail, and one without a command is shown as it is."""
    log = feed(line)

    if "::" not in line and "##[" not in line:
        assert log.lines == [line]


def test_annotation() -> None:
    """An annotation has its title, and its file relative to the workspace; the log shows the
    message alone.
    """
    log = feed("::warning title=T,file=/github/workspace/dags/a.py,line=7::Careful")

    assert log.annotations == [Annotation("warning", "Careful", "T", "dags/a.py", 7)]
    assert log.lines == ["Warning: Careful"]


def test_ten_annotations_of_each_level() -> None:
    """The eleventh of a level stays in the log only; the other levels have their own ten."""
    log = feed(*["::error::x"] * 11, "::notice::y")

    assert [note.level for note in log.annotations] == ["error"] * 10 + ["notice"]
    assert log.lines == ["Error: x"] * 11 + ["Notice: y"]


def test_long_message_is_cut() -> None:
    """A message ends after 4096 characters."""
    assert len(feed(f"::error::{'x' * 5000}").annotations[0].message) == 4096


def test_blank_message_is_no_annotation() -> None:
    """An annotation without a message is not sent."""
    assert feed("::error title=T:: ").annotations == []


def test_groups_and_debug() -> None:
    """A group shows as its title; debug lines show in debug mode only."""
    lines = ("::group::Wait", "::debug::a%0Ab", "::endgroup::")

    assert feed(*lines).lines == ["Wait"]
    assert feed(*lines, debug=True).lines == ["Wait", "##[debug]a", "##[debug]b"]


def test_fence() -> None:
    """Between stop-commands and its token every command is text, in either form; the token itself
    is hidden.
    """
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
def test_no_text_leaves_a_fence(lines: list[str]) -> None:
    """Whatever is printed inside a fence, nothing of it is obeyed, unless it is the token."""
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
def test_unusable_fence(token: str) -> None:
    """A fence whose token is empty or a command fails the step and is not put up."""
    log = feed(f"::stop-commands::{token}", "::notice::z")

    assert (log.failed, log.annotations[-1].message) == (True, "z")


def test_mask_holds_from_then_on() -> None:
    """A value is hidden in every later line and message; what was printed before stays."""
    log = feed("s3cret", "::add-mask::s3cret", "a s3crets3cret b", "::error::s3cret!")

    assert log.lines == ["s3cret", "a *** b", "Error: ***!"]
    assert (log.annotations[0].message, log.masks) == ("***!", {"s3cret"})


def test_mask_of_several_lines() -> None:
    """Of a value with several lines every line is hidden by itself, without the blanks around
    it.
    """
    log = feed("::add-mask::first%0A  second %0D%0A%0Athird", "first|second|third")

    assert log.lines == ["***|***|***"]
    assert log.masks == {"first\n  second \r\n\nthird", "first", "second", "third"}


def test_blank_mask_is_refused() -> None:
    """Masking nothing is a warning."""
    log = feed("::add-mask::  ", "a b")

    assert ([note.level for note in log.annotations], log.lines[-1]) == (["warning"], "a b")


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="☃\x85\u2028\u2029"), min_size=1
    )
)
def test_derived_forms_are_masked(secret: str) -> None:
    """A secret is hidden plain, in Base64, in JSON, in a URL, in XML and in quotes of a shell or an
    expression.
    """
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
def test_basic_credential_is_masked(user: str) -> None:
    """A password is hidden in the Base64 of `user:password`, wherever it begins in it."""
    masker = Masker()
    masker.add("correct horse battery")
    encoded = base64.b64encode(f"{user}:correct horse battery".encode()).decode()

    assert masker.mask(encoded).endswith("***")


@given(texts, st.sets(texts))
def test_masking_only_replaces(text: str, secrets: set[str]) -> None:
    """Masking changes nothing but stretches that it replaces by three asterisks."""
    masker = Masker()
    for secret in secrets:
        masker.add(secret)
    kept = (re.escape(part) for part in masker.mask(text).split("***"))

    assert re.fullmatch(".*".join(kept), text, re.DOTALL)


@pytest.mark.parametrize("line", ["::set-output name=a::1", "::save-state name=a::1"])
def test_deprecated_commands_work(line: str) -> None:
    """Deprecated commands are obeyed and reported as unexpected."""
    log = feed(line)

    assert (log.outputs | log.state, log.unexpected, log.failed) == ({"a": "1"}, [line], False)


@pytest.mark.parametrize("line", ["::set-env name=a::1", "::add-path::/x", "##[set-output]1"])
def test_disabled_commands_fail_the_step(line: str) -> None:
    """Disabled commands, and an output without a name, fail the step."""
    log = feed(line)

    assert (log.unexpected, log.failed) == ([line], True)
