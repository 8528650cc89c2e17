"""What is printed and written for the runner, read back by the replay of its parsers: nothing becomes what it is not."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dev.runner import Annotation
from dev.runner.commands import Level, StepLog
from dev.runner.files import CommandFiles, FileContents
from dev.runner.masking import Masker
from entrypoint.github import commands
from tests.support.listening import heard, printed_by
from tests.support.markdown import hostile

LEVELS: tuple[Level, ...] = ("error", "warning", "notice")
COMMANDS = (
    *(
        "::error::x",
        "::add-mask::x",
        "::stop-commands::token",
        "::set-output name=a::b",
        "::warning title=t::x",
        "::debug::x",
    ),
    *("##[error]x", "##[add-mask]x", "##[group]x", "::endgroup::", "##[set-output name=a;]b", "::save-state name=a::b"),
)
attempts = st.builds(
    "{}{}{}".format,
    st.text(st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u3000\x00#:a"), max_size=4),
    st.sampled_from(COMMANDS),
    hostile,
)


@contextmanager
def runner_files() -> Iterator[CommandFiles]:
    """The runner's files of a stage, named by the environment as long as this lasts."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        files = CommandFiles(Path(folder))
        for name, path in files.environment.items():
            patch.setenv(name, path)
        yield files


def read(files: CommandFiles) -> FileContents:
    """What the runner takes from the files; it must have nothing to complain about."""
    masker = Masker()
    log = StepLog(masker)
    contents = files.collect(log, masker)
    assert (log.failed, log.annotations) == (False, [])
    return contents


@given(hostile | attempts)
def test_say(text: str) -> None:
    """Whatever the text, it is one line of the log that says the same, and never a command."""
    log = heard(lambda: commands.say(text))
    plain = re.sub("[\x00-\x1f\x7f\x85\u2028\u2029]", "", text)

    assert len(log.lines) == 1
    assert log.lines[0].replace(" ", "") == plain.replace(" ", "")
    assert (log.annotations, log.masks, log.unexpected, log.failed) == ([], set(), [], False)


@pytest.mark.parametrize(
    "text", ["nightly_sales is running", "a::b", "https://x.example/dags/d::e", "# ## [x]", "a # b"]
)
def test_say_ordinary_text(text: str) -> None:
    """Text that is no command is printed as it is."""
    assert printed_by(lambda: commands.say(text)) == f"{text}\n"


@given(attempts, attempts)
def test_say_leaves_no_trap(text: str, after: str) -> None:
    """No text said changes what the next line means: no fence goes up."""
    log = heard(
        lambda: commands.say(text), lambda: commands.annotate("notice", "T", "next"), lambda: commands.say(after)
    )

    assert log.annotations == [Annotation("notice", "next", "T")]


@given(st.text())
def test_say_anything_printable_or_not(text: str) -> None:
    """Lone surrogates are printed as escapes on whatever stream."""
    assert len(heard(lambda: commands.say(text)).lines) == 1


@pytest.mark.parametrize("level", LEVELS)
@given(title=hostile, message=hostile)
def test_annotate(level: Level, title: str, message: str) -> None:
    """Title and message arrive exactly, whatever they hold, as one annotation and nothing else."""
    assume(message.strip() and title.strip() and not title.startswith("=") and len(message) <= commands.MESSAGE_LIMIT)
    log = heard(lambda: commands.annotate(level, title, message))

    assert log.annotations == [Annotation(level, message, title)]
    assert (log.masks, log.unexpected, log.failed) == (set(), [], False)


def test_annotate_at_length() -> None:
    """A message that is too long for the runner is cut between words, below its limit."""
    log = heard(lambda: commands.annotate("error", "T", "word " * 2000))

    assert 3990 < len(log.annotations[0].message) <= 4000
    assert log.annotations[0].message.endswith(" word…")


