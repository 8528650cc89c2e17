"""Task logs in the words of both Airflows, and everything that is no such log, read piece by
piece.
"""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.logs import JsonLog, LogReader, TextLog
from entrypoint.errors import StackFrame
from tests.support.task_logs import (
    DAG,
    FAILED_2,
    FAILED_3,
    FAKE_2,
    FAKE_3,
    HANDLED_2,
    HANDLED_3,
    HEAD_2,
    HEAD_3,
    HEADING,
    HELPER,
    INSIDE,
    KILLED_2,
    KILLED_3,
    MISSING_3,
    NO_HOST_2,
    detail,
    entry,
)

if TYPE_CHECKING:
    from entrypoint.models import TaskLog

Reader = type[LogReader]
READERS: tuple[Reader, ...] = (TextLog, JsonLog)
LINE: dict[Reader, bytes] = {
    TextLog: b"[2026-11-21T09:15] {a:1} ERROR - x\n",
    JsonLog: b'{"timestamp":"2026","event":"x","level":"error"}\n',
}


LAST_FRAMES = (f'  File "{DAG}", line 18, in load', f'  File "{HELPER}", line 9, in parse_amount')


def read(kind: Reader, text: str | bytes, keep: int = 100) -> TaskLog:
    """The log, read in one piece."""
    reader = kind(keep)
    reader.take(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return reader.close()


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_a_chained_failure(kind: Reader, text: str) -> None:
    """Both Airflows tell the same story: what was raised last, then its cause, each with the line
    that raised it.
    """
    log = read(kind, text)

    assert [str(one) for one in log.raised] == [
        "RuntimeError: The sales of 2025-01-31 cannot be loaded",
        "ValueError: Not an amount: 'n/a'",
    ]
    assert [one.frames[-1] for one in log.raised] == [
        StackFrame(DAG, 18, "load"),
        StackFrame(HELPER, 9, "parse_amount"),
    ]
    assert [frame.function for frame in log.raised[1].frames] == [
        "load",
        "<genexpr>",
        "parse_amount",
    ]
    assert log.written
    assert log.lines_omitted == 0


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_the_tail_shows_the_failure_and_not_airflow_itself(kind: Reader, text: str) -> None:
    """Who reads the tail sees what the task printed, its frames and exceptions; not Airflow's
    frames, marks and paths.
    """
    lines = read(kind, text).lines
    first, then, raised = (
        lines.index(one)
        for one in (LAST_FRAMES[1], "ValueError: Not an amount: 'n/a'", LAST_FRAMES[0])
    )

    assert (
        first
        < then
        < raised
        < lines.index("RuntimeError: The sales of 2025-01-31 cannot be loaded")
    )
    assert any(line.endswith("INFO - Loading the sales") for line in lines)
    assert any(line.endswith("ERROR - Task failed with exception") for line in lines)
    unwanted = (
        "::endgroup::",
        "Log message source details",
        "/opt/airflow/logs/",
        INSIDE,
        "_execute_callable(",
    )
    assert not [line for line in lines if any(one in line for one in unwanted)]


def test_the_frames_of_airflow_are_known() -> None:
    """Airflow's own frames are a part of the exception, although they are not shown; the source of
    the user's is shown.
    """
    first = [
        read(kind, text).raised[0].frames[0]
        for kind, text in ((TextLog, FAILED_2), (JsonLog, FAILED_3))
    ]

    assert [frame.filename for frame in first] == [INSIDE, INSIDE]
    assert '    return load("2025-01-31")' in read(TextLog, FAILED_2).lines


def test_an_exception_that_airflow_itself_raised_is_shown() -> None:
    """Where Airflow's own frames end, the exception and whatever comes after it is shown again."""
    record = (
        "[2026-11-21T09:15:06.603+0000] {taskinstance.py:3337} ERROR - Task failed with exception"
    )
    frame = (
        f'  File "{INSIDE}", line 776, in _execute_task\n    result = '
        "_execute_callable(context=context)\n      ^^^^^^"
    )
    log = read(
        TextLog, f"{record}\n{HEADING}\n{frame}\n{frame}\nKeyError: 1\n    indented\n{record}"
    )

    assert log.lines == (record, HEADING, "KeyError: 1", "    indented", record)
    assert log.lines_omitted == 0


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [(TextLog, KILLED_2, "return code -9"), (JsonLog, KILLED_3, "SIGKILL")],
)
def test_a_process_that_was_killed(kind: Reader, text: str, said: str) -> None:
    """A task whose process was killed raised nothing: the signal is its last error, whatever level
    it is reported with.
    """
    log = read(kind, text)

    assert (log.raised, log.written) == ((), True)
    assert log.last_error is not None
    assert said in log.last_error


