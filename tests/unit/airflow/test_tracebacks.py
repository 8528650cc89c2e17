"""Python's own printed tracebacks, read back: what the interpreter prints is the referee."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint.airflow.tracebacks import TracebackReader, read_traceback
from entrypoint.errors import ExceptionInfo, StackFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEADING = "Traceback (most recent call last):"
# Without bars: at the start of a line they are read as those of an exception group.
words = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=" ", exclude_characters="|"),
    max_size=20,
)
texts = st.lists(words, max_size=4).map("\n".join)


class PartnerError(Exception):
    """An exception that is none of Python's own."""


KINDS: tuple[type[Exception], ...] = (ValueError, KeyError, RuntimeError, PartnerError, OSError)


def caught(act: Callable[[], object]) -> Exception:
    """What it raises, with its traceback."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


def printed(error: BaseException) -> str:
    """What Python prints of it."""
    return "".join(traceback.format_exception(error))


def chain_of(error: BaseException | None) -> list[BaseException]:
    """The exception and, as Python links them, what it came from: its cause, or its context unless
    that is suppressed.
    """
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def expected(error: BaseException) -> ExceptionInfo:
    """One exception as it should be read: blank lines in its text are lost, since Airflow drops
    them as well.
    """
    notes: list[str] = getattr(error, "__notes__", [])
    first, *rest = [*str(error).split("\n"), *notes]
    frames = tuple(
        StackFrame(frame.filename, frame.lineno or 0, frame.name)
        for frame in traceback.extract_tb(error.__traceback__)
    )
    text = "\n".join([first, *(line for line in rest if line.strip())])
    return ExceptionInfo(type(error).__name__, text, frames)


def fail(links: Sequence[tuple[str, type[Exception], str]]) -> None:
    """Raise an exception for each link, each because of the one before or while that one is
    handled.
    """
    *before, (link, kind, text) = links
    if not before:
        raise kind(text)
    try:
        fail(before)
    except Exception as error:
        if link == "cause":
            raise kind(text) from error
        if link == "none":
            raise kind(text) from None
        raise kind(text)  # noqa: B904 - the context is what is tested


@given(
    st.lists(
        st.tuples(st.sampled_from(["cause", "context", "none"]), st.sampled_from(KINDS), texts),
        min_size=1,
        max_size=8,
    )
)
def test_what_python_prints_is_read_back(links: list[tuple[str, type[Exception], str]]) -> None:
    """Of any chain every exception comes back: class, text, and every frame; the one that was
    raised last first.
    """
    error = caught(lambda: fail(links))

    assert list(read_traceback(printed(error))) == [expected(one) for one in chain_of(error)]


def test_notes_are_a_part_of_the_text() -> None:
    """What was noted on an exception is read with it, and not taken for the next one."""
    error = caught(
        lambda: fail([("", ValueError, "No such region"), ("cause", RuntimeError, "Cannot load")])
    )
    error.add_note("while loading APAC")

    assert [str(one) for one in read_traceback(printed(error))] == [
        "RuntimeError: Cannot load\nwhile loading APAC",
        "ValueError: No such region",
    ]


def test_an_exception_without_a_text_is_its_class() -> None:
    """An exception that says nothing is named by its class alone."""
    (raised,) = read_traceback(printed(caught(lambda: fail([("", PartnerError, "")]))))

    assert str(raised) == "PartnerError"


@pytest.mark.parametrize(
    "source", ["def load(:\n    pass\n", "x = 1\nprint 'x'\n", "if True:\nx = 1\n", "x = (\n"]
)
def test_a_syntax_error_has_the_line_it_is_about(source: str) -> None:
    """The file that cannot be parsed is the last frame, although nothing in it ran."""
    error = caught(lambda: compile(source, "/opt/airflow/dags/sales.py", "exec"))
    (raised,) = read_traceback(printed(error))

    assert isinstance(error, SyntaxError)
    assert (raised.kind, raised.text) == (type(error).__name__, error.msg)
    assert raised.frames[-1] == StackFrame(
        "/opt/airflow/dags/sales.py", error.lineno or 0, "<module>"
    )


def endless(depth: int) -> int:
    """Call itself for ever."""
    return endless(depth + 1) + 1


def ping(depth: int) -> int:
    """Call itself by a detour, which Python does not print in short."""
    return pong(depth) + 1


def pong(depth: int) -> int:
    """Call back."""
    return ping(depth) + 1


@pytest.mark.parametrize("act", [endless, ping])
def test_an_endless_recursion(act: Callable[[int], int]) -> None:
    """A thousand frames, printed in short or in full, leave a bounded number, the raising ones
    among them.
    """
    error = caught(lambda: act(0))
    (raised,) = read_traceback(printed(error))

    assert (raised.kind, raised.text) == ("RecursionError", str(error))
    assert len(raised.frames) <= 200
    assert {frame.function for frame in raised.frames[-3:]} <= {"endless", "ping", "pong"}


def gathered() -> None:
    """Raise a group as asyncio's TaskGroup does: of exceptions with and without frames, and of
    another group.
    """
    inner = ExceptionGroup("two", [ValueError("no date"), TypeError("no number")])
    raise ExceptionGroup(
        "many", [caught(lambda: fail([("", KeyError, "amount")])), OSError("disk"), inner]
    )


def test_an_exception_group() -> None:
    """A group is read as an exception with its frames, and what it gathers is named somewhere in
    what was read.
    """
    raised = read_traceback(printed(caught(gathered)))
    group = next(one for one in raised if one.kind == "ExceptionGroup")
    said = "\n".join(map(str, raised))

    assert group.text.startswith("many (3 sub-exceptions)")
    assert group.frames[-1].function == "gathered"
    for one in (
        "KeyError: 'amount'",
        "OSError: disk",
        "ValueError: no date",
        "TypeError: no number",
    ):
        assert one in said


HERE = (ExceptionInfo("KeyError", "1", (StackFrame("a.py", 1, "f"),)),)
IMPORT_ERROR = f"""{HEADING}
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
  File "/opt/airflow/dags/sales.py", line 2, in <module>
    from helpers import no_such_name