def test_annotate_surrogates() -> None:
    """A lone surrogate, which JSON may carry, is written as its escape."""
    assert heard(lambda: commands.annotate("error", "T\udfff", "a\ud800b")).annotations == [
        Annotation("error", "a\\ud800b", "T\\udfff")
    ]


@given(hostile.filter(str.strip))
def test_mask(secret: str) -> None:
    """A secret reaches the runner's masks exactly, whatever it holds, and so does each of its lines."""
    log = heard(lambda: commands.mask(secret))

    assert secret in log.masks
    assert {line.strip() for line in re.split("[\r\n]", secret)} - {""} <= {one.strip() for one in log.masks}
    assert (log.lines, log.annotations, log.unexpected, log.failed) == ([], [], [], False)


def test_mask_hides() -> None:
    """What is printed after the mask is hidden."""
    log = heard(
        lambda: commands.say("before"), lambda: commands.mask("s3cret%0A"), lambda: commands.say("a s3cret%0A b")
    )

    assert log.lines == ["before", "a *** b"]


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_mask_nothing(nothing: str) -> None:
    """Nothing is masked for a secret that is not there: the runner would warn."""
    assert printed_by(lambda: commands.mask(nothing)) == ""


names = st.sampled_from(["result", "run_id", "failed_tasks"])
values = hostile | st.sampled_from(["a<<EOF\nb\nEOF", "x=y\nz=1", "ghadelimiter_", "\n", "=", "<<"])


@given(st.lists(st.tuples(names, values)))
def test_outputs_and_state(records: list[tuple[str, str]]) -> None:
    """Outputs and state arrive exactly, the last value of each name winning, and nothing is printed."""
    with runner_files() as files:
        printed = printed_by(
            *(partial(commands.set_output, name, value) for name, value in records),
            *(partial(commands.save_state, name, value[::-1]) for name, value in records),
        )
        contents = read(files)

    assert printed == ""
    assert contents.outputs == dict(records)
    assert contents.state == {name: value[::-1] for name, value in records}


def test_outputs_with_surrogates() -> None:
    """A lone surrogate does not keep an output from being written."""
    with runner_files() as files:
        commands.set_output("run_id", "a\ud800")
        commands.save_state("run_id", "a\ud800")
        contents = read(files)

    assert contents.outputs == contents.state == {"run_id": "a\\ud800"}


@given(st.lists(hostile, min_size=1, max_size=3))
def test_summary(parts: list[str]) -> None:
    """Summaries are appended one after the other, each ending its line, and nothing is printed."""
    with runner_files() as files:
        printed = printed_by(*(partial(commands.append_summary, part) for part in parts))
        contents = read(files)

    assert printed == ""
    assert contents.summary.split("\n") == re.split("\r\n|\r|\n", "".join(f"{part}\n" for part in parts))


def test_summary_with_surrogates() -> None:
    """A lone surrogate does not keep the summary from being written."""
    with runner_files() as files:
        commands.append_summary("a\ud800")
        assert read(files).summary == "a\\ud800\n"


def test_without_a_runner() -> None:
    """Without the runner's files nothing is written, and no deprecated command is printed in their place."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"):
            patch.delenv(name, raising=False)
        printed = printed_by(
            lambda: commands.set_output("a", "b"),
            lambda: commands.save_state("a", "b"),
            lambda: commands.append_summary("a"),
        )

    assert printed == ""


def test_read_inputs() -> None:
    """Inputs are read by name from the runner's variables, trimmed, and empty when they are not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INPUT_DAG_ID", " nightly_sales\n")
        patch.setenv("INPUT_CONF", "")
        os.environ.pop("INPUT_TOKEN", None)

        assert commands.read_inputs(["dag_id", "conf", "token"]) == {"dag_id": "nightly_sales", "conf": "", "token": ""}


def test_streams() -> None:
    """Every character can be printed, whatever encoding the job's environment asks for."""
    assert printed_by(lambda: commands.say("任务 é 🚀 \udfff")) == "任务 é 🚀 \\udfff\n"
