"""Commands and files for GitHub's runner, read back by a replay of its parsers."""

import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dev.runner import Annotation
from dev.runner.commands import Level, StepLog
from dev.runner.files import CommandFiles, FileContents
from dev.runner.masking import Masker
from entrypoint.runners import github as commands
from entrypoint.runners.sanitize import CONTROL, one_safe_line
from entrypoint.signals import Interrupted
from tests.support.markdown import hostile
from tests.support.runner_log import printed_by, runner_log

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
    *(
        "##[error]x",
        "##[add-mask]x",
        "##[group]x",
        "::endgroup::",
        "##[set-output name=a;]b",
        "::save-state name=a::b",
    ),
)
ESCAPES = (
    *(
        "\x1b[0m",
        "\x1b[1;31m",
        "\x1b[2K",
        "\x1b[?25h",
        "\x1b]0;title\x07",
        "\x1b]8;;https://evil.example\x1b\\",
    ),
    *("\x1b]", "\x1b[", "\x1b", "\x1bM", "\x1b(B", "\x1b[31", "\x9b31m", "\x07", "\b"),
)
BLANKS = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u2029\u3000\x00#:a"
attempts = st.builds(
    "{}{}{}{}".format,
    st.text(st.sampled_from(BLANKS), max_size=4),
    st.sampled_from(("", *ESCAPES)),
    st.sampled_from(COMMANDS)
    | st.sampled_from(["#\x1b[0m#[error]x", "##\x1b[0m[error]x", ":\x1b[0m:error::x"]),
    hostile,
)
anything = (
    hostile
    | attempts
    | st.lists(st.sampled_from((*COMMANDS, *ESCAPES, "\ud800", " ")), max_size=6).map("".join)
)


def obeyed_commands(log: StepLog) -> list[object]:
    """Return everything that the runner did because of a log, besides showing it."""
    done = [*log.annotations, *log.masks, *log.unexpected, *log.outputs.items(), *log.state.items()]
    return [*done, "failed"] if log.failed else done