@pytest.mark.parametrize(
    ("exit_", "said"),
    [
        ({"exit_code": 3}, "exit_code 3"),
        ({"exit_code": 0}, "exit_code 0"),
        ({"exit_code": None}, None),
    ],
)
def test_a_task_that_ends_itself(exit_: dict[str, Any], said: str | None) -> None:
    """The exit code of a task that called sys.exit is said with its last error."""
    error = read(JsonLog, entry("Task exited", "error", **exit_)).last_error

    assert error == ("Task exited" if said is None else f"Task exited ({said})")


@pytest.mark.parametrize(
    ("kind", "text"),
    [(TextLog, HEAD_2), (JsonLog, HEAD_3), (JsonLog, entry("Task did not run because …", None))],
)
def test_a_log_that_just_stops(kind: Reader, text: str) -> None:
    """A log without an error, as a supervisor that was killed leaves it, was written and names no
    reason.
    """
    log = read(kind, text)

    assert (log.raised, log.last_error, log.written) == ((), None, True)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TextLog, ""),
        (TextLog, "default_host\nError fetching the logs. Try number 0 is invalid.\n"),
        (TextLog, NO_HOST_2),
        (TextLog, HEAD_2.partition("[2026")[0]),
        (JsonLog, ""),
        (JsonLog, "\n\n"),
        (JsonLog, MISSING_3),
        (JsonLog, HEAD_3.rpartition('{"timestamp":"')[0]),
    ],
)
def test_a_log_that_is_not_there(kind: Reader, text: str) -> None:
    """A log that only says where it was looked for was not written, and no reason is made out of
    it.
    """
    log = read(kind, text)

    assert (log.raised, log.last_error, log.written) == ((), None, False)


@pytest.mark.parametrize(("kind", "text"), [(TextLog, NO_HOST_2), (JsonLog, MISSING_3)])
def test_where_a_missing_log_was_looked_for_is_shown(kind: Reader, text: str) -> None:
    """Airflow's own words about a log that it could not fetch are kept, unless there is a log after
    all.
    """
    assert any("Could not read served logs" in line for line in read(kind, text).lines)
    there = read(kind, text + (HEAD_2 if kind is TextLog else HEAD_3))
    assert not [line for line in there.lines if "Could not read served logs" in line]


@pytest.mark.parametrize(
    ("kind", "text"),
    [(TextLog, FAKE_2 + FAILED_2), (JsonLog, FAKE_3 + FAILED_3), (JsonLog, FAILED_3 + FAKE_3)],
)
def test_printed_tracebacks_do_not_hide_the_real_one(kind: Reader, text: str) -> None:
    """A task that prints what looks like a failure of its own is still reported with the exception
    that ended it.
    """
    log = read(kind, text)

    assert [one.kind for one in log.raised] == ["RuntimeError", "ValueError"]
    assert any("FakedError: made up" in line for line in log.lines)


@pytest.mark.parametrize(
    ("kind", "text"), [(TextLog, HANDLED_2 + FAILED_2), (JsonLog, HANDLED_3 + FAILED_3)]
)
def test_an_exception_that_was_handled_before_is_not_the_reason(kind: Reader, text: str) -> None:
    """A task that logs an exception, goes on and fails with another is reported with the other
    one.
    """
    log = read(kind, text)

    assert [one.kind for one in log.raised] == ["RuntimeError", "ValueError"]
    assert "MirrorError: handled" in log.lines


