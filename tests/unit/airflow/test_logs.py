"""Reading task logs of Airflow 2 and 3 in chunks."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.logs import JsonLog, LogReader
from entrypoint.airflow.text_log import TextLog
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


def read_log(kind: Reader, text: str | bytes, keep: int = 100) -> TaskLog:
    """Read the log in one chunk."""
    reader = kind(keep)
    reader.consume(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return reader.close()


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_chained_exceptions_are_read_last_raised_first(kind: Reader, text: str) -> None:
    """Both Airflow versions give the same result, each exception with the line that raised it."""
    log = read_log(kind, text)

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
def test_tail_leaves_out_airflow_frames_marks_and_paths(kind: Reader, text: str) -> None:
    lines = read_log(kind, text).lines
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


def test_airflow_frames_belong_to_the_exception_but_are_not_shown() -> None:
    first = [
        read_log(kind, text).raised[0].frames[0]
        for kind, text in ((TextLog, FAILED_2), (JsonLog, FAILED_3))
    ]

    assert [frame.filename for frame in first] == [INSIDE, INSIDE]
    assert '    return load("2025-01-31")' in read_log(TextLog, FAILED_2).lines


def test_exception_raised_by_airflow_itself_is_shown() -> None:
    record = (
        "[2026-11-21T09:15:06.603+0000] {taskinstance.py:3337} ERROR - Task failed with exception"
    )
    frame = (
        f'  File "{INSIDE}", line 776, in _execute_task\n    result = '
        "_execute_callable(context=context)\n      ^^^^^^"
    )
    log = read_log(
        TextLog, f"{record}\n{HEADING}\n{frame}\n{frame}\nKeyError: 1\n    indented\n{record}"
    )

    assert log.lines == (record, HEADING, "KeyError: 1", "    indented", record)
    assert log.lines_omitted == 0


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [(TextLog, KILLED_2, "return code -9"), (JsonLog, KILLED_3, "SIGKILL")],
)
def test_killed_process_has_its_signal_as_last_error(kind: Reader, text: str, message: str) -> None:
    """The level of the log line does not matter."""
    log = read_log(kind, text)

    assert (log.raised, log.written) == ((), True)
    assert log.last_error is not None
    assert message in log.last_error


@pytest.mark.parametrize(
    ("exit_", "message"),
    [
        ({"exit_code": 3}, "exit_code 3"),
        ({"exit_code": 0}, "exit_code 0"),
        ({"exit_code": None}, None),
    ],
)
def test_exit_code_of_sys_exit_is_the_last_error(
    exit_: dict[str, Any], message: str | None
) -> None:
    error = read_log(JsonLog, entry("Task exited", "error", **exit_)).last_error

    assert error == ("Task exited" if message is None else f"Task exited ({message})")


@pytest.mark.parametrize(
    ("kind", "text"),
    [(TextLog, HEAD_2), (JsonLog, HEAD_3), (JsonLog, entry("Task did not run because …", None))],
)
def test_log_without_an_error_names_no_reason(kind: Reader, text: str) -> None:
    """A supervisor that was killed leaves such a log."""
    log = read_log(kind, text)

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
def test_log_with_only_fetch_attempts_counts_as_not_written(kind: Reader, text: str) -> None:
    log = read_log(kind, text)

    assert (log.raised, log.last_error, log.written) == ((), None, False)


@pytest.mark.parametrize(("kind", "text"), [(TextLog, NO_HOST_2), (JsonLog, MISSING_3)])
def test_fetch_errors_are_kept_unless_a_log_follows(kind: Reader, text: str) -> None:
    assert any("Could not read served logs" in line for line in read_log(kind, text).lines)
    there = read_log(kind, text + (HEAD_2 if kind is TextLog else HEAD_3))
    assert not [line for line in there.lines if "Could not read served logs" in line]


@pytest.mark.parametrize(
    ("kind", "text"),
    [(TextLog, FAKE_2 + FAILED_2), (JsonLog, FAKE_3 + FAILED_3), (JsonLog, FAILED_3 + FAKE_3)],
)
def test_printed_traceback_does_not_hide_the_final_exception(kind: Reader, text: str) -> None:
    log = read_log(kind, text)

    assert [one.kind for one in log.raised] == ["RuntimeError", "ValueError"]
    assert any("FakedError: made up" in line for line in log.lines)


@pytest.mark.parametrize(
    ("kind", "text"), [(TextLog, HANDLED_2 + FAILED_2), (JsonLog, HANDLED_3 + FAILED_3)]
)
def test_handled_exception_is_not_the_reason(kind: Reader, text: str) -> None:
    log = read_log(kind, text)

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


def test_hostile_text_is_kept_unchanged_and_changes_nothing_else() -> None:
    printed = [
        f"[2026-11-21T09:15:38.713+0000] {{logging_mixin.py:190}} INFO - {line}" for line in HOSTILE
    ]
    last = "[2026-11-21T09:15:38.866+0000] {taskinstance.py:1242} INFO - Marking task as FAILED."
    failed = [
        "[2026-11-21T09:15:38.743+0000] {taskinstance.py:3337} ERROR - Task failed with exception",
        HEADING,
    ]
    raised = [f'  File "{DAG}", line 46, in shout', f"RuntimeError: {HOSTILE[0]}", *HOSTILE[1:]]
    log_2 = read_log(TextLog, "\n".join([*printed, *failed, *raised, last]))
    shown = [entry(line, logger="task.stdout") for line in HOSTILE]
    failed_3 = entry(
        "Task failed with exception",
        "error",
        error_detail=[detail("RuntimeError", "\n".join(HOSTILE))],
    )
    log_3 = read_log(JsonLog, "\n".join([*shown, failed_3]))

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
def test_errors_of_airflow_3_are_found_by_level(level: Any, severe: bool) -> None:
    """Letter case does not matter; unknown levels are no errors."""
    line = json.dumps(
        {"timestamp": "2026-11-21T09:15:37Z", "event": " It went wrong ", "level": level}
    )

    assert read_log(JsonLog, line).last_error == ("It went wrong" if severe else None)


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
def test_errors_of_airflow_2_are_found_by_level(level: str, severe: bool) -> None:
    """Only a line in the log's own format has a level; another one continues the message."""
    log = read_log(
        TextLog,
        f"[2026-11-21T09:15:37.111+0000] {{a.py:1}} {level} - It went wrong\nERROR - printed",
    )

    assert log.last_error == ("It went wrong\nERROR - printed" if severe else None)


