"""Airflow 2's log in the formats that installations give it, made by Python's own formatters."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint import masking
from entrypoint.airflow.text_log import TextLog
from tests.support.task_logs import HEADING

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.models import TaskLog

SOURCE = "vm\n*** Reading local file: /opt/airflow/logs/sales/load/1.log\n"
ISO, UTC = "%Y-%m-%dT%H:%M:%S+0000", "%Y-%m-%d, %H:%M:%S UTC"
PLACE = "%(filename)s:%(lineno)d"
RED, RESET = "\x1b[01m\x1b[31m", "\x1b[0m"
TEXT_FORMATS: dict[str, tuple[str, str | None]] = {
    "airflow 2.0": (f"[%(asctime)s] {{{PLACE}}} %(levelname)s - %(message)s", None),
    "airflow 2.5": (f"[%(asctime)s] {{{PLACE}}} %(levelname)s - %(message)s", UTC),
    "airflow 2.11": (f"[%(asctime)s] {{{PLACE}}} %(levelname)s - %(message)s", ISO),
    "2.0.1, MWAA": (f"[%(asctime)s] {{{{{PLACE}}}}} %(levelname)s - %(message)s", UTC),
    "CloudWatch": (f"[%(asctime)s] [%(asctime)s] {{{PLACE}}} %(levelname)s - %(message)s", None),
    "simple": ("%(asctime)s %(levelname)s %(message)s", None),
    "simple, dash": ("%(asctime)s %(levelname)s - %(message)s", None),
    "named": ("%(asctime)s - %(name)s - %(levelname)s - %(message)s", ISO),
    "padded": ("%(asctime)s [%(levelname)-8s] %(name)s: %(message)s", None),
    "no braces": (f"[%(asctime)s] {PLACE} %(levelname)s - %(message)s", ISO),
    "milliseconds": ("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"),
    "other zone": ("%(asctime)s %(levelname)s %(message)s", "%d/%m/%Y %H:%M:%S CET"),
    "syslog": ("%(asctime)s worker[%(process)d]: %(levelname)s %(message)s", "%b %d %H:%M:%S"),
    "celery": ("[%(asctime)s: %(levelname)s/%(processName)s] %(message)s", None),
    "thread": ("%(asctime)s [%(threadName)s] %(levelname)s %(name)s:%(lineno)d %(message)s", None),
    "bars": ("%(asctime)s | %(levelname)s | %(message)s", "%H:%M:%S"),
    "epoch": ("%(created)f %(levelname)s %(message)s", None),
    "level first": ("%(levelname)s %(asctime)s %(message)s", None),
    "logger first": ("%(name)s [%(asctime)s] %(levelname)s: %(message)s", None),
    "emoji": ("❌ %(asctime)s %(levelname)s %(message)s", None),
    "unknown": ("airflow says, in its own words: %(message)s", None),
    "basic": ("%(levelname)s:%(name)s:%(message)s", None),
    "level only": ("[%(levelname)s] %(message)s", None),
    "logfmt": ('time="%(asctime)s" level=%(levelname)s msg="%(message)s"', ISO),
    "stamp only": ("%(asctime)s %(message)s", None),
    "message only": ("%(message)s", None),
    "composer": (
        f'[%(asctime)s] {{{PLACE}}} %(levelname)s - %(message)s@-@{{"workflow": "sales"}}',
        None,
    ),
}


class Coloured(logging.Formatter):
    """Airflow's `CustomTTYColoredFormatter`: colours the head, the message and the traceback."""

    def __init__(self) -> None:
        head = f"[\x1b[34m%(asctime)s{RESET}] {{\x1b[34m%(filename)s:{RESET}%(lineno)d}} "
        super().__init__(f"{head}{RED}%(levelname)s{RESET} - {RED}%(message)s{RESET}", ISO)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is Python's
        return f"{RED}{super().formatException(ei)}{RESET}"