@contextmanager
def runner_files() -> Iterator[CommandFiles]:
    """Set the runner's files of a stage in the environment of the context."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        files = CommandFiles(Path(folder))
        for name, path in files.environment.items():
            patch.setenv(name, path)
        yield files


def read_files(files: CommandFiles) -> FileContents:
    """Read what the runner takes from the files; it must report no problem."""
    masker = Masker()
    log = StepLog(masker)
    contents = files.collect(log, masker)
    assert (log.failed, log.annotations) == (False, [])
    return contents


@given(anything)
def test_said_text_is_one_line_and_no_command(text: str) -> None:
    log = runner_log(lambda: commands.say(text))

    assert len(log.lines) == 1
    assert obeyed_commands(log) == []


@given((hostile | attempts).filter(lambda text: not re.search("[\x1b\x80-\x9f]", text)))
def test_said_text_keeps_all_but_control_characters(text: str) -> None:
    plain = re.sub(f"[{CONTROL}]", "", text)

    assert runner_log(lambda: commands.say(text)).lines[0].replace(" ", "").replace(
        commands.JOINER, ""
    ) == plain.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m and \x1b[2Kgone", "red and gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\rb\nc\x85d\u2028e\u2029f\x00g\x7f", "a b c d e f g "),
        ("##[error]x", "## [error]x"),
        ("###[group]", "### [group]"),
        ("#\x1b[0m#\x1b[0m[error]x", "## [error]x"),
        ("##\x1b]0;\x07[error]x", "## [error]x"),
        ("\x9b1;31mred\x9b0m and \x9b2Kgone", "red and gone"),
        ("\x9d0;title\x9ctext \x1bPsixel\x1b\\text \x90x\x9ctext", "text text text"),
        ("a\x84b\x8dc\u202ed\u2066e", "a b c d e"),
        ("50 % of # [x] é 任务 🚀", "50 % of # [x] é 任务 🚀"),
        ("", ""),
    ],
)
def test_sanitized_text_has_no_escape_sequences_or_commands(text: str, shown: str) -> None:
    assert one_safe_line(text) == shown


@given(anything)
def test_any_sanitized_text_is_one_stable_line(text: str) -> None:
    shown = one_safe_line(text)

    assert not re.search(f"[{CONTROL}]|##\\[", shown)
    assert one_safe_line(shown) == shown


def test_a_million_escape_characters_are_sanitized_in_linear_time() -> None:
    for part in ("\x1b[0", "\x1b]", "\x1b[;;", "#", "\x1b[ "):
        assert "\x1b" not in one_safe_line(part * (1_000_000 // len(part)))


@pytest.mark.parametrize(
    "text",
    [
        "nightly_sales is running",
        "a::b",
        "https://x.example/dags/d::e",
        "# ## [x]",
        "a # b",
        "  0:03  text",
        "1:00:03  extract is running",
        "0:03",
        "Airflow: https://airflow.example.com:8080",
        "https://x.example/dags/sales.py:12 is open",
    ],
)
def test_ordinary_text_is_printed_unchanged(text: str) -> None:
    assert printed_by(lambda: commands.say(text)) == f"{text}\n"


@given(attempts, attempts)
def test_said_text_does_not_disable_commands(text: str, after: str) -> None:
    log = runner_log(
        lambda: commands.say(text),
        lambda: commands.annotate("notice", "T", "next"),
        lambda: commands.say(after),
    )

    assert obeyed_commands(log) == [Annotation("notice", "next", "T")]


@given(st.text())
def test_lone_surrogates_are_printed_escaped(text: str) -> None:
    assert len(runner_log(lambda: commands.say(text)).lines) == 1


HOSTILE_LINES = (
    *COMMANDS,
    *(f"  {command}" for command in COMMANDS),
    *(
        f"{blank}{command}"
        for command in COMMANDS
        for blank in ("\r", "a\r", "a\n", "\u2028", "\x85", "\x1b[0m", "\x0c")
    ),
    *(
        "#\x1b[0m#[error]x",
        "::0123456789abcdef0123456789abcdef::",
        "::stop-commands::",
        "::::",
        "</details><script>",
    ),
    *(
        "\ud800::error::x",
        "```",
        "| a | b |",
        "@octocat",
        "",
        "\x1b]0;",
        "::stop-commands::x\n::x::\n::error::x",
    ),
)


def later_command_is_obeyed() -> None:
    """Tell whether the runner obeys a command after a task's log."""
    commands.annotate("notice", "T", "next")


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_relayed_line_is_shown_and_not_obeyed(line: str) -> None:
    log = runner_log(lambda: commands.relay([line, "last"]), later_command_is_obeyed)

    assert obeyed_commands(log) == [Annotation("notice", "next", "T")]
    assert (len(log.lines), log.lines[2], log.lines[4]) == (
        5,
        f"{commands.JOINER}last",
        "Notice: next",
    )


@given(st.lists(anything, max_size=5))
def test_any_relayed_lines_stay_between_stop_and_resume(lines: list[str]) -> None:
    log = runner_log(lambda: commands.relay(lines), later_command_is_obeyed)

    assert obeyed_commands(log) == [Annotation("notice", "next", "T")]
    assert len(log.lines) == 1 + len(lines) + 1 + 1


GCC = r"^(.*?):(\d+):(\d*):?\s+(?:fatal\s+)?(warning|error):\s+(.*)$"


