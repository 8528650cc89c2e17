"""The XComs that were asked for: what Airflow holds → what is handed on, and what is an error."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.diagnostics.optional import Feature
from entrypoint.diagnostics.xcoms import MAX_OUTPUT_CHARS, read_xcoms
from entrypoint.errors import (
    ActionError,
    Forbidden,
    NotFound,
    NotSupported,
    ResponseTooLarge,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.models import DagRun, TaskInstance, XComName
from tests.support.factories import a_run, a_task
from tests.support.scripted import Bench, Script

DOWN, PAGE = TransientError("down", "", ""), UnexpectedResponse("page", "", "")
MAPPED = tuple(a_task("wide", map_index=index) for index in (2, 0, 10, 1))
TASKS = (a_task("extract"), a_task("load"), *MAPPED)


@dataclass
class Holding:
    """An Airflow of which only XComs matter: by task, map index and key. A script is played, an
    exception raised.
    """

    values: dict[tuple[str, int, str], Any]
    asked: list[tuple[str, int, str]] = field(default_factory=list)
    limits: set[int] = field(default_factory=set)

    def xcom(self, _run: DagRun, task_id: str, map_index: int, key: str, limit: int) -> Any:
        """Show the value."""
        self.asked.append((task_id, map_index, key))
        self.limits.add(limit)
        value = self.values.get(
            (task_id, map_index, key), NotFound("no", "XCom entry not found", "")
        )
        if isinstance(value, Script):
            return value()
        if isinstance(value, Exception):
            raise value
        return value


def named(*lines: str) -> tuple[XComName, ...]:
    """What the lines of the input mean."""
    return tuple(
        XComName(line, line.partition(":")[0], line.partition(":")[2] or "return_value")
        for line in lines
    )


def xcoms(
    airflow: Holding,
    *lines: str,
    tasks: tuple[TaskInstance, ...] | None = TASKS,
    bench: Bench | None = None,
) -> dict[str, Any]:
    """Read them, with ten minutes' retrier."""
    bench, holding = bench or Bench(), cast("Any", airflow)
    return read_xcoms(
        holding, a_run(), named(*lines), tasks, bench.retrier, until=bench.time.now + 600
    )


def refused(
    airflow: Holding, *lines: str, tasks: tuple[TaskInstance, ...] | None = TASKS
) -> ActionError:
    """The error, which says what happened and what to do about it."""
    with pytest.raises(ActionError) as caught:
        xcoms(airflow, *lines, tasks=tasks)
    assert caught.value.title
    assert caught.value.hint
    return caught.value


RESULT = {"rows": 42, "region": "ü☃", "parts": [1, 2.5, None, True, {}]}


def test_values_by_the_lines_of_the_input() -> None:
    """Each line gets its task's value as it is, in the order of the lines."""
    airflow = Holding(
        {
            ("extract", -1, "return_value"): RESULT,
            ("extract", -1, "rows"): 42,
            ("load", -1, "a:b"): None,
        }
    )
    found = xcoms(airflow, "load:a:b", "extract", "extract:rows")

    assert list(found.items()) == [("load:a:b", None), ("extract", RESULT), ("extract:rows", 42)]


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, 1e300, "\ud800", [[]]])
def test_values_that_are_almost_nothing(value: Any) -> None:
    """A value that is empty or false is a value."""
    assert xcoms(Holding({("load", -1, "return_value"): value}), "load") == {"load": value}


def test_a_mapped_task_is_a_list() -> None:
    """The values of a mapped task come in the order of its map indexes, whatever the order of its
    instances.
    """
    airflow = Holding({("wide", index, "return_value"): f"v{index}" for index in (0, 1, 2, 10)})

    assert xcoms(airflow, "wide") == {"wide": ["v0", "v1", "v2", "v10"]}


def test_a_task_that_is_mapped_once_is_a_list_as_well() -> None:
    """Whether a value is a list depends on the DAG, not on how many instances there happen to
    be.
    """
    airflow = Holding({("once", 0, "return_value"): "v"})

    assert xcoms(airflow, "once", tasks=(a_task("once", map_index=0),)) == {"once": ["v"]}


def test_without_the_task_instances_no_task_is_mapped() -> None:
    """Where task instances may not be read the value itself is asked for."""
    airflow = Holding({("load", -1, "return_value"): 1})

    assert xcoms(airflow, "load", tasks=None) == {"load": 1}
    assert "wide:rows" in refused(airflow, "wide:rows", tasks=None).detail
    assert airflow.asked == [("load", -1, "return_value"), ("wide", -1, "rows")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("load", ("load", "return_value")),
        ("load:rows", ("load:rows", "rows")),
        ("wide:rows", ("wide[0]", "rows")),
        ("lod", ("no task lod", "extract")),
        ("lod:rows", ("lod:rows", "no task lod")),
    ],
)
def test_an_xcom_that_is_not_there(line: str, said: tuple[str, ...]) -> None:
    """A missing value never passes for an empty one: the error names the line, the task instance
    and the key.
    """
    error = refused(Holding({("extract", -1, "return_value"): 1}), "extract", line)

    assert isinstance(error, NotFound)
    assert [part for part in said if part not in error.detail] == []