class Json(logging.Formatter):
    """Airflow's `JSONFormatter`, or another one: `names` are those of its fields."""

    def __init__(self, stamp: str, level: str, message: str, trace: str) -> None:
        super().__init__()
        self._names = (stamp, level, message)
        self._trace = trace

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname if self._names[1].isupper() else record.levelname.lower()
        values = (self.formatTime(record), level, record.getMessage())
        fields = dict(zip([name.lower() for name in self._names], values, strict=True))
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if trace and self._trace in fields:
            fields[self._trace] += f"\n{trace}"
        elif trace and self._trace == "nested":
            fields["error"] = {"stack_trace": trace}  # type: ignore[assignment]
        elif trace:
            fields[self._trace] = trace
        return json.dumps(fields)


class EachLine(logging.Formatter):
    """A head before each line, as with `run_as_user` or a collector of logs."""

    def __init__(self, head: str, inner: logging.Formatter) -> None:
        super().__init__()
        self._head, self._inner = head, inner

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(f"{self._head}{line}" for line in self._inner.format(record).splitlines())


FORMATTERS: dict[str, logging.Formatter] = {
    **{name: logging.Formatter(*one) for name, one in TEXT_FORMATS.items()},
    "coloured": Coloured(),
    "JSON, Airflow": Json("ASCTIME", "LEVELNAME", "MESSAGE", "message"),
    "JSON, exc_info": Json("asctime", "levelname", "message", "exc_info"),
    "JSON, structlog": Json("timestamp", "level", "event", "exception"),
    "JSON, ECS": Json("@timestamp", "log.level", "message", "nested"),
    "JSON, Google": Json("time", "SEVERITY", "message", "stack_trace"),
    "run_as_user": EachLine(
        "[2023-01-12, 09:52:17 UTC] {base_task_runner.py:142} INFO - Job 5: Subtask load ",
        logging.Formatter(*TEXT_FORMATS["airflow 2.5"]),
    ),
    "kubectl": EachLine("2023-01-12T09:52:17.123456789Z ", logging.Formatter("%(message)s")),
}


def chained() -> None:
    """Raise with a cause, in another module's words."""
    try:
        raise KeyError("amount")  # noqa: TRY301 - to be caught here
    except KeyError as error:
        raise ValueError("Not an amount: 'n/a'") from error


def in_handler() -> None:
    """Raise while another exception is handled."""
    try:
        chained()
    except ValueError:
        raise RuntimeError("The sales cannot be loaded")  # noqa: B904 - the context is tested


def several_lines() -> None:
    raise ValueError("Bad rows:\nrow 1: no amount\nERROR: relation sales\n  row 7: no date")


def group() -> None:
    """Raise a group with one exception that has frames, and one that has not."""
    try:
        chained()
    except ValueError as error:
        raise ExceptionGroup("2 shops", [error, TypeError("Bergen")]) from None


def without_text() -> None:
    raise AssertionError


def write_log(name: str, *records: tuple[str, str] | Callable[[], None]) -> str:
    """Return the log with these records: a level and a message, or what raises the exception."""
    lines = []
    for one in records:
        level, message, exc_info = "ERROR", "Task failed with exception", None
        if callable(one):
            try:
                one()
            except Exception as error:  # noqa: BLE001 - whatever it is
                exc_info = (type(error), error, error.__traceback__)
        else:
            level, message = one
        record = logging.LogRecord(
            "airflow.task",
            logging.getLevelNamesMapping()[level],
            "taskinstance.py",
            1851,
            message,
            None,
            exc_info,
        )
        lines.append(FORMATTERS[name].format(record))
    return "\n".join(lines) + "\n"


def read(text: str, keep: int = 100) -> TaskLog:
    reader = TextLog(keep)
    reader.consume(text.encode())
    return reader.close()


