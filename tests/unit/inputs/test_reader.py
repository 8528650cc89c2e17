"""Reading inputs one by one and collecting their errors."""

import pytest

from entrypoint.errors import InputError
from entrypoint.inputs import parsers as inputs
from entrypoint.inputs.reader import Reader


def test_input_with_more_than_blanks_is_given() -> None:
    reader = Reader({"token": "t0ken", "empty": "", "blank": " \n\t "})

    assert [reader.is_given(name) for name in ("token", "empty", "blank", "missing")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("text", ["7", " 7", "7\n", "\t7 "])
def test_value_is_parsed_without_surrounding_blanks(text: str) -> None:
    reader = Reader({"log_lines": text})

    assert reader.read("log_lines", inputs.whole_number(1, 9), 5) == 7
    assert reader.optional("log_lines", inputs.whole_number(1, 9)) == 7
    assert reader.required("log_lines", str, "5") == "7"
    assert reader.errors == []


@pytest.mark.parametrize("given_", [{}, {"log_lines": ""}, {"log_lines": "  "}])
def test_missing_input_is_its_default_or_none(given_: dict[str, str]) -> None:
    reader = Reader(given_)

    assert reader.read("log_lines", inputs.whole_number(1, 9), 5) == 5
    assert reader.optional("log_lines", inputs.whole_number(1, 9)) is None
    assert reader.errors == []


def test_missing_required_input_is_an_error_with_an_example() -> None:
    reader = Reader({"dag_id": " "})

    assert reader.required("dag_id", str, "nightly_sales") == ""
    assert reader.errors == [
        InputError("dag_id", "it is required, but empty.", "Write one like nightly_sales.")
    ]


def test_errors_are_collected_in_order_and_defaults_used() -> None:
    reader = Reader({"wait": "yes", "log_lines": "0", "timeout": "5"})

    assert reader.read("wait", inputs.boolean, True) is True
    assert reader.optional("log_lines", inputs.whole_number(1, 9)) is None
    assert reader.required("log_lines", lambda text: str(inputs.boolean(text)), "true") == ""
    assert reader.read("timeout", inputs.duration, 1.0) == 5.0
    reader.add_error("timeout", "it is odd.", "Write 6.")
    assert [error.name for error in reader.errors] == [
        "wait",
        "log_lines",
        "log_lines",
        "timeout",
    ]
    assert reader.errors[-1] == InputError("timeout", "it is odd.", "Write 6.")
    assert reader.errors[0] == InputError("wait", '"yes" is not a boolean.', "Write true or false.")


@pytest.mark.parametrize(
    ("given_", "names"),
    [({}, []), ({"a": "1", "b": "2"}, []), ({"a": "1"}, ["b"]), ({"a": " ", "b": "2"}, ["a"])],
)
def test_missing_half_of_a_pair_names_the_other_input(
    given_: dict[str, str], names: list[str]
) -> None:
    reader = Reader(given_)
    reader.pair("a", "b")

    assert [error.name for error in reader.errors] == names
    for error in reader.errors:
        assert error.problem == f"it is empty, but {'b' if error.name == 'a' else 'a'} is given."


def test_other_exceptions_of_a_parser_are_not_caught() -> None:
    with pytest.raises(ZeroDivisionError):
        Reader({"a": "1"}).read("a", lambda text: 1 // (int(text) - 1), 0)


def test_same_error_is_reported_once() -> None:
    reader = Reader({"a": "no number"})

    for _ in range(2):
        reader.optional("a", inputs.whole_number(1, 9))
    reader.add_error("a", "it is odd.", "Write 6.")

    assert len(reader.errors) == 2