def test_one_missing_value_of_a_mapped_task_is_missing() -> None:
    """A list with a hole would be read wrongly: the instance without a value is named."""
    airflow = Holding({("wide", index, "return_value"): index for index in (0, 1, 10)})

    assert "wide[2]" in refused(airflow, "wide").detail


def test_a_mistyped_task_costs_no_request() -> None:
    """A task that the run does not have is known without asking, and of many tasks a few are
    named.
    """
    airflow = Holding({})
    error = refused(airflow, "lod", tasks=tuple(a_task(f"t{number:03}") for number in range(500)))

    assert isinstance(refused(airflow, "load", tasks=()), NotFound)
    assert airflow.asked == []
    assert "t000" in error.detail
    assert "t499" not in error.detail


def test_a_missing_permission_is_named() -> None:
    """Who may not read XComs learns which permission that takes."""
    error = refused(
        Holding({("load", -1, "return_value"): Forbidden("no", "GET /x answered 403", "")}), "load"
    )

    assert isinstance(error, Forbidden)
    assert error.hint == Feature.XCOM.permission


@pytest.mark.parametrize(
    "error", [NotSupported("old", "", "upgrade"), Unauthorized("refused", "", "check")]
)
def test_other_errors_are_told_as_they_are(error: ActionError) -> None:
    """An Airflow that is too old and a refused credential speak for themselves."""
    assert refused(Holding({("load", -1, "return_value"): error}), "load") is error


def test_failures_that_pass_are_ridden_out() -> None:
    """A web server that fails for a while costs time and no value."""
    bench = Bench()
    airflow = Holding({("load", -1, "return_value"): Script([DOWN, PAGE, 42])})

    assert xcoms(airflow, "load", bench=bench) == {"load": 42}
    assert (len(airflow.asked), len(bench.time.slept)) == (3, 2)


@pytest.mark.parametrize("fault", [DOWN, PAGE])
def test_an_airflow_that_stays_away_is_an_error(fault: ActionError) -> None:
    """After the time for it the failure itself is the error, and no value is made up."""
    bench = Bench()
    with pytest.raises(type(fault)):
        xcoms(Holding({("load", -1, "return_value"): fault}), "load", bench=bench)
    assert bench.time.now == 1600


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, [-float("inf")]])
def test_a_value_that_is_no_json(value: Any) -> None:
    """A number that JSON does not have would break whoever reads the output: it is refused by the
    line.
    """
    error = refused(Holding({("load", -1, "return_value"): value}), "load")

    assert isinstance(error, NotFound)
    assert "load" in error.detail
    assert "NaN" in error.detail


def sized(length: int) -> str:
    """A value with which the output of one line `load` has so many characters."""
    return "x" * (length - len(json.dumps({"load": ""})))


def test_the_largest_output() -> None:
    """An output just as large as allowed is there; one character more is refused, with the
    limit.
    """
    assert xcoms(Holding({("load", -1, "return_value"): sized(MAX_OUTPUT_CHARS)}), "load")
    error = refused(Holding({("load", -1, "return_value"): sized(MAX_OUTPUT_CHARS + 1)}), "load")

    assert isinstance(error, ResponseTooLarge)
    assert "load" in error.detail
    assert str(MAX_OUTPUT_CHARS) in error.detail


def test_values_that_are_too_large_together() -> None:
    """Not each value counts but all of them, and the line is named with which it became too
    much.
    """
    half = "x" * (MAX_OUTPUT_CHARS // 2)
    airflow = Holding({("extract", -1, "return_value"): half, ("load", -1, "return_value"): half})

    assert refused(airflow, "extract", "load").detail.startswith("load:")


def test_an_answer_that_is_too_large_to_be_read() -> None:
    """A value of which only the beginning was read is an error like any other that is too large."""
    airflow = Holding({("load", -1, "return_value"): ResponseTooLarge("", "", "")})
    error = refused(airflow, "load")

    assert isinstance(error, ResponseTooLarge)
    assert str(MAX_OUTPUT_CHARS) in error.detail
    (limit,) = airflow.limits
    assert MAX_OUTPUT_CHARS < limit < 100_000_000


def test_very_many_mapped_instances() -> None:
    """A task that is mapped to thousands is refused before a single request, with their number."""
    airflow = Holding({})
    error = refused(
        airflow, "wide", tasks=tuple(a_task("wide", map_index=index) for index in range(5000))
    )

    assert isinstance(error, ResponseTooLarge)
    assert "5000" in error.detail
    assert airflow.asked == []


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_any_value(value: Any) -> None:
    """Whatever JSON a task returns, it is handed on unchanged."""
    assert xcoms(Holding({("load", -1, "return_value"): {"is": value}}), "load") == {
        "load": {"is": value}
    }
