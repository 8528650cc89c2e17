"""Reading Python tracebacks, compared with what the interpreter prints."""

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
# No bars, since a bar at a line start marks an exception group.
words = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=" ", exclude_characters="|"),
    max_size=20,
)
texts = st.lists(words, max_size=4).map("\n".join)


class PartnerError(Exception):
    """An exception class of a user."""


KINDS: tuple[type[Exception], ...] = (ValueError, KeyError, RuntimeError, PartnerError, OSError)


def catch(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


def print_exception(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def chain_of(error: BaseException | None) -> list[BaseException]:
    """Return the exception and its causes or contexts, as Python links them."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def expected_info(error: BaseException) -> ExceptionInfo:
    """Return the exception as it should be read, without blank lines, since Airflow drops them."""
    notes: list[str] = getattr(error, "__notes__", [])
    first, *rest = [*str(error).split("\n"), *notes]
    frames = tuple(
        StackFrame(frame.filename, frame.lineno or 0, frame.name)
        for frame in traceback.extract_tb(error.__traceback__)
    )
    text = "\n".join([first, *(line for line in rest if line.strip())])
    return ExceptionInfo(type(error).__name__, text, frames)


def raise_chain(links: Sequence[tuple[str, type[Exception], str]]) -> None:
    """Raise an exception for each link, with the previous one as cause or context."""
    *before, (link, kind, text) = links
    if not before:
        raise kind(text)
    try:
        raise_chain(before)
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
def test_printed_chain_is_read_back_completely(
    links: list[tuple[str, type[Exception], str]],
) -> None:
    """Class, text and frames; the exception that was raised last comes first."""
    error = catch(lambda: raise_chain(links))

    assert list(read_traceback(print_exception(error))) == [
        expected_info(one) for one in chain_of(error)
    ]


def test_exception_notes_are_part_of_the_text() -> None:
    error = catch(
        lambda: raise_chain(
            [("", ValueError, "No such region"), ("cause", RuntimeError, "Cannot load")]
        )
    )
    error.add_note("while loading APAC")

    assert [str(one) for one in read_traceback(print_exception(error))] == [
        "RuntimeError: Cannot load\nwhile loading APAC",
        "ValueError: No such region",
    ]


def test_exception_without_text_is_its_class() -> None:
    (raised,) = read_traceback(
        print_exception(catch(lambda: raise_chain([("", PartnerError, "")])))
    )

    assert str(raised) == "PartnerError"


@pytest.mark.parametrize(
    "source", ["def load(:\n    pass\n", "x = 1\nprint 'x'\n", "if True:\nx = 1\n", "x = (\n"]
)
def test_syntax_error_has_the_invalid_file_as_last_frame(source: str) -> None:
    error = catch(lambda: compile(source, "/opt/airflow/dags/sales.py", "exec"))
    (raised,) = read_traceback(print_exception(error))

    assert isinstance(error, SyntaxError)
    assert (raised.kind, raised.text) == (type(error).__name__, error.msg)
    assert raised.frames[-1] == StackFrame(
        "/opt/airflow/dags/sales.py", error.lineno or 0, "<module>"
    )


def endless(depth: int) -> int:
    """Call itself forever."""
    return endless(depth + 1) + 1


def ping(depth: int) -> int:
    """Call itself through `pong`, so that Python prints each frame."""
    return pong(depth) + 1


def pong(depth: int) -> int:
    return ping(depth) + 1


@pytest.mark.parametrize("act", [endless, ping])
def test_endless_recursion_leaves_a_bounded_number_of_frames(act: Callable[[int], int]) -> None:
    """The frames that raise are among them."""
    error = catch(lambda: act(0))
    (raised,) = read_traceback(print_exception(error))

    assert (raised.kind, raised.text) == ("RecursionError", str(error))
    assert len(raised.frames) <= 200
    assert {frame.function for frame in raised.frames[-3:]} <= {"endless", "ping", "pong"}


def raise_group() -> None:
    """Raise a nested group as asyncio's TaskGroup does."""
    inner = ExceptionGroup("two", [ValueError("no date"), TypeError("no number")])
    raise ExceptionGroup(
        "many", [catch(lambda: raise_chain([("", KeyError, "amount")])), OSError("disk"), inner]
    )


def test_exception_group_is_read_with_its_frames_and_parts() -> None:
    raised = read_traceback(print_exception(catch(raise_group)))
    group = next(one for one in raised if one.kind == "ExceptionGroup")
    message = "\n".join(map(str, raised))

    assert group.text.startswith("many (3 sub-exceptions)")
    assert group.frames[-1].function == "raise_group"
    for one in (
        "KeyError: 'amount'",
        "OSError: disk",
        "ValueError: no date",
        "TypeError: no number",
    ):
        assert one in message


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
def test_only_real_tracebacks_are_read(text: str, raised: tuple[ExceptionInfo, ...]) -> None:
    """Any prefix and line ending is allowed."""
    assert read_traceback(text) == raised


def test_import_error_of_airflow_skips_the_import_system_frame() -> None:
    (raised,) = read_traceback(IMPORT_ERROR)

    assert str(raised) == IMPORT_ERROR.splitlines()[-1]
    assert [(frame.filename, frame.line) for frame in raised.frames] == [
        ("<frozen importlib._bootstrap>", 241),
        ("/opt/airflow/dags/sales.py", 2),
    ]


def test_endless_chain_keeps_the_last_exceptions() -> None:
    links = [("cause", ValueError, f"number {number}") for number in range(60)]
    raised = read_traceback(print_exception(catch(lambda: raise_chain(links))))
    assert [one.text for one in raised] == [
        f"number {number}" for number in range(59, 59 - len(raised), -1)
    ]
    assert 10 <= len(raised) < 60


@pytest.mark.parametrize("rest", ["x" * 100_000, "x\n" * 100_000])
def test_endless_text_keeps_its_beginning(rest: str) -> None:
    (long,) = read_traceback(
        print_exception(catch(lambda: raise_chain([("", ValueError, f"first {rest}")])))
    )

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
def test_any_lines_yield_a_bounded_chain_of_named_exceptions(lines: list[tuple[str, bool]]) -> None:
    reader = TracebackReader()
    for line, begins in lines:
        reader.line(line, begins=begins)

    assert len(reader.last) <= len(lines)
    assert all(one.kind and all(frame.line < 10**9 for frame in one.frames) for one in reader.last)


def test_exception_group_comes_before_its_parts() -> None:
    """Bars in an ordinary text stay."""
    try:
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
def test_class_names_are_read_without_module_or_function(kind: str) -> None:
    text = (
        f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n{kind}: by the partner'
    )

    assert [str(raised) for raised in read_traceback(text)] == [
        f"{kind.rpartition('.')[2]}: by the partner"
    ]
