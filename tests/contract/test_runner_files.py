"""The replay's file commands against a reference writer and against hostile files."""

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
    """A record as GitHub's documentation says to write it."""
    delimiter = uuid.uuid4()
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def collect(
    folder: Path, masker: Masker | None = None, **contents: str | bytes
) -> tuple[FileContents, StepLog]:
    """What the runner takes from files with these contents, by the last part of their variable's
    name.
    """
    masker = masker or Masker()
    log = StepLog(masker)
    files = CommandFiles(folder)
    for name, content in contents.items():
        data = content if isinstance(content, bytes) else content.encode()
        Path(files.environment[f"GITHUB_{name}"]).write_bytes(data)
    return files.collect(log, masker), log


@given(st.lists(st.tuples(names, values)))
def test_heredoc_records_come_back(records: list[tuple[str, str]]) -> None:
    """Every value written between random delimiters is read as it was, CR, blank ends and marks of
    other records included.
    """
    assert list(parse_pairs("".join(heredoc(*record) for record in records))) == records


@given(names, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
def test_one_line_records_come_back(name: str, value: str) -> None:
    """NAME=VALUE keeps everything behind the first `=`, further `=` and `<<` included."""
    assert list(parse_pairs(f"{name}={value}\n")) == [(name, value)]


@given(st.binary())
def test_any_file_is_read_or_refused(content: bytes) -> None:
    """Whatever lies in a file, the parser ends with records or with the one error that it
    declares.
    """
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
def test_records(text: str, expected: list[tuple[str, str]]) -> None:
    """Records are told apart as the runner tells them (docs/notes/runner.md#file-commands)."""
    assert list(parse_pairs(decode(text.encode()))) == expected


@pytest.mark.parametrize(
    "text", ["x\n", "<<E\nE\n", "a<<\n\n", "a<<E\nvalue\n", "a<<E\nvalueE", "a<<E\nE\r\n", " \n"]
)
def test_refused_records(text: str) -> None:
    """A line that is no record, and a value without its delimiter, are refused."""
    with pytest.raises(FileCommandError):
        list(parse_pairs(text))


def test_records_before_a_bad_line_count(tmp_path: Path) -> None:
    """A truncated record fails the step and loses the later ones, not the earlier ones nor the
    other files.
    """
    contents, log = collect(tmp_path, OUTPUT="a=1\nb<<E\ntrunc", STATE="run_id=x\n")

    assert (contents.outputs, contents.state, log.failed) == ({"a": "1"}, {"run_id": "x"}, True)
    assert [note.message for note in log.annotations] == [
        "Unable to process file command 'output' successfully.",
        "Invalid value. Matching delimiter not found 'E'",
    ]


def test_output_without_a_name(tmp_path: Path) -> None:
    """An output with an empty name fails the step."""
    contents, log = collect(tmp_path, OUTPUT="=1\nb=2\n")

    assert (contents.outputs, log.failed) == ({}, True)


def test_env_and_path(tmp_path: Path) -> None:
    """Variables and path entries for later steps are read; blank lines are none."""
    contents, log = collect(tmp_path, ENV="A=1\n", PATH="/a\n\n/b\r\n")

    assert (contents.env, contents.path, log.failed) == ({"A": "1"}, ("/a", "/b"), False)


def test_files_are_removed(tmp_path: Path) -> None:
    """Nothing of a stage's files remains for the next one."""
    collect(tmp_path, OUTPUT="a=1\n", STEP_SUMMARY="# Done\n")

    assert list(tmp_path.iterdir()) == []


def test_summary_is_masked_line_by_line(tmp_path: Path) -> None:
    """Secrets are replaced within a line; one that spans lines is found by its lines alone; every
    line ends in LF.
    """
    masker = Masker()
    masker.add("s3cret")
    contents, _ = collect(tmp_path, masker, STEP_SUMMARY="a s3cret\r\nb\rc")

    assert contents.summary == "a ***\nb\nc\n"


@pytest.mark.parametrize(("size", "kept"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
# A table's column
def test_summary_limit(tmp_path: Path, size: int, kept: bool) -> None:
    """A summary over 1 MiB is dropped with an error, and the step's result stays."""
    contents, log = collect(tmp_path, STEP_SUMMARY=b"x" * size)

    assert (bool(contents.summary), len(log.annotations), log.failed) == (
        kept,
        0 if kept else 1,
        False,
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_lines_hold_no_line_ends(text: str) -> None:
    """Cutting at CR, LF and CR LF loses nothing else."""
    lines = split_lines(text)

    assert all("\r" not in line and "\n" not in line for line in lines)
    assert "".join(lines) == text.replace("\r", "").replace("\n", "")
