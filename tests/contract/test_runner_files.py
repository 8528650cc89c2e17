"""The replay's file commands, with a reference writer and malformed files."""

import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.runner.commands import StepLog
from dev.runner.files import (
    CommandFiles,
    FileCommandError,
    FileContents,
    decode,
    parse_pairs,
    split_lines,
)
from dev.runner.masking import Masker

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n=<"), min_size=1)
values = st.text(st.characters(exclude_categories=["Cs"]))


def heredoc(name: str, value: str) -> str:
    """Return a record in the form that GitHub's documentation gives."""
    delimiter = uuid.uuid4()
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def collect(
    folder: Path, masker: Masker | None = None, **contents: str | bytes
) -> tuple[FileContents, StepLog]:
    """Return what the runner reads from files with these contents, by variable."""
    masker = masker or Masker()
    log = StepLog(masker)
    files = CommandFiles(folder)
    for name, content in contents.items():
        data = content if isinstance(content, bytes) else content.encode()
        Path(files.environment[f"GITHUB_{name}"]).write_bytes(data)
    return files.collect(log, masker), log


@given(st.lists(st.tuples(names, values)))
def test_heredoc_records_are_read_unchanged(records: list[tuple[str, str]]) -> None:
    """Including CR, trailing blanks and delimiters of other records."""
    assert list(parse_pairs("".join(heredoc(*record) for record in records))) == records


@given(names, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
def test_a_one_line_record_keeps_everything_after_the_first_equals_sign(
    name: str, value: str
) -> None:
    assert list(parse_pairs(f"{name}={value}\n")) == [(name, value)]


@given(st.binary())
def test_any_file_is_parsed_or_raises_the_declared_error(content: bytes) -> None:
    with suppress(FileCommandError):
        assert all(name or "=" in decode(content) for name, _ in parse_pairs(decode(content)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\n", []),
        ("a=1", [("a", "1")]),
        ("a=1\r\n", [("a", "1\r")]),
        ("a=<<b", [("a", "<<b")]),
        ("a<<b=c\nx\nb=c", [("a", "x")]),
        ("a<<E\nE", [("a", "")]),
        ("a<<E\n\nE\n", [("a", "")]),
        ("a<<E\n\n\nE\n", [("a", "\n")]),
        ("a<<E\n E\nE \nE\n", [("a", " E\nE ")]),
        ("a<<E\nb=2\nE\nc=3\n", [("a", "b=2"), ("c", "3")]),
        ("\ufeffa=1\n", [("a", "1")]),
    ],
)
def test_records_are_split_as_the_runner_splits_them(
    text: str, expected: list[tuple[str, str]]
) -> None:
    """Source: docs/notes/runner.md#file-commands."""
    assert list(parse_pairs(decode(text.encode()))) == expected


@pytest.mark.parametrize(
    "text", ["x\n", "<<E\nE\n", "a<<\n\n", "a<<E\nvalue\n", "a<<E\nvalueE", "a<<E\nE\r\n", " \n"]
)
def test_invalid_lines_and_values_without_delimiter_are_refused(text: str) -> None:
    with pytest.raises(FileCommandError):
        list(parse_pairs(text))


def test_a_truncated_record_fails_the_step_and_loses_only_later_records(tmp_path: Path) -> None:
    """The other files still count."""
    contents, log = collect(tmp_path, OUTPUT="a=1\nb<<E\ntrunc", STATE="run_id=x\n")

    assert (contents.outputs, contents.state, log.failed) == ({"a": "1"}, {"run_id": "x"}, True)
    assert [note.message for note in log.annotations] == [
        "Unable to process file command 'output' successfully.",
        "Invalid value. Matching delimiter not found 'E'",
    ]


def test_an_output_with_an_empty_name_fails_the_step(tmp_path: Path) -> None:
    contents, log = collect(tmp_path, OUTPUT="=1\nb=2\n")

    assert (contents.outputs, log.failed) == ({}, True)


def test_env_and_path_entries_are_read_and_blank_lines_ignored(tmp_path: Path) -> None:
    contents, log = collect(tmp_path, ENV="A=1\n", PATH="/a\n\n/b\r\n")

    assert (contents.env, contents.path, log.failed) == ({"A": "1"}, ("/a", "/b"), False)


def test_the_files_of_a_stage_are_removed(tmp_path: Path) -> None:
    collect(tmp_path, OUTPUT="a=1\n", STEP_SUMMARY="# Done\n")

    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_masked_line_by_line(tmp_path: Path) -> None:
    """A secret of several lines is found by its lines. Every line ends with LF."""
    masker = Masker()
    masker.add("s3cret")
    contents, _ = collect(tmp_path, masker, STEP_SUMMARY="a s3cret\r\nb\rc")

    assert contents.summary == "a ***\nb\nc\n"


@pytest.mark.parametrize(("size", "kept"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
# a column of a table
def test_a_summary_over_1_mib_is_dropped_with_an_error(
    tmp_path: Path, size: int, kept: bool
) -> None:
    """The step's result does not change."""
    contents, log = collect(tmp_path, STEP_SUMMARY=b"x" * size)

    assert (bool(contents.summary), len(log.annotations), log.failed) == (
        kept,
        0 if kept else 1,
        False,
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_lines_end_at_cr_lf_and_cr_lf_only(text: str) -> None:
    lines = split_lines(text)

    assert all("\r" not in line and "\n" not in line for line in lines)
    assert "".join(lines) == text.replace("\r", "").replace("\n", "")