@pytest.mark.parametrize(
    ("matcher", "line"),
    [
        (
            r'^\s*File\s"(.*)",\sline\s(\d+),\sin\s(.*)$',
            '  File "/opt/airflow/dags/sales.py", line 12, in load',
        ),
        (r"^\s*raise\s(.*)\('(.*)'\)$", "    raise ValueError('no rows')"),
        (r"^\s*(\.{0,2}[/\\].+\.go):(?:(\d+):(\d+):)? (.*)", "./main.go:3:9: undefined: x"),
        (r"^(.*):(\d+):(\d+):\s+(warning|error):\s+(.*)$", "load.c:3:9: error: no rows"),
        (r"^(.+):(\d+):\s(error|warning):\s(.+)$", "dags/sales.py:12: error: no rows  [arg-type]"),
        (r"^(.+):(\d+):(\d+):\s(([EWCR])\d{4}):\s(.+)$", "dags/sales.py:12:4: E1101: no member"),
        (
            r"^\s*([^:]+)\((\d+),(\d+)\): (error|warning) ([^:]+): (.*)$",
            "Load.cs(3,9): error CS1002: ; expected",
        ),
        (
            r"^(.+):\sline\s(\d+),\scol\s(\d+),\s(Error|Warning|Info)\s-\s(.+)\s\((.+)\)$",
            "a.js: line 3, col 9, Error - no (r)",
        ),
        (
            r"^([^\s].*)[\(:](\d+)[,:](\d+)(?:\):\s+|\s+-\s+)(error|warning|info)\s+TS(\d+)",
            "a.ts:3:9 - error TS2304: no x",
        ),
        (r"^\s+(\d+):(\d+)\s+(error|warning|info)\s+(.*)\s\s+(.*)$", "  3:9  error  no rows  rule"),
        (r"^(E)\s+(.*)$", "E   assert 1 == 2"),
        (r"^\s*at\s(.+)\((.+):(\d+)\)$", "\tat Load.run(Load.java:12)"),
        (GCC, "a.c:12:5 error: boom"),
        (GCC, "Makefile:12:5: fatal error: boom"),
        (GCC, "a.c:12:5:  warning: boom"),
        (GCC, "2026-11-21 09:15:37 error: boom"),
        (r"^(.*):(\d+)$", "path.php:12"),
        (r"^(.*):(\d+)$", "bin/load:12"),
        (r"(\w+\.py):(\d+):(.*)", "see dags/sales.py:12:no rows"),
        (r"^\s+-->\s(.+):(\d+):(\d+)$", "   --> src/main.rs:3:9"),
        (r"(.+):(\d+):(\d+)\)", "at load (dags/load.ts:3:9)"),
        (r"^(.+):(\d+)\s+(error|warning)\s+(.+)$", "load:12 error no rows"),
        (r"^(.+)\((\d+)\)\s(error)", "x (12) error"),
    ],
    ids=[
        *(
            "setup-python",
            "raise",
            "go",
            "gcc",
            "mypy",
            "pylint",
            "csc",
            "eslint",
            "tsc",
            "stylish",
            "pytest",
            "java",
        ),
        *(
            "one colon",
            "fatal",
            "blanks",
            "time",
            "php",
            "no suffix",
            "grep",
            "rust",
            "node",
            "severity",
            "in parentheses",
        ),
    ],
)
def test_relayed_log_triggers_no_problem_matcher(matcher: str, line: str) -> None:
    assert re.search(matcher, line)
    (_, relayed, _) = printed_by(lambda: commands.relay([line])).splitlines()

    assert not re.search(matcher, relayed)
    assert relayed.replace(commands.JOINER, "") == line.replace("\t", " ")


@pytest.mark.parametrize(
    ("matcher", "text"),
    [
        (GCC, "  0:03  a.c:12:5 error: boom"),
        (GCC, "The task said: dags/sales.py:12: error: no rows"),
        (r"^(.*):(\d+)$", "Airflow says: path.php:12"),
        (
            r"^\s+(\d+):(\d+)\s+(error|warning|info)\s+(.*)\s\s+(.*)$",
            "  0:03  error  no rows  rule",
        ),
    ],
)
def test_said_text_triggers_no_problem_matcher(matcher: str, text: str) -> None:
    assert re.search(matcher, text)
    printed = printed_by(lambda: commands.say(text))

    assert not re.search(matcher, printed)
    assert printed.replace(commands.JOINER, "") == f"{text}\n"


@pytest.mark.parametrize(
    "secret",
    [
        "user:1pass@host:5432",
        "postgres://user:1pass@db.example.com:5432/x",
        "postgres://user:1pass@host.py:5432/x",
        "me@a.py:12x",
        "u:a.py:12@host",
        "12:34:56",
        "AKIA:12:error:5",
        "host=db:5432;key=a:1",
    ],
)
@pytest.mark.parametrize("around", ["{}", "see {} there", "({})", "{} error: x", "at {}: x"])
@pytest.mark.parametrize("way", [commands.say, lambda text: commands.relay([text])])
def test_secret_known_only_to_the_runner_is_not_split(
    secret: str, around: str, way: Callable[[str], None]
) -> None:
    """The runner masks exact text."""
    assert secret in printed_by(lambda: way(around.format(secret)))


@given(st.text(st.sampled_from("a.py:1( )@/-error\u2003")))
def test_relayed_line_differs_only_by_invisible_joiners(text: str) -> None:
    (_, relayed, _) = printed_by(lambda: commands.relay([text])).split("\n")[:3]

    assert relayed.replace(commands.JOINER, "") == text