@pytest.mark.parametrize(("kind", "last"), [(TextLog, "ERROR - last"), (JsonLog, "last")])
def test_last_error_wins_over_earlier_errors_and_later_lines(kind: Reader, last: str) -> None:
    levels = [("first", "error"), ("last", "error"), ("done", "info")]
    text = "\n".join(
        f"[2026-11-21T09:15:37.111+0000] {{a.py:1}} {level.upper()} - {event}"
        for event, level in levels
    )
    log = read_log(kind, text if kind is TextLog else "\n".join(entry(*one) for one in levels))

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
def test_line_that_is_no_json_object_is_shown_shortened(line: str) -> None:
    log = read_log(JsonLog, f"{entry('before')}\n{line}\n{entry('after', 'error')}")

    assert len(log.lines) == 3
    assert log.lines[1]
    assert line.startswith(log.lines[1])
    assert log.last_error == "after"


@pytest.mark.parametrize("depth", [10, 400, *range(900, 1000, 3), 5_000, 100_000])
def test_deeply_nested_json_is_read_without_an_error(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    lines = [
        f'{{"event": {deep}, "level": {deep}, "timestamp": {deep}}}',
        f'{{"error_detail": {deep}}}',
    ]
    lines.append(
        f'{{"error_detail": [{{"exc_type": {deep}, "exc_value": {deep}, "frames": '
        f'[{{"name": {deep}}}]}}]}}'
    )
    log = read_log(JsonLog, "\n".join([*lines, entry("after", "error")]))

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
def test_any_entry_yields_named_exceptions_with_frames(fields: dict[str, Any]) -> None:
    log = read_log(JsonLog, f"{json.dumps(fields)}\n{entry('after')}")

    assert log.lines[-1].endswith("after")
    frames = [frame for one in log.raised for frame in one.frames]
    assert all(one.kind for one in log.raised)
    assert {type(frame.filename) for frame in frames} <= {str}
    assert all(frame.line == int(frame.line) for frame in frames)


def test_frame_without_file_or_line_is_left_out() -> None:
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
    (one,) = read_log(
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
def test_chunk_boundaries_make_no_difference(
    kind: Reader, texts: list[bytes], keep: int, data: st.DataObject
) -> None:
    """Some boundaries lie within a character."""
    whole = b"".join(texts)
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20), label="cuts"))
    reader = kind(keep)

    for start, end in zip([0, *places], [*places, len(whole)], strict=True):
        assert reader.consume(whole[start:end])
    assert reader.close() == read_log(kind, whole, keep)


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_single_byte_chunks_make_no_difference(kind: Reader, text: str) -> None:
    reader = kind(7)
    for byte in text.encode():
        reader.consume(bytes([byte]))

    assert reader.close() == read_log(kind, text, 7)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (TextLog, f"[2026-11-21T09:15:37.111+0000] {{a.py:1}} ERROR - {'x' * 400_000}"),
        (JsonLog, entry("x" * 400_000, "error")),
        (JsonLog, entry("x", "error", before="y" * 270_000, exit_code=3, after="z" * 130_000)),
        (JsonLog, f"{entry('x', 'error')}{' ' * 400_000}7"),
    ],
)
def test_very_long_line_is_cut_at_the_same_place_for_any_chunks(kind: Reader, line: str) -> None:
    whole = f"{entry('before')}\n{line}\n{entry('after')}\n".encode()
    reader = kind(100)
    for start in range(0, len(whole), 65_536):
        reader.consume(whole[start : start + 65_536])

    assert reader.close() == read_log(kind, whole)