ImportError: cannot import name 'no_such_name' from 'helpers' (/opt/airflow/dags/helpers.py)
"""


@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ("", ()),
        ("ValueError: said, not raised", ()),
        (f"{HEADING}\n", ()),
        (f'{HEADING}\n  File "a.py", line 1, in f\n', ()),
        (f'{HEADING}\n  File "a.py", line 1, in f\nKeyError: 1', HERE),
        (f'[stdout] {HEADING}\n  File "a.py", line 1, in f\nKeyError: 1', HERE),
        (f'{HEADING}\r\n  File "a.py", line 1, in f\r\nKeyError: 1\r\n', HERE),
    ],
)
def test_texts_of_other_origins(text: str, raised: tuple[ExceptionInfo, ...]) -> None:
    """What only looks like an exception is none, and a traceback is found whatever stands before it
    and ends its lines.
    """
    assert read_traceback(text) == raised


def test_an_import_error_of_airflow() -> None:
    """Airflow's import errors have a frame of Python's own import system before the DAG's."""
    (raised,) = read_traceback(IMPORT_ERROR)

    assert str(raised) == IMPORT_ERROR.splitlines()[-1]
    assert [(frame.filename, frame.line) for frame in raised.frames] == [
        ("<frozen importlib._bootstrap>", 241),
        ("/opt/airflow/dags/sales.py", 2),
    ]


def test_what_is_kept_is_bounded() -> None:
    """Of a chain without end the last exceptions stay."""
    links = [("cause", ValueError, f"number {number}") for number in range(60)]
    raised = read_traceback(printed(caught(lambda: fail(links))))
    assert [one.text for one in raised] == [
        f"number {number}" for number in range(59, 59 - len(raised), -1)
    ]
    assert 10 <= len(raised) < 60


@pytest.mark.parametrize("rest", ["x" * 100_000, "x\n" * 100_000])
def test_a_text_without_end(rest: str) -> None:
    """Of a text without end its beginning is kept, whether it is one line or many."""
    (long,) = read_traceback(printed(caught(lambda: fail([("", ValueError, f"first {rest}")]))))

    assert long.text.startswith("first x")
    assert len(long.text) < 10_000


fragments = st.sampled_from(
    [
        HEADING,
        f"  + Exception Group {HEADING}",
        '  File "a.py", line 1, in f',
        '  File "a.py", line 99999999999999',
        "    x",
        "  | ",
        "  +-+---- 1 ----",
        "  [Previous line repeated 9 more times]",
        "KeyError: 1",
        "KeyError",
        "",
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    ]
)


@given(st.lists(st.tuples(fragments | st.text(), st.booleans()), max_size=30))
@example([(HEADING, False), ("A.", False)])
def test_any_lines_are_read(lines: list[tuple[str, bool]]) -> None:
    """Whatever the lines, reading them ends, and what was read is a bounded chain of named
    exceptions.
    """
    reader = TracebackReader()
    for line, begins in lines:
        reader.line(line, begins=begins)

    assert len(reader.last) <= len(lines)
    assert all(one.kind and all(frame.line < 10**9 for frame in one.frames) for one in reader.last)


def test_an_exception_group_is_what_was_raised() -> None:
    """Of an exception group the group comes first, its parts are its text, and bars in a text of no
    group stay.
    """
    try:
        # To be caught here
        raise ExceptionGroup("many", [KeyError("amount"), OSError("disk")])  # noqa: TRY301
    except ExceptionGroup as group:
        text = "".join(traceback.format_exception(group))
    (raised,) = read_traceback(text)
    assert (raised.kind, len(raised.frames)) == ("ExceptionGroup", 1)
    assert "disk" in raised.text

    try:
        raise ValueError("bad rows:\n| a | b |")  # noqa: TRY301 - to be caught here
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    assert read_traceback(text)[0].text == "bad rows:\n| a | b |"


@pytest.mark.parametrize(
    "kind",
    [
        "f.<locals>.LockedOut",
        "Ärger",
        "sales.errors.NoAmount",
        "unusual_prefix_0a1b_sales.SalesFileError",
    ],
)
def test_any_name_of_a_class(kind: str) -> None:
    """A class defined within a function, in a module, or with a name beyond ASCII is read, by its
    own name alone.
    """
    text = (
        f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n{kind}: by the partner'
    )

    assert [str(raised) for raised in read_traceback(text)] == [
        f"{kind.rpartition('.')[2]}: by the partner"
    ]