HOSTILE = (
    "::error::x",
    "##[error]x",
    "::add-mask::e",
    "::stop-commands::x",
    "\x1b[31mred\x1b[0m",
    "</details><script>",
    "```` ` ````",
)


def test_hostile_text_is_kept_as_it_is() -> None:
    """What a task prints or raises is data: no line of it is lost, and none of it changes how the
    rest is read.
    """
    printed = [
        f"[2026-11-21T09:15:38.713+0000] {{logging_mixin.py:190}} INFO - {line}" for line in HOSTILE
    ]
    last = "[2026-11-21T09:15:38.866+0000] {taskinstance.py:1242} INFO - Marking task as FAILED."
    failed = [
        "[2026-11-21T09:15:38.743+0000] {taskinstance.py:3337} ERROR - Task failed with exception",
        HEADING,
    ]
    raised = [f'  File "{DAG}", line 46, in shout', f"RuntimeError: {HOSTILE[0]}", *HOSTILE[1:]]
    log_2 = read(TextLog, "\n".join([*printed, *failed, *raised, last]))
    shown = [entry(line, logger="task.stdout") for line in HOSTILE]
    failed_3 = entry(
        "Task failed with exception",
        "error",
        error_detail=[detail("RuntimeError", "\n".join(HOSTILE))],
    )
    log_3 = read(JsonLog, "\n".join([*shown, failed_3]))

    assert (
        [one.text for one in log_2.raised]
        == [one.text for one in log_3.raised]
        == ["\n".join(HOSTILE)]
    )
    assert log_2.lines == (*printed, *failed, *raised, last)
    assert log_3.lines[: len(HOSTILE)] == tuple(
        f"[2026-11-21T09:15:37.544912Z] INFO - {line}" for line in HOSTILE
    )
    assert log_3.lines[len(HOSTILE) + 1 :] == (f"RuntimeError: {HOSTILE[0]}", *HOSTILE[1:])


@pytest.mark.parametrize(
    ("level", "severe"),
    [
        *((one, True) for one in ("error", "ERROR", "Error", "critical", "fatal")),
        *(
            (one, False)
            for one in ("info", "warning", "debug", "exception?", "", None, 40, ["error"])
        ),
    ],
)
def test_levels_of_airflow_3(level: Any, severe: bool) -> None:
    """Errors and worse are errors in any case of the letters; a level that is none of the known
    ones is not.
    """
    line = json.dumps(
        {"timestamp": "2026-11-21T09:15:37Z", "event": " It went wrong ", "level": level}
    )

    assert read(JsonLog, line).last_error == ("It went wrong" if severe else None)


@pytest.mark.parametrize(
    ("level", "severe"),
    [
        ("ERROR", True),
        ("CRITICAL", True),
        ("FATAL", True),
        ("INFO", False),
        ("WARNING", False),
        ("DEBUG", False),
    ],
)
def test_levels_of_airflow_2(level: str, severe: bool) -> None:
    """Only a line of the log itself has a level, and only errors and worse are errors."""
    log = read(
        TextLog,
        f"[2026-11-21T09:15:37.111+0000] {{a.py:1}} {level} - It went wrong\nERROR - printed",
    )

    assert log.last_error == ("It went wrong" if severe else None)


@pytest.mark.parametrize(("kind", "last"), [(TextLog, "ERROR - last"), (JsonLog, "last")])
def test_the_last_error_wins(kind: Reader, last: str) -> None:
    """Of several errors the last one is told, not what was said after it."""
    levels = [("first", "error"), ("last", "error"), ("done", "info")]
    text = "\n".join(
        f"[2026-11-21T09:15:37.111+0000] {{a.py:1}} {level.upper()} - {event}"
        for event, level in levels
    )
    log = read(kind, text if kind is TextLog else "\n".join(entry(*one) for one in levels))

    assert log.last_error == last.removeprefix("ERROR - ")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"event": "cut o',
        "not JSON",
        "[1, 2]",
        '"text"',
        "7",
        "null",
        '{"n": ' + "9" * 5000 + "}",
        "[" * 100_000,
        "\ufeff{}",
    ],
)
def test_lines_that_are_no_entries(line: str) -> None:
    """What is not an object of JSON is shown as it came, cut to a bounded length, and the lines
    around it are read.
    """
    log = read(JsonLog, f"{entry('before')}\n{line}\n{entry('after', 'error')}")

    assert len(log.lines) == 3
    assert log.lines[1]
    assert line.startswith(log.lines[1])
    assert log.last_error == "after"