def test_carriage_return_ends_a_line_only_before_a_line_feed() -> None:
    """Blanks are a part of the line."""
    after_a_line = LINE[TextLog].decode()

    assert read_log(TextLog, f"{after_a_line}one  \r\n\r\n\ttwo\rthree \n").lines[1:] == (
        "one  ",
        "",
        "\ttwo\rthree ",
    )


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
@pytest.mark.parametrize("keep", [0, 1, 5, 10_000])
def test_tail_keeps_the_last_lines_and_counts_the_others(
    kind: Reader, text: str, keep: int
) -> None:
    """The reason does not depend on the length of the tail."""
    whole, log = read_log(kind, text, 10_000), read_log(kind, text, keep)

    assert log.lines == whole.lines[max(len(whole.lines) - keep, 0) :]
    assert log.lines_omitted + len(log.lines) == len(whole.lines)
    assert (log.raised, log.last_error) == (whole.raised, whole.last_error)


@pytest.mark.parametrize(("kind", "text"), [(TextLog, FAILED_2), (JsonLog, FAILED_3)])
def test_exception_is_found_before_thousands_of_lines(kind: Reader, text: str) -> None:
    line = (
        "[2026-11-21T09:15:38.724+0000] {logging_mixin.py:190} INFO - Line"
        if kind is TextLog
        else entry("Line")
    )
    log = read_log(kind, f"{text}{line}\n" + f"{line}\n" * 5_000, 10)

    assert log.raised == read_log(kind, text).raised
    assert [one.rpartition(" ")[2] for one in log.lines] == ["Line"] * 10
    assert log.lines_omitted == 5_001 + len(read_log(kind, text).lines) - 10


def kept_bytes(reader: LogReader) -> int:
    """Return the number of bytes in everything that the reader keeps."""
    return len(pickle.dumps(reader))