def test_unfenced_lines_would_be_obeyed() -> None:
    """So the replay does notice commands."""
    for command in ("::error::x", "::add-mask::e", "::stop-commands::x", "::set-output name=a::b"):
        log = runner_log(partial(print, command), later_command_is_obeyed)
        assert obeyed_commands(log) != [Annotation("notice", "next", "T")]


def test_each_relay_has_a_new_long_stop_token() -> None:
    printed = printed_by(lambda: commands.relay(["a"]), lambda: commands.relay(["b"]))
    first, second = re.findall("^::stop-commands::([0-9a-f]{32,})$", printed, re.MULTILINE)

    assert first != second
    assert printed.splitlines()[1:3] == [f"{commands.JOINER}a", f"::{first}::"]


def test_exception_during_a_relay_enables_commands_again() -> None:
    def lines() -> Iterator[str]:
        yield "::stop-commands::x"
        raise OSError("the connection is gone")

    def relay() -> None:
        with commands.group("Log"), pytest.raises(OSError, match="gone"):
            commands.relay(lines())

    assert obeyed_commands(runner_log(relay, later_command_is_obeyed)) == [
        Annotation("notice", "next", "T")
    ]


class InterruptingStream(io.StringIO):
    """A stream that raises after the first whole line, as a cancel does."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.getvalue().count("\n") == 1 and text.endswith("\n"):
            raise Interrupted
        return written


def test_cancel_at_the_start_of_a_relay_enables_commands_again() -> None:
    stream = InterruptingStream()
    with redirect_stdout(stream), suppress(Interrupted):
        commands.relay(["a"])
    first, *rest = stream.getvalue().splitlines()

    assert rest[-1:] == [f"::{first.rpartition('::')[2]}::"]


def test_log_is_relayed_line_by_line() -> None:
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        while count < 200_000:
            count += 1
            yield "x"
            assert stream.tell() > 2 * count

    stream = io.StringIO()
    with redirect_stdout(stream):
        commands.relay(lines())

    assert count == stream.getvalue().count("x\n") == 200_000


@given(anything)
def test_group_folds_lines_below_a_one_line_title(title: str) -> None:
    def print_group() -> None:
        with commands.group(title):
            commands.say("inside")

    begin, inside, end = printed_by(print_group).splitlines()
    assert (begin[:9], inside, end) == ("::group::", "inside", "::endgroup::")
    assert obeyed_commands(runner_log(print_group)) == []


def test_group_ends_after_an_exception() -> None:
    def print_group() -> None:
        with suppress(ValueError), commands.group("Log"):
            raise ValueError

    assert printed_by(print_group).splitlines() == ["::group::Log", "::endgroup::"]


@given(text=anything)
@pytest.mark.parametrize("debugging", [True, False])
def test_debug_text_is_one_line_if_debug_logging_is_on(text: str, debugging: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER_DEBUG", "1" if debugging else "")
        printed = printed_by(lambda: commands.debug(text))
    log = StepLog(Masker(), debug=True)
    for line in printed.splitlines():
        log.feed(line)

    assert len(printed.splitlines()) == debugging
    assert obeyed_commands(log) == []
    assert all(line.startswith("##[debug]") for line in log.lines)


@pytest.mark.parametrize(
    "file", ["dags/sales.py", "a b/c,d:e=f%0A.py", "任务/é.py", "dags/sales.py\n::error::x"]
)
@pytest.mark.parametrize("line", [1, 4711])
def test_annotation_is_on_the_given_line_of_any_file(file: str, line: int) -> None:
    log = runner_log(lambda: commands.annotate("warning", "T", "message", file=file, line=line))

    assert obeyed_commands(log) == [Annotation("warning", "message", "T", file, line)]


@pytest.mark.parametrize("level", LEVELS)
@given(title=hostile, message=hostile)
def test_annotation_keeps_title_and_message_without_escape_sequences(
    level: Level, title: str, message: str
) -> None:
    shown, heading = (
        "\n".join(one_safe_line(line) for line in message.split("\n")),
        one_safe_line(title),
    )
    assume(
        shown.strip()
        and heading.strip()
        and not heading.startswith("=")
        and len(shown) <= commands.MAX_MESSAGE_CHARS
    )
    log = runner_log(lambda: commands.annotate(level, title, message))

    assert obeyed_commands(log) == [Annotation(level, shown, heading)]


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_hostile_annotation_lines_are_no_commands(line: str) -> None:
    (note,) = obeyed_commands(
        runner_log(lambda: commands.annotate("error", f"T{line}", f"m\n{line}"))
    )

    assert isinstance(note, Annotation)
    assert not re.search("\x1b|##\\[", note.title + note.message)


def test_long_annotation_is_cut_between_words() -> None:
    log = runner_log(lambda: commands.annotate("error", "T", "word " * 2000))

    assert 3990 < len(log.annotations[0].message) <= 4000
    assert log.annotations[0].message.endswith(" word…")


def test_annotation_escapes_lone_surrogates() -> None:
    assert runner_log(lambda: commands.annotate("error", "T\udfff", "a\ud800b")).annotations == [
        Annotation("error", "a\\ud800b", "T\\udfff")
    ]


@given(hostile.filter(str.strip))
def test_secret_and_each_of_its_lines_reach_the_runners_masks(secret: str) -> None:
    log = runner_log(lambda: commands.mask(secret))

    assert secret in log.masks
    assert {line.strip() for line in re.split("[\r\n]", secret)} - {""} <= {
        one.strip() for one in log.masks
    }
    assert (log.lines, log.annotations, log.unexpected, log.failed) == ([], [], [], False)


def test_masked_secret_is_hidden_in_later_lines() -> None:
    log = runner_log(
        lambda: commands.say("before"),
        lambda: commands.mask("s3cret%0A"),
        lambda: commands.say("a s3cret%0A b"),
    )

    assert log.lines == ["before", "a *** b"]


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_empty_secret_is_not_masked(nothing: str) -> None:
    """The runner would warn."""
    assert printed_by(lambda: commands.mask(nothing)) == ""


names = st.sampled_from(["result", "run_id", "failed_tasks"])
values = hostile | st.sampled_from(["a<<EOF\nb\nEOF", "x=y\nz=1", "ghadelimiter_", "\n", "=", "<<"])


@given(st.lists(st.tuples(names, values)))
def test_outputs_and_state_arrive_exactly_and_the_last_value_wins(
    records: list[tuple[str, str]],
) -> None:
    with runner_files() as files:
        printed = printed_by(
            *(partial(commands.set_output, name, value) for name, value in records),
            *(partial(commands.save_state, name, value[::-1]) for name, value in records),
        )
        contents = read_files(files)

    assert printed == ""
    assert contents.outputs == dict(records)
    assert contents.state == {name: value[::-1] for name, value in records}


def test_output_with_a_lone_surrogate_is_written() -> None:
    with runner_files() as files:
        commands.set_output("run_id", "a\ud800")
        commands.save_state("run_id", "a\ud800")
        contents = read_files(files)

    assert contents.outputs == contents.state == {"run_id": "a\\ud800"}


@given(st.lists(hostile, min_size=1, max_size=3))
def test_summaries_are_appended_with_line_ends(parts: list[str]) -> None:
    with runner_files() as files:
        printed = printed_by(*(partial(commands.append_summary, part) for part in parts))
        contents = read_files(files)

    assert printed == ""
    assert contents.summary.split("\n") == re.split(
        "\r\n|\r|\n", "".join(f"{part}\n" for part in parts)
    )


def test_summary_with_a_lone_surrogate_is_written() -> None:
    with runner_files() as files:
        commands.append_summary("a\ud800")
        assert read_files(files).summary == "a\\ud800\n"


def test_without_runner_files_nothing_is_written() -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"):
            patch.delenv(name, raising=False)
        printed = printed_by(
            lambda: commands.set_output("a", "b"),
            lambda: commands.save_state("a", "b"),
            lambda: commands.append_summary("a"),
        )

    assert printed == ""


def test_inputs_are_read_by_name_trimmed_or_empty() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INPUT_DAG_ID", " nightly_sales\n")
        patch.setenv("INPUT_CONF", "")
        os.environ.pop("INPUT_TOKEN", None)

        assert commands.read_inputs(["dag_id", "conf", "token"]) == {
            "dag_id": "nightly_sales",
            "conf": "",
            "token": "",
        }


def test_every_character_can_be_printed_in_any_encoding() -> None:
    assert printed_by(lambda: commands.say("任务 é 🚀 \udfff")) == "任务 é 🚀 \\udfff\n"
