"""Inputs are read one after the other, and their mistakes collected."""

import pytest

from entrypoint.errors import InputError
from entrypoint.inputs import parsers as inputs
from entrypoint.inputs.reader import Reader


def test_given() -> None:
    """An input is given if there is more than blanks in it."""
    reader = Reader({"token": "t0ken", "empty": "", "blank": " \n\t "})

    assert [reader.given(name) for name in ("token", "empty", "blank", "missing")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("text", ["7", " 7", "7\n", "\t7 "])
def test_read(text: str) -> None:
    """A value is parsed without the blanks around it."""
    reader = Reader({"log_lines": text})

    assert reader.read("log_lines", inputs.whole_number(1, 9), 5) == 7
    assert reader.optional("log_lines", inputs.whole_number(1, 9)) == 7
    assert reader.required("log_lines", str, "5") == "7"
    assert reader.mistakes == []


@pytest.mark.parametrize("given_", [{}, {"log_lines": ""}, {"log_lines": "  "}])
def test_not_given(given_: dict[str, str]) -> None:
    """What is not given is its default, or nothing, and no mistake."""
    reader = Reader(given_)

    assert reader.read("log_lines", inputs.whole_number(1, 9), 5) == 5
    assert reader.optional("log_lines", inputs.whole_number(1, 9)) is None
    assert reader.mistakes == []


def test_required() -> None:
    """What is required and not given is a mistake, with an example."""
    reader = Reader({"dag_id": " "})

    assert reader.required("dag_id", str, "nightly_sales") == ""
    assert reader.mistakes == [
        InputError("dag_id", "it is required and empty.", "Write one like nightly_sales.")
    ]


def test_mistakes() -> None:
    """A mistake stops nothing: the default is taken, and all are there at the end, in their
    order.
    """
    reader = Reader({"wait": "yes", "log_lines": "0", "timeout": "5"})

    assert reader.read("wait", inputs.boolean, True) is True
    assert reader.optional("log_lines", inputs.whole_number(1, 9)) is None
    assert reader.required("log_lines", lambda text: str(inputs.boolean(text)), "true") == ""
    assert reader.read("timeout", inputs.duration, 1.0) == 5.0
    reader.wrong("timeout", "it is odd.", "Write 6.")
    assert [mistake.name for mistake in reader.mistakes] == [
        "wait",
        "log_lines",
        "log_lines",
        "timeout",
    ]
    assert reader.mistakes[-1] == InputError("timeout", "it is odd.", "Write 6.")
    assert reader.mistakes[0] == InputError(
        "wait", '"yes" is not a boolean.', "Write true or false."
    )


@pytest.mark.parametrize(
    ("given_", "names"),
    [({}, []), ({"a": "1", "b": "2"}, []), ({"a": "1"}, ["b"]), ({"a": " ", "b": "2"}, ["a"])],
)
def test_pair(given_: dict[str, str], names: list[str]) -> None:
    """Of two inputs that belong together, the one that is missing is a mistake which names the
    other.
    """
    reader = Reader(given_)
    reader.pair("a", "b")

    assert [mistake.name for mistake in reader.mistakes] == names
    for mistake in reader.mistakes:
        assert (
            mistake.problem == f"it is empty, but {'b' if mistake.name == 'a' else 'a'} is given."
        )


def test_another_fault() -> None:
    """Only what a parser refuses is a mistake in the inputs."""
    with pytest.raises(ZeroDivisionError):
        Reader({"a": "1"}).read("a", lambda text: 1 // (int(text) - 1), 0)


def test_a_mistake_that_is_found_twice() -> None:
    """The same mistake is told once, by however many ways it is found; another one about the same
    input is told too.
    """
    reader = Reader({"a": "no number"})

    for _ in range(2):
        reader.optional("a", inputs.whole_number(1, 9))
    reader.wrong("a", "it is odd.", "Write 6.")

    assert len(reader.mistakes) == 2