BEGIN = (
    ("INFO", "Dependencies all met for <TaskInstance: sales.load manual [queued]>"),
    ("INFO", "Starting attempt 1 of 1"),
)
END = (
    ("INFO", "Marking task as FAILED. dag_id=sales, task_id=load, execution_date=20230112T095217"),
    ("INFO", "Task exited with return code 1"),
    ("INFO", "0 downstream tasks scheduled from follow-on schedule check"),
)
NO_TEXT_LINES = ("kubectl", "message only", "stamp only")
"""Formats in which a line of an exception's text cannot be told from a further record."""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("source", [SOURCE, ""])
@pytest.mark.parametrize("name", FORMATTERS)
def test_chained_exceptions_are_the_cause_and_nothing_is_glued_to_them(
    name: str, source: str, line_end: str
) -> None:
    """The tail is the task's log, not where Airflow found it."""
    text = source + write_log(name, *BEGIN, ("INFO", "Loading the sales"), in_handler, *END)
    log = read(text.replace("\n", line_end))

    assert [str(one) for one in log.raised] == [
        "RuntimeError: The sales cannot be loaded",
        "ValueError: Not an amount: 'n/a'",
        "KeyError: 'amount'",
    ]
    assert [one.frames[-1].function for one in log.raised] == ["in_handler", "chained", "chained"]
    assert log.written
    tail = "\n".join(log.lines)
    for wanted in ("Loading the sales", "Not an amount: 'n/a'", END[-1][1]):
        assert wanted in tail
    assert not [line for line in log.lines if line == "vm" or line.startswith("***")]
    assert "\r" not in tail


@pytest.mark.parametrize("name", FORMATTERS)
@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (without_text, "AssertionError"),
        (
            several_lines,
            "ValueError: Bad rows:\nrow 1: no amount\nERROR: relation sales\n  row 7: no date",
        ),
        (
            group,
            (
                "ExceptionGroup: 2 shops (2 sub-exceptions)\nKeyError: 'amount'\n"
                "ValueError: Not an amount: 'n/a'\nTypeError: Bergen"
            ),
        ),
    ],
)
def test_the_text_of_an_exception_ends_where_the_next_record_begins(
    name: str, act: Callable[[], None], expected: str
) -> None:
    if name == "kubectl" and act is several_lines:
        expected = expected.partition("\n")[0]
    if name in ("basic", "level only"):
        expected = expected.partition("\nERROR: ")[0]
    log = read(SOURCE + write_log(name, *BEGIN, act, *END))

    assert str(log.raised[0]) == expected


@pytest.mark.parametrize("name", FORMATTERS)
def test_fifty_lines_of_a_command_before_the_error_stay_in_the_tail(name: str) -> None:
    printed = [("INFO", f"line {number}") for number in range(50)]
    failed = ("INFO", "Command exited with return code 3")
    log = read(SOURCE + write_log(name, *BEGIN, *printed, failed, chained, *END), 1_000)

    assert sum("line " in line and "File" not in line for line in log.lines) == 50
    assert log.raised[0].kind == "ValueError"


@pytest.mark.parametrize("name", FORMATTERS)
@pytest.mark.parametrize(
    ("code", "is_cause"),
    [("-9", True), ("Negsignal.SIGKILL", True), ("137", True), ("-15", True), ("3", True)],
)
def test_exit_code_is_the_cause_if_no_exception_ended_the_try(
    name: str, code: str, is_cause: bool
) -> None:
    """Airflow logs it with level INFO."""
    log = read(SOURCE + write_log(name, *BEGIN, ("INFO", f"Task exited with return code {code}")))

    assert log.raised == ()
    assert (log.last_error or "").startswith(f"Task exited with return code {code}") == is_cause


@pytest.mark.parametrize("name", FORMATTERS)
def test_signal_hides_a_handled_exception_but_not_the_one_that_failed_the_task(name: str) -> None:
    killed = [
        ("INFO", "Task exited with return code -9"),
        ("ERROR", "Job 7 was killed before it finished (likely due to running out of memory)"),
    ]
    after = read(write_log(name, *BEGIN, chained, *END, *killed))
    assert after.raised[0].kind == "ValueError"

    handled = write_log(name, *BEGIN, chained).replace("Task failed with exception", "No mirror")
    log = read(handled + write_log(name, *killed))
    assert log.raised == ()
    assert "return code -9" in (log.last_error or "")
    assert "out of memory" in (log.last_error or "") or name in NO_TEXT_LINES


