"""Reading the requested XComs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.diagnostics.xcoms import MAX_OUTPUT_CHARS, read_xcoms
from entrypoint.errors import (
    ActionError,
    Forbidden,
    InvalidJson,
    NotFound,
    NotSupported,
    ResponseTooLarge,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.models import Coordinates, DagRun, TaskInstance, XComName
from entrypoint.permissions import Feature
from tests.support.factories import START, a_run, a_task
from tests.support.scripted import Harness, ScriptedCall

DOWN, PAGE = TransientError("down", "", ""), UnexpectedResponse("page", "", "")
ENDED = a_run(state="success", start_date=START)
MAPPED = tuple(a_task("wide", map_index=index) for index in (2, 0, 10, 1))
TASKS = (a_task("extract"), a_task("load"), *MAPPED)


@dataclass
class AirflowWithXComs:
    """An Airflow with XComs by task, map index and key; exceptions are raised."""

    values: dict[tuple[str, int, str], Any]
    requests_sent: list[tuple[str, int, str]] = field(default_factory=list)
    limits: set[int] = field(default_factory=set)

    mapped: tuple[str, ...] = ()
    since: list[Any] = field(default_factory=list)

    def is_mapped(self, _run: DagRun, task_id: str) -> bool:
        return task_id in self.mapped

    def xcom(
        self, _run: DagRun, task_id: str, at: Coordinates, key: str, limit: int, *, since: Any
    ) -> Any:
        self.since.append(since)
        # In a loop the region index stands for the place.
        map_index = at.region_index if at.region_id else at.map_index
        self.requests_sent.append((task_id, map_index, key))
        self.limits.add(limit)
        value = self.values.get(
            (task_id, map_index, key), NotFound("no", "XCom entry not found", "")
        )
        if isinstance(value, ScriptedCall):
            return value()
        if isinstance(value, Exception):
            raise value
        return value


def parse_lines(*lines: str) -> tuple[XComName, ...]:
    return tuple(
        XComName(line, line.partition(":")[0], line.partition(":")[2] or "return_value")
        for line in lines
    )


def read_values(
    airflow: AirflowWithXComs,
    *lines: str,
    tasks: tuple[TaskInstance, ...] | None = TASKS,
    harness: Harness | None = None,
    run: DagRun = ENDED,
) -> dict[str, Any]:
    harness, holding = harness or Harness(), cast("Any", airflow)
    return read_xcoms(
        holding,
        run,
        parse_lines(*lines),
        tasks,
        harness.retrier.within(harness.deadline(600)),
    )


def expect_refusal(
    airflow: AirflowWithXComs, *lines: str, tasks: tuple[TaskInstance, ...] | None = TASKS
) -> ActionError:
    """Return the error of the read, which must have a detail and a hint."""
    with pytest.raises(ActionError) as caught:
        read_values(airflow, *lines, tasks=tasks)
    assert caught.value.title
    assert caught.value.hint
    return caught.value


RESULT = {"rows": 42, "region": "ü☃", "parts": [1, 2.5, None, True, {}]}


def test_each_input_line_gets_its_value_in_order() -> None:
    airflow = AirflowWithXComs(
        {
            ("extract", -1, "return_value"): RESULT,
            ("extract", -1, "rows"): 42,
            ("load", -1, "a:b"): None,
        }
    )
    found = read_values(airflow, "load:a:b", "extract", "extract:rows")

    assert list(found.items()) == [("load:a:b", None), ("extract", RESULT), ("extract:rows", 42)]


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, 1e300, "\ud800", [[]]])
def test_empty_and_false_values_are_values(value: Any) -> None:
    assert read_values(AirflowWithXComs({("load", -1, "return_value"): value}), "load") == {
        "load": value
    }


def test_mapped_task_gives_a_list_in_order_of_map_index() -> None:
    airflow = AirflowWithXComs(
        {("wide", index, "return_value"): f"v{index}" for index in (0, 1, 2, 10)}
    )

    assert read_values(airflow, "wide") == {"wide": ["v0", "v1", "v2", "v10"]}


def test_task_with_one_mapped_instance_gives_a_list() -> None:
    airflow = AirflowWithXComs({("once", 0, "return_value"): "v"})

    assert read_values(airflow, "once", tasks=(a_task("once", map_index=0),)) == {"once": ["v"]}


def test_value_is_requested_unmapped_if_tasks_cannot_be_read() -> None:
    airflow = AirflowWithXComs({("load", -1, "return_value"): 1})

    assert read_values(airflow, "load", tasks=None) == {"load": 1}
    assert "wide:rows" in expect_refusal(airflow, "wide:rows", tasks=None).detail
    assert airflow.requests_sent == [("load", -1, "return_value"), ("wide", -1, "rows")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load", ("load", "return_value")),
        ("load:rows", ("load:rows", "rows")),
        ("wide:rows", ("wide[0]", "rows")),
        ("lod", ("no task lod", "extract")),
        ("lod:rows", ("lod:rows", "no task lod")),
    ],
)
def test_missing_xcom_is_an_error_with_line_task_and_key(
    line: str, message: tuple[str, ...]
) -> None:
    error = expect_refusal(AirflowWithXComs({("extract", -1, "return_value"): 1}), "extract", line)

    assert isinstance(error, NotFound)
    assert [part for part in message if part not in error.detail] == []


def test_missing_value_of_one_mapped_instance_is_an_error() -> None:
    airflow = AirflowWithXComs({("wide", index, "return_value"): index for index in (0, 1, 10)})

    assert "wide[2]" in expect_refusal(airflow, "wide").detail


@pytest.mark.parametrize("state", ["skipped", "upstream_failed", "removed", None, "queued"])
def test_task_that_did_not_run_has_the_value_null(state: str | None) -> None:
    """A request is sent only for a skipped task, which may have run before it skipped itself."""
    airflow = AirflowWithXComs({})
    tasks = (a_task("load", state=state), *MAPPED[1:2], a_task("wide", map_index=1, state=state))
    airflow.values["wide", 0, "return_value"] = "v0"

    assert read_values(airflow, "load", "wide", tasks=tasks) == {
        "load": None,
        "wide": ["v0"] if state == "removed" else ["v0", None],
    }
    assert len(airflow.requests_sent) == (3 if state == "skipped" else 1)


def test_skipped_task_may_have_pushed_an_xcom_in_this_attempt_of_the_run() -> None:
    airflow = AirflowWithXComs({("load", -1, "why"): "no sales", ("extract", -1, "rows"): 1})
    tasks = (a_task("load", state="skipped"), a_task("extract"))

    assert read_values(airflow, "load:why", "extract:rows", tasks=tasks) == {
        "load:why": "no sales",
        "extract:rows": 1,
    }
    assert airflow.since == [START, None]


@pytest.mark.parametrize(
    ("state", "mapped", "value"),
    [("skipped", True, []), ("skipped", False, None), ("upstream_failed", True, None)],
)
def test_task_that_is_mapped_over_nothing_has_no_values(
    state: str, mapped: bool, value: Any
) -> None:
    airflow = AirflowWithXComs({}, mapped=("each",) if mapped else ())

    assert read_values(airflow, "each", tasks=(a_task("each", state=state),)) == {"each": value}


@pytest.mark.parametrize("state", ["success", "failed", "running", "up_for_retry", "deferred"])
def test_task_that_ran_and_left_no_such_key_is_an_error(state: str) -> None:
    error = expect_refusal(AirflowWithXComs({}), "load", tasks=(a_task("load", state=state),))
    assert isinstance(error, NotFound)


@pytest.mark.parametrize("state", [None, "scheduled", "queued"])
def test_task_that_has_yet_to_run_is_an_error(state: str | None) -> None:
    """The run goes on after the required tasks have decided."""
    with pytest.raises(NotFound):
        read_values(
            AirflowWithXComs({}),
            "load",
            tasks=(a_task("load", state=state),),
            run=a_run(state="running"),
        )


def test_unknown_task_is_an_error_without_a_request() -> None:
    airflow = AirflowWithXComs({})
    error = expect_refusal(
        airflow, "lod", tasks=tuple(a_task(f"t{number:03}") for number in range(500))
    )

    assert isinstance(expect_refusal(airflow, "load", tasks=()), NotFound)
    assert airflow.requests_sent == []
    assert "t000" in error.detail
    assert "t499" not in error.detail


def test_missing_xcom_permission_is_named() -> None:
    error = expect_refusal(
        AirflowWithXComs(
            {("load", -1, "return_value"): Forbidden("no", "GET /x answered 403", "")}
        ),
        "load",
    )

    assert isinstance(error, Forbidden)
    assert error.hint == Feature.XCOM.permission


@pytest.mark.parametrize(
    "error", [NotSupported("old", "", "upgrade"), Unauthorized("refused", "", "check")]
)
def test_other_errors_are_raised_unchanged(error: ActionError) -> None:
    assert expect_refusal(AirflowWithXComs({("load", -1, "return_value"): error}), "load") is error


def test_transient_errors_are_retried() -> None:
    harness = Harness()
    airflow = AirflowWithXComs({("load", -1, "return_value"): ScriptedCall([DOWN, PAGE, 42])})

    assert read_values(airflow, "load", harness=harness) == {"load": 42}
    assert (len(airflow.requests_sent), len(harness.time.slept)) == (3, 2)


@pytest.mark.parametrize("fault", [DOWN, PAGE])
def test_lasting_failure_is_raised_after_the_deadline(fault: ActionError) -> None:
    harness = Harness()
    with pytest.raises(type(fault)):
        read_values(
            AirflowWithXComs({("load", -1, "return_value"): fault}), "load", harness=harness
        )
    assert harness.time.now == 1600


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, [-float("inf")]])
def test_value_outside_json_is_refused_by_its_line(value: Any) -> None:
    error = expect_refusal(AirflowWithXComs({("load", -1, "return_value"): value}), "load")

    assert isinstance(error, InvalidJson)
    assert "load" in error.detail
    assert "NaN" in error.detail


def value_of_size(length: int) -> str:
    """Return a value that makes the output of the line `load` this many characters long."""
    return "x" * (length - len(json.dumps({"load": ""})))


def test_output_of_the_maximum_size_is_accepted_and_one_more_character_refused() -> None:
    assert read_values(
        AirflowWithXComs({("load", -1, "return_value"): value_of_size(MAX_OUTPUT_CHARS)}), "load"
    )
    error = expect_refusal(
        AirflowWithXComs({("load", -1, "return_value"): value_of_size(MAX_OUTPUT_CHARS + 1)}),
        "load",
    )

    assert isinstance(error, ResponseTooLarge)
    assert "load" in error.detail
    assert str(MAX_OUTPUT_CHARS) in error.detail


def test_size_limit_counts_all_values_and_names_the_first_line_above_it() -> None:
    half = "x" * (MAX_OUTPUT_CHARS // 2)
    airflow = AirflowWithXComs(
        {("extract", -1, "return_value"): half, ("load", -1, "return_value"): half}
    )

    assert expect_refusal(airflow, "extract", "load").detail.startswith("load:")


def test_response_above_the_read_limit_is_too_large() -> None:
    airflow = AirflowWithXComs({("load", -1, "return_value"): ResponseTooLarge("", "", "")})
    error = expect_refusal(airflow, "load")

    assert isinstance(error, ResponseTooLarge)
    assert str(MAX_OUTPUT_CHARS) in error.detail
    (limit,) = airflow.limits
    assert MAX_OUTPUT_CHARS < limit < 100_000_000


def test_too_many_mapped_instances_are_refused_without_a_request() -> None:
    airflow = AirflowWithXComs({})
    error = expect_refusal(
        airflow, "wide", tasks=tuple(a_task("wide", map_index=index) for index in range(5000))
    )

    assert isinstance(error, ResponseTooLarge)
    assert "5000" in error.detail
    assert airflow.requests_sent == []


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
def test_any_json_value_is_returned_unchanged(value: Any) -> None:
    assert read_values(AirflowWithXComs({("load", -1, "return_value"): {"is": value}}), "load") == {
        "load": {"is": value}
    }


def iteration(number: int, task_id: str = "improve", **more: Any) -> TaskInstance:
    return a_task(task_id, region_id="loop", region_index=number, iteration=number)._replace(**more)


def test_task_in_a_loop_gives_a_list_in_order_of_iteration() -> None:
    airflow = AirflowWithXComs({("improve", n, "return_value"): n * 10 for n in range(3)})
    tasks = (iteration(2), iteration(0), iteration(1), a_task("load"))

    assert read_values(airflow, "improve", tasks=tasks) == {"improve": [0, 10, 20]}
    assert read_values(airflow, "improve", tasks=tasks[1:2]) == {"improve": [0]}


def test_mapped_task_in_a_loop_gives_a_list_of_lists() -> None:
    """An iteration in which it was not expanded has only a placeholder, and did not run."""
    airflow = AirflowWithXComs({("check", n, "return_value"): f"x{n}" for n in range(2)})
    tasks = [
        iteration(number, "check", map_index=index, region_id=f"r{number}", region_index=index)
        for number in (1, 0)
        for index in (1, 0)
    ]
    for state, value in (("upstream_failed", None), ("skipped", [])):
        placeholder = iteration(2, "check", region_index=-1, state=state)
        values = read_values(airflow, "check", tasks=(*tasks, placeholder))
        assert values == {"check": [["x0", "x1"], ["x0", "x1"], value]}


def test_missing_xcom_of_an_iteration_is_named_with_it() -> None:
    with pytest.raises(NotFound, match=r"improve \(iteration 1\) has no XCom"):
        read_values(
            AirflowWithXComs({("improve", 0, "return_value"): 1}),
            "improve",
            tasks=(iteration(0), iteration(1)),
        )
