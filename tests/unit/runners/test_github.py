"""What is printed and written for the runner, read back by the replay of its parsers: nothing
becomes what it is not.
"""

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


def obeyed(log: StepLog) -> list[object]:
    """Everything that the runner did because of a log, besides showing it."""
    done = [*log.annotations, *log.masks, *log.unexpected, *log.outputs.items(), *log.state.items()]
    return [*done, "failed"] if log.failed else done


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


@given(anything)
def test_say(text: str) -> None:
    """Whatever the text, it is one line of the log, and never a command."""
    log = heard(lambda: commands.say(text))

    assert len(log.lines) == 1
    assert obeyed(log) == []


@given((hostile | attempts).filter(lambda text: not re.search("[\x1b\x80-\x9f]", text)))
def test_say_loses_nothing(text: str) -> None:
    """A line says all of a text that holds no escape sequence of terminals, but for control
    characters.
    """
    plain = re.sub(f"[{CONTROL}]", "", text)

    assert heard(lambda: commands.say(text)).lines[0].replace(" ", "").replace(
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
def test_harmless(text: str, shown: str) -> None:
    """Escape sequences vanish, even if what is left would be a command; control characters become
    blanks.
    """
    assert one_safe_line(text) == shown


@given(anything)
def test_harmless_whatever(text: str) -> None:
    """What is harmless is one line without control characters and without `##[`, and stays as it
    is.
    """
    shown = one_safe_line(text)

    assert not re.search(f"[{CONTROL}]|##\\[", shown)
    assert one_safe_line(shown) == shown


def test_harmless_at_length() -> None:
    """A million characters of escape sequences without an end are read in one go, not over and
    over.
    """
    for part in ("\x1b[0", "\x1b]", "\x1b[;;", "#", "\x1b[ "):
        assert "\x1b" not in one_safe_line(part * (1_000_000 // len(part)))


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
        lambda: commands.say(text),
        lambda: commands.annotate("notice", "T", "next"),
        lambda: commands.say(after),
    )

    assert obeyed(log) == [Annotation("notice", "next", "T")]


@given(st.text())
def test_say_anything_printable_or_not(text: str) -> None:
    """Lone surrogates are printed as escapes on whatever stream."""
    assert len(heard(lambda: commands.say(text)).lines) == 1


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


def next_is_obeyed() -> None:
    """What the step says after a task's log."""
    commands.annotate("notice", "T", "next")


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_relay(line: str) -> None:
    """A relayed line is shown and not obeyed, and afterwards the step's own commands are obeyed
    again.
    """
    log = heard(lambda: commands.relay([line, "last"]), next_is_obeyed)

    assert obeyed(log) == [Annotation("notice", "next", "T")]
    assert (len(log.lines), log.lines[2], log.lines[4]) == (
        5,
        f"{commands.JOINER}last",
        "Notice: next",
    )


@given(st.lists(anything, max_size=5))
def test_relay_whatever(lines: list[str]) -> None:
    """Whatever is relayed, each line is one line between the two of the fence, which is gone
    afterwards.
    """
    log = heard(lambda: commands.relay(lines), next_is_obeyed)

    assert obeyed(log) == [Annotation("notice", "next", "T")]
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
def test_relay_without_a_match(matcher: str, line: str) -> None:
    """No problem matcher of an earlier step sees in a task's log an error of this repository; and
    nothing of it is lost.
    """
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
def test_say_without_a_match(matcher: str, text: str) -> None:
    """Airflow's text in a line of our own is no error of this repository either."""
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
def test_no_joiner_in_a_secret_of_the_runner_s(
    secret: str, around: str, way: Callable[[str], None]
) -> None:
    """The runner masks exact text: what only it knows as a secret stays in one piece."""
    assert secret in printed_by(lambda: way(around.format(secret)))


@pytest.mark.parametrize(
    "text",
    [
        "  0:03  text",
        "1:00:03  extract is running",
        "0:03",
        "Airflow: https://airflow.example.com:8080",
        "https://x.example/dags/sales.py:12 is open",
    ],
)
def test_say_leaves_our_own_lines(text: str) -> None:
    """The time at the beginning and addresses stay as they are: whoever copies them has nothing
    else in hand.
    """
    assert printed_by(lambda: commands.say(text)) == f"{text}\n"


@given(st.text(st.sampled_from("a.py:1( )@/-error\u2003")))
def test_a_joiner_is_all_that_is_added(text: str) -> None:
    """Nothing of a relayed line is lost or moved."""
    (_, relayed, _) = printed_by(lambda: commands.relay([text])).split("\n")[:3]

    assert relayed.replace(commands.JOINER, "") == text


def test_relay_without_a_fence() -> None:
    """Without the fence these lines would be obeyed: the check is able to notice it."""
    for command in ("::error::x", "::add-mask::e", "::stop-commands::x", "::set-output name=a::b"):
        log = heard(lambda command=command: print(command), next_is_obeyed)  # type: ignore[misc]
        assert obeyed(log) != [Annotation("notice", "next", "T")]


def test_relay_behind_a_new_fence() -> None:
    """No log can know the word that ends its fence: it is long, and another one each time."""
    printed = printed_by(lambda: commands.relay(["a"]), lambda: commands.relay(["b"]))
    first, second = re.findall("^::stop-commands::([0-9a-f]{32,})$", printed, re.MULTILINE)

    assert first != second
    assert printed.splitlines()[1:3] == [f"{commands.JOINER}a", f"::{first}::"]


def test_relay_of_a_log_that_breaks_off() -> None:
    """The fence is taken down although the log breaks off in the middle, and the fault is not
    swallowed.
    """

    def lines() -> Iterator[str]:
        yield "::stop-commands::x"
        raise OSError("the connection is gone")

    def relay() -> None:
        with commands.group("Log"), pytest.raises(OSError, match="gone"):
            commands.relay(lines())

    assert obeyed(heard(relay, next_is_obeyed)) == [Annotation("notice", "next", "T")]


class Torn(io.StringIO):
    """A stream during whose first write the workflow is cancelled: Python raises once the line is
    out.
    """

    def write(self, text: str) -> int:
        """Write, and be interrupted after the first whole line."""
        written = super().write(text)
        if self.getvalue().count("\n") == 1 and text.endswith("\n"):
            raise Interrupted
        return written


def test_relay_interrupted_at_once() -> None:
    """A cancel in the moment in which the fence goes up leaves none standing: the verdict would be
    lost behind it.
    """
    stream = Torn()
    with redirect_stdout(stream), suppress(Interrupted):
        commands.relay(["a"])
    first, *rest = stream.getvalue().splitlines()

    assert rest[-1:] == [f"::{first.rpartition('::')[2]}::"]


def test_relay_keeps_nothing() -> None:
    """A log is printed while it is read, line by line, however long it is."""
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
def test_group(title: str) -> None:
    """What is printed meanwhile is folded below a title, which is one line whatever it holds."""

    def speak() -> None:
        with commands.group(title):
            commands.say("inside")

    begin, inside, end = printed_by(speak).splitlines()
    assert (begin[:9], inside, end) == ("::group::", "inside", "::endgroup::")
    assert obeyed(heard(speak)) == []


def test_group_that_fails() -> None:
    """What is folded is folded to its end, and no further, although something fails in it."""

    def speak() -> None:
        with suppress(ValueError), commands.group("Log"):
            raise ValueError

    assert printed_by(speak).splitlines() == ["::group::Log", "::endgroup::"]


@given(text=anything)
@pytest.mark.parametrize("debugging", [True, False])
def test_debug(text: str, debugging: bool) -> None:
    """With step debug logging a text is one line of debug output, whatever it holds; without it
    nothing is printed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER_DEBUG", "1" if debugging else "")
        printed = printed_by(lambda: commands.debug(text))
    log = StepLog(Masker(), debug=True)
    for line in printed.splitlines():
        log.feed(line)

    assert len(printed.splitlines()) == debugging
    assert obeyed(log) == []
    assert all(line.startswith("##[debug]") for line in log.lines)


@pytest.mark.parametrize(
    "file", ["dags/sales.py", "a b/c,d:e=f%0A.py", "任务/é.py", "dags/sales.py\n::error::x"]
)
@pytest.mark.parametrize("line", [1, 4711])
def test_annotate_code(file: str, line: int) -> None:
    """An annotation is put on the line of the file that is named, whatever the file is called."""
    log = heard(lambda: commands.annotate("warning", "T", "message", file=file, line=line))

    assert obeyed(log) == [Annotation("warning", "message", "T", file, line)]


@pytest.mark.parametrize("level", LEVELS)
@given(title=hostile, message=hostile)
def test_annotate(level: Level, title: str, message: str) -> None:
    """Title and message arrive whatever they hold, line by line without escape sequences, and
    nothing else is done.
    """
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
    log = heard(lambda: commands.annotate(level, title, message))

    assert obeyed(log) == [Annotation(level, shown, heading)]


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_annotate_hostile_lines(line: str) -> None:
    """A line that would be a command in a log is none in an annotation, nor in what the runner's
    pages make of it.
    """
    (note,) = obeyed(heard(lambda: commands.annotate("error", f"T{line}", f"m\n{line}")))

    assert isinstance(note, Annotation)
    assert not re.search("\x1b|##\\[", note.title + note.message)


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
    """A secret reaches the runner's masks exactly, whatever it holds, and so does each of its
    lines.
    """
    log = heard(lambda: commands.mask(secret))

    assert secret in log.masks
    assert {line.strip() for line in re.split("[\r\n]", secret)} - {""} <= {
        one.strip() for one in log.masks
    }
    assert (log.lines, log.annotations, log.unexpected, log.failed) == ([], [], [], False)


def test_mask_hides() -> None:
    """What is printed after the mask is hidden."""
    log = heard(
        lambda: commands.say("before"),
        lambda: commands.mask("s3cret%0A"),
        lambda: commands.say("a s3cret%0A b"),
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
    """Outputs and state arrive exactly, the last value of each name winning, and nothing is
    printed.
    """
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
    assert contents.summary.split("\n") == re.split(
        "\r\n|\r|\n", "".join(f"{part}\n" for part in parts)
    )


def test_summary_with_surrogates() -> None:
    """A lone surrogate does not keep the summary from being written."""
    with runner_files() as files:
        commands.append_summary("a\ud800")
        assert read(files).summary == "a\\ud800\n"


def test_without_a_runner() -> None:
    """Without the runner's files nothing is written, and no deprecated command is printed in their
    place.
    """
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
    """Inputs are read by name from the runner's variables, trimmed, and empty when they are not
    there.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INPUT_DAG_ID", " nightly_sales\n")
        patch.setenv("INPUT_CONF", "")
        os.environ.pop("INPUT_TOKEN", None)

        assert commands.read_inputs(["dag_id", "conf", "token"]) == {
            "dag_id": "nightly_sales",
            "conf": "",
            "token": "",
        }


def test_streams() -> None:
    """Every character can be printed, whatever encoding the job's environment asks for."""
    assert printed_by(lambda: commands.say("任务 é 🚀 \udfff")) == "任务 é 🚀 \\udfff\n"