@pytest.mark.parametrize("name", FORMATTERS)
def test_an_exception_of_a_callback_is_not_the_cause(name: str) -> None:
    """Neither after the exception of 2.1 and later, nor after that of 2.0 with its own text."""
    callback = write_log(name, without_text).replace("Task failed with exception", "No e-mail")
    for message in ("Task failed with exception", "Not an amount"):
        failed = write_log(name, *BEGIN, chained).replace("Task failed with exception", message)
        log = read(failed + write_log(name, *END[:1]) + callback + write_log(name, *END[1:]))
        assert log.raised[0].kind == "ValueError"


def test_zombie_is_the_cause_after_a_handled_exception() -> None:
    zombie = ("ERROR", "Detected zombie job: {'msg': 'load'}")
    text = write_log("airflow 2.11", *BEGIN, chained).replace("Task failed with exception", "x")
    log = read(text + write_log("airflow 2.11", zombie))

    assert (log.raised, log.last_error) == ((), zombie[1])


@pytest.mark.parametrize("name", ["airflow 2.11", "simple", "JSON, Airflow", "basic"])
def test_error_message_of_several_lines_is_whole(name: str) -> None:
    log = read(write_log(name, *BEGIN, ("ERROR", "Cannot load:\n  row 1\n  row 7"), END[-1]))

    assert (log.last_error or "").removeprefix("airflow.task:") == "Cannot load:\n  row 1\n  row 7"


@pytest.mark.parametrize("name", ["airflow 2.11", "2.0.1, MWAA", "simple", "JSON, Airflow"])
def test_lines_of_other_formats_in_a_message_begin_no_record(name: str) -> None:
    """Otherwise an exception would lose its text, and a printed line would be the cause."""
    other = "ERROR:root:x\nERROR - y\n12:30 lunch\nMarking task as FAILED."
    log = read(write_log(name, *BEGIN, ("INFO", f"It said:\n{other}"), *END[1:]))
    assert log.last_error == END[1][1]

    if not name.startswith("simple"):
        other += "\n2023-01-12 09:52:17,123 ERROR row 7"

    def act() -> None:
        raise ValueError(f"It said:\n{other}")

    text = write_log(name, *BEGIN, act, *END)
    assert read(text).raised[0].text == f"It said:\n{other}"


@pytest.mark.parametrize(
    "line",
    [
        "Nothing is wrong here",
        "The ERROR was at 12:30",
        "12 rows",
        "a: b",
        "  2023-01-12 09:52:17 ERROR indented",
        "rows/sales.csv has 3 rows",
        "{}",
        '{"rows": 3}',
        '{"message": 3, "level": "error"}',
        "[1, 2, 3]",
        "2023-01-12 sales",
    ],
)
def test_ordinary_lines_are_no_records(line: str) -> None:
    log = read(f"vm\n{line}\n")

    assert (log.written, log.last_error) == (False, None)


@pytest.mark.parametrize("rows", [10, 11])
def test_many_lines_are_a_log_even_in_an_unknown_format(rows: int) -> None:
    text = "\n".join(f"row {number}" for number in range(rows))
    log = read(f"{SOURCE}{text}\n", 100)

    assert log.written == (rows > 10)
    if log.written:
        assert log.lines == tuple(text.splitlines())


def test_lines_before_the_first_record_are_masked() -> None:
    masking.add("hunter2-hunter2")
    log = read(f"vm\nlogin hunter2-hunter2\n{write_log('simple', *BEGIN)}")

    assert log.lines[0] == "login ***"


def test_printed_traceback_is_the_cause_only_without_an_error() -> None:
    printed = [("INFO", line) for line in traceback.format_stack(limit=1)]
    trace = [("INFO", line) for line in (HEADING, '  File "a.py", line 1, in f', "KeyError: 1")]
    log = read(write_log("airflow 2.11", *BEGIN, *trace, *END[1:]))
    assert [str(one) for one in log.raised] == ["KeyError: 1"]

    log = read(write_log("airflow 2.11", *BEGIN, *trace, *printed, ("ERROR", "No mirror")))
    assert (log.raised, log.last_error) == ((), "No mirror")