@pytest.mark.parametrize("depth", [10, 400, *range(900, 1000, 3), 5_000, 100_000])
def test_deep_nesting(depth: int) -> None:
    """JSON of any depth, in any of the fields that are read, ends no reading."""
    deep = "[" * depth + "]" * depth
    lines = [
        f'{{"event": {deep}, "level": {deep}, "timestamp": {deep}}}',
        f'{{"error_detail": {deep}}}',
    ]
    lines.append(
        f'{{"error_detail": [{{"exc_type": {deep}, "exc_value": {deep}, "frames": '
        f'[{{"name": {deep}}}]}}]}}'
    )
    log = read(JsonLog, "\n".join([*lines, entry("after", "error")]))

    assert log.last_error == "after"
    assert log.lines[-1].endswith("after")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)
frames = st.fixed_dictionaries(
    {},
    optional={
        "filename": st.text() | anything,
        "lineno": st.integers() | anything,
        "name": anything,
    },
)
shown = st.lists(frames | anything, max_size=3) | anything
raised = st.fixed_dictionaries(
    {}, optional={"exc_type": anything, "exc_value": anything, "frames": shown}
)
details = st.lists(raised | anything, max_size=3) | anything
entries = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": anything,
        "event": anything,
        "level": anything,
        "exit_code": anything,
        "error_detail": details,
    },
)


@given(entries)
def test_any_entry(fields: dict[str, Any]) -> None:
    """Whatever an entry holds, reading it ends, and what was read are named exceptions with frames
    in files.
    """
    log = read(JsonLog, f"{json.dumps(fields)}\n{entry('after')}")

    assert log.lines[-1].endswith("after")
    frames = [frame for one in log.raised for frame in one.frames]
    assert all(one.kind for one in log.raised)
    assert {type(frame.filename) for frame in frames} <= {str}
    assert all(frame.line == int(frame.line) for frame in frames)


def test_frames_that_are_none() -> None:
    """A frame without a file or a line is left out, and the others stay in their order."""
    good = [
        {"filename": "a.py", "lineno": 7, "name": "f"},
        {"filename": "b.py", "lineno": 8, "name": None},
    ]
    bad = [
        {"filename": 1, "lineno": 1},
        {"filename": "a.py", "lineno": "1"},
        {"filename": "a.py"},
        {"lineno": 1},
        "x",
        None,
        [],
    ]
    (one,) = read(
        JsonLog,
        entry("x", "error", error_detail=[{"exc_type": "E", "frames": [*bad, *good, *bad]}]),
    ).raised

    assert one.frames == (StackFrame("a.py", 7, "f"), StackFrame("b.py", 8, "?"))


pieces = st.sampled_from(
    [FAILED_2, FAILED_3, KILLED_2, KILLED_3, FAKE_2, "\r\n", "\n", "é☃", "{"]
).map(str.encode)