@pytest.mark.parametrize("after_a_line", [False, True])
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
def test_memory_is_bounded_for_an_endless_line(
    kind: Reader, chunk: bytes, after_a_line: bool
) -> None:
    reader = kind(100)
    reader.consume(LINE[kind] if after_a_line else b"")
    most = 0
    for _ in range(50_000_000 // len(chunk) + 1):
        reader.consume(chunk)
        most = max(most, len(reader._incomplete_line))
    assert most < 1_000_000
    assert kept_bytes(reader) < 1_000_000

    log = reader.close()
    assert (len(log.lines), log.lines_omitted) == (1 + after_a_line, 0)
    assert len(log.lines[-1]) <= 10_000


@pytest.mark.parametrize(("kind", "lines"), [(TextLog, 200_000), (JsonLog, 50_000)])
def test_memory_is_bounded_for_a_long_log(kind: Reader, lines: int) -> None:
    reader, thousand = kind(100), LINE[kind] * 1_000
    reader.consume(thousand)
    early = kept_bytes(reader)
    for _ in range(lines // 1_000 - 1):
        reader.consume(thousand)

    assert kept_bytes(reader) < early + 1_000
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
@pytest.mark.parametrize("after_a_line", [False, True])
def test_memory_is_bounded_for_repeated_exceptions_and_invalid_lines(
    kind: Reader, lines: str, after_a_line: bool
) -> None:
    reader = kind(100)
    reader.consume(LINE[kind] if after_a_line else b"")
    reader.consume(lines.encode() * 35)
    early = kept_bytes(reader)
    reader.consume(lines.encode() * 35)

    assert kept_bytes(reader) < early + 1_000
    assert early < 1_000_000


def test_endless_chain_keeps_the_last_raised_exceptions_and_frames() -> None:
    chain = read_log(
        JsonLog,
        entry("x", "error", error_detail=[detail("E", f"number {one}") for one in range(300)]),
    ).raised
    frames = [("a.py", line, "f") for line in range(1, 1_001)]
    (deep,) = read_log(
        JsonLog, entry("x", "error", error_detail=[detail("E", "deep", *frames)])
    ).raised

    assert [one.text for one in chain] == [f"number {one}" for one in range(len(chain))]
    assert 10 <= len(chain) < 300
    assert [frame.line for frame in deep.frames] == list(range(1_001 - len(deep.frames), 1_001))
    assert 50 <= len(deep.frames) < 1_000


@pytest.mark.parametrize("kind", READERS)
def test_long_lines_shorten_the_tail_and_are_counted(kind: Reader) -> None:
    reader = kind(2_000)
    reader.consume(LINE[kind])
    for _ in range(2_000):
        reader.consume(b"x" * 5_000 + b"\n")
    log = reader.close()

    assert 10 < len(log.lines) < 2_000
    assert sum(map(len, log.lines)) < 500_000
    assert len(log.lines) + log.lines_omitted == 2_001


def test_entry_with_line_breaks_becomes_several_lines() -> None:
    log = read_log(JsonLog, entry("one\ntwo\nthree\nfour"), 3)

    assert (log.lines, log.lines_omitted) == (("two", "three", "four"), 1)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (JsonLog, f"{HANDLED_3}\n{KILLED_3}", "SIGKILL"),
        (TextLog, f"{HANDLED_2}\n{KILLED_2}", "-9"),
    ],
)
def test_kill_is_the_reason_after_a_handled_exception(
    kind: Reader, text: str, message: str
) -> None:
    log = read_log(kind, text)

    assert log.raised == ()
    assert message in (log.last_error or "")


def test_notes_and_the_parts_of_a_group_belong_to_the_text() -> None:
    inner = detail("ExceptionGroup", "two") | {"exceptions": [[detail("TypeError", "no number")]]}
    parts = [[detail("KeyError", "'amount'"), detail("ValueError", "cause")], [inner], "x", []]
    group = detail("ExceptionGroup", "many") | {"exceptions": parts, "exc_notes": ["for APAC"]}
    (raised,) = read_log(JsonLog, entry("x", "error", error_detail=[group])).raised

    assert raised.text.splitlines() == [
        *("many", "for APAC", "KeyError: 'amount'", "ExceptionGroup: two", "TypeError: no number")
    ]


def test_exception_of_a_callback_is_not_the_reason() -> None:
    after = entry(
        "Failed to run task callback", "error", error_detail=[detail("SlackApiError", "no channel")]
    )
    log = read_log(JsonLog, f"{FAILED_3}\n{after}")

    assert log.raised[0].kind == "RuntimeError"


def test_exception_is_found_with_a_custom_log_format() -> None:
    """Lines of Airflow 2 cannot be recognised then."""
    log = read_log(
        TextLog,
        f'{HEAD_2}10:15 | ERROR | failed\n{HEADING}\n  File "{DAG}", line 1, in f\nKeyError: 1\n',
    )

    assert [str(one) for one in log.raised] == ["KeyError: 1"]