@pytest.mark.parametrize("kind", READERS)
@given(
    texts=st.lists(pieces | st.text().map(str.encode) | st.binary(), max_size=4),
    keep=st.integers(0, 30),
    data=st.data(),
)
def test_chunks_make_no_difference(
    kind: Reader, texts: list[bytes], keep: int, data: st.DataObject
) -> None:
    """However the network cuts a log into pieces, in the middle of a character as well, it is read
    alike.
    """
    whole = b"".join(texts)
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20), label="cuts"))
    reader = kind(keep)

    for start, end in zip([0, *places], [*places, len(whole)], strict=True):
        assert reader.take(whole[start:end])
    assert reader.close() == read(kind, whole, keep)


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_byte_by_byte(kind: Reader, text: str) -> None:
    """The smallest pieces make no difference either."""
    reader = kind(7)
    for byte in text.encode():
        reader.take(bytes([byte]))

    assert reader.close() == read(kind, text, 7)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (TextLog, f"[2026-11-21T09:15:37.111+0000] {{a.py:1}} ERROR - {'x' * 400_000}"),
        (JsonLog, entry("x" * 400_000, "error")),
        (JsonLog, entry("x", "error", before="y" * 270_000, exit_code=3, after="z" * 130_000)),
        (JsonLog, f"{entry('x', 'error')}{' ' * 400_000}7"),
    ],
)
def test_a_very_long_line_is_cut_alike(kind: Reader, line: str) -> None:
    """A line that is longer than what is kept of one is cut at the same place, in however many
    pieces it comes.
    """
    whole = f"{entry('before')}\n{line}\n{entry('after')}\n".encode()
    reader = kind(100)
    for start in range(0, len(whole), 65_536):
        reader.take(whole[start : start + 65_536])

    assert reader.close() == read(kind, whole)


def test_line_ends() -> None:
    """A carriage return ends a line together with its line feed only, and blanks are a part of the
    line.
    """
    begun = LINE[TextLog].decode()

    assert read(TextLog, f"{begun}one  \r\n\r\n\ttwo\rthree \n").lines[1:] == (
        "one  ",
        "",
        "\ttwo\rthree ",
    )


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
@pytest.mark.parametrize("keep", [0, 1, 5, 10_000])
def test_the_tail_and_what_is_left_out(kind: Reader, text: str, keep: int) -> None:
    """The last lines are kept, the others are counted, and the reason does not depend on how many
    are kept.
    """
    whole, log = read(kind, text, 10_000), read(kind, text, keep)

    assert log.lines == whole.lines[max(len(whole.lines) - keep, 0) :]
    assert log.lines_omitted + len(log.lines) == len(whole.lines)
    assert (log.raised, log.last_error) == (whole.raised, whole.last_error)


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_the_reason_is_found_however_much_is_printed_after_it(kind: Reader, text: str) -> None:
    """Airflow 3 writes thousands of lines of output after the exception: it is picked out of the
    whole log.
    """
    line = (
        "[2026-11-21T09:15:38.724+0000] {logging_mixin.py:190} INFO - Line"
        if kind is TextLog
        else entry("Line")
    )
    log = read(kind, f"{text}{line}\n" + f"{line}\n" * 5_000, 10)

    assert log.raised == read(kind, text).raised
    assert [one.rpartition(" ")[2] for one in log.lines] == ["Line"] * 10
    assert log.lines_omitted == 5_001 + len(read(kind, text).lines) - 10


def kept(reader: LogReader) -> int:
    """How many bytes there are in everything that the reader holds on to."""
    return len(pickle.dumps(reader))


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "chunk",
    [
        b"x" * 65_536,
        b'{"event":"' + b"x" * 65_526,
        b"\xc3" * 65_536,
        f"{HEADING} ".encode() * 2_000,
    ],
)
# A column of the table
def test_a_line_without_end(kind: Reader, chunk: bytes, begun: bool) -> None:
    """Of 50 MB without a line break only the beginning is kept, while they arrive and
    afterwards.
    """
    reader = kind(100)
    reader.take(LINE[kind] if begun else b"")
    most = 0
    for _ in range(50_000_000 // len(chunk) + 1):
        reader.take(chunk)
        most = max(most, len(reader._rest))
    assert most < 1_000_000
    assert kept(reader) < 1_000_000

    log = reader.close()
    assert (len(log.lines), log.lines_omitted) == (1 + begun, 0)
    assert len(log.lines[-1]) <= 10_000


@pytest.mark.parametrize(("kind", "lines"), [(TextLog, 200_000), (JsonLog, 50_000)])
def test_a_long_log(kind: Reader, lines: int) -> None:
    """Of a log of many lines the tail is kept and every other one counted, and nothing grows with
    them.
    """
    reader, thousand = kind(100), LINE[kind] * 1_000
    reader.take(thousand)
    early = kept(reader)
    for _ in range(lines // 1_000 - 1):
        reader.take(thousand)

    assert kept(reader) < early + 1_000
    log = reader.close()
    assert (len(log.lines), log.lines_omitted) == (100, lines - 100)


FRAME = '  File "a.py", line 1, in f\n'
MANY = [detail("KeyError", "1\n" * 50, *[("a.py", 1, "f")] * 50)] * 30


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (TextLog, f"{HEADING}\n{FRAME}KeyError: 1\n"),
        (TextLog, f"{HEADING}\n{FRAME * 300}KeyError: 1\nmore\n"),
        (TextLog, "no record\n"),
        (JsonLog, entry("Line", "error", error_detail=MANY) + "\n"),
        (JsonLog, "no JSON\n"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
# A column of the table
def test_what_comes_again_and_again(kind: Reader, lines: str, begun: bool) -> None:
    """However often an exception comes, or what is no record, what is kept does not grow with
    it.
    """
    reader = kind(100)
    reader.take(LINE[kind] if begun else b"")
    reader.take(lines.encode() * 35)
    early = kept(reader)
    reader.take(lines.encode() * 35)

    assert kept(reader) < early + 1_000
    assert early < 1_000_000


def test_a_chain_without_end() -> None:
    """Of a chain and of frames without end those are kept that say most: what was raised last, and
    where.
    """
    chain = read(
        JsonLog,
        entry("x", "error", error_detail=[detail("E", f"number {one}") for one in range(300)]),
    ).raised
    frames = [("a.py", line, "f") for line in range(1, 1_001)]
    (deep,) = read(JsonLog, entry("x", "error", error_detail=[detail("E", "deep", *frames)])).raised

    assert [one.text for one in chain] == [f"number {one}" for one in range(len(chain))]
    assert 10 <= len(chain) < 300
    assert [frame.line for frame in deep.frames] == list(range(1_001 - len(deep.frames), 1_001))
    assert 50 <= len(deep.frames) < 1_000


@pytest.mark.parametrize("kind", READERS)
def test_long_lines_shorten_the_tail(kind: Reader) -> None:
    """However many lines are wanted, what is kept of them is bounded, and what is cut away is
    counted.
    """
    reader = kind(2_000)
    reader.take(LINE[kind])
    for _ in range(2_000):
        reader.take(b"x" * 5_000 + b"\n")
    log = reader.close()

    assert 10 < len(log.lines) < 2_000
    assert sum(map(len, log.lines)) < 500_000
    assert len(log.lines) + log.lines_omitted == 2_001


def test_an_entry_of_many_lines() -> None:
    """An entry of Airflow 3 with line breaks in it is as many lines."""
    log = read(JsonLog, entry("one\ntwo\nthree\nfour"), 3)

    assert (log.lines, log.lines_omitted) == (("two", "three", "four"), 1)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (JsonLog, f"{HANDLED_3}\n{KILLED_3}", "SIGKILL"),
        (TextLog, f"{HANDLED_2}\n{KILLED_2}", "-9"),
    ],
)
def test_killed_after_an_exception_that_was_handled(kind: Reader, text: str, said: str) -> None:
    """A process that was killed did not end by what it had handled before: the kill is the reason,
    the exception is not.
    """
    log = read(kind, text)

    assert log.raised == ()
    assert said in (log.last_error or "")


def test_a_callback_that_fails_after_the_task() -> None:
    """What a callback raises once the task has failed is not why it failed."""
    after = entry(
        "Failed to run task callback", "error", error_detail=[detail("SlackApiError", "no channel")]
    )
    log = read(JsonLog, f"{FAILED_3}\n{after}")

    assert log.raised[0].kind == "RuntimeError"


def test_a_log_format_of_one_s_own() -> None:
    """With another log_format Airflow 2's lines cannot be told apart, and the exception is found
    all the same.
    """
    log = read(
        TextLog,
        f'{HEAD_2}10:15 | ERROR | failed\n{HEADING}\n  File "{DAG}", line 1, in f\nKeyError: 1\n',
    )

    assert [str(one) for one in log.raised] == ["KeyError: 1"]
