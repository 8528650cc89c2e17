"""Task instances in loops of Airflow 3.4 (docs/notes/airflow-versions.md#loops)."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v2 import V2
from entrypoint.errors import Conflict, NotFound, RunNotFound
from entrypoint.models import Coordinates, TaskInstance
from tests.support.factories import a_run, a_task
from tests.unit import script
from tests.unit.script import http_response

BASE = "https://airflow.example.com"
LOOP, CHECKS = "01a2-loop", "01a2-check-1"


def in_loop(task_id: str, iteration: int, **more: Any) -> dict[str, Any]:
    """Return the JSON of a task instance in an iteration."""
    found = {
        "id": f"{task_id}-{iteration}",
        "task_id": task_id,
        "map_index": -1,
        "region_id": LOOP,
        "region_index": iteration,
        "in_loop": True,
        "loop_iteration": {"loop_id": "refine", "iteration": iteration},
        "state": "success",
        "try_number": 1,
    }
    return found | more


ITERATIONS = [
    in_loop("improve", 0),
    in_loop("improve", 1, state="failed"),
    in_loop("check", 1, map_index=0, region_id=CHECKS, region_index=0, id="check-1-0"),
    in_loop("check", 1, map_index=1, region_id=CHECKS, region_index=1, id="check-1-1"),
]
PLAIN = {"id": "p", "task_id": "publish", "map_index": -1, "in_loop": False, "loop_iteration": None}


def client(*answers: Any) -> tuple[V2, script.ScriptedAdapter]:
    made = (one if isinstance(one, bytes) else http_response(200, one) for one in answers)
    end = script.ScriptedAdapter(*made)
    return V2(Transport(BASE, end.client()), "3.4.0b2"), end


def listed(*items: dict[str, Any]) -> dict[str, Any]:
    return {"task_instances": list(items), "total_entries": len(items)}


def read(*items: dict[str, Any]) -> tuple[TaskInstance, ...]:
    return client(listed(*items))[0].task_instances("nightly_sales", "r1").instances


def asked(end: script.ScriptedAdapter, number: int = -1) -> tuple[str, dict[str, str]]:
    address = urlsplit(str(end.sent[number].url))
    return address.path, dict(parse_qsl(address.query))


def test_no_iteration_hides_another_one() -> None:
    """Their task id and map index are the same."""
    found = read(*ITERATIONS, PLAIN)

    assert [task.name for task in found] == [
        "improve (iteration 0)",
        "improve (iteration 1)",
        "check[0] (iteration 1)",
        "check[1] (iteration 1)",
        "publish",
    ]
    assert len({task.key for task in found}) == 5
    assert found[-1].coordinates == Coordinates()


@pytest.mark.parametrize(
    ("item", "coordinates"),
    [
        (ITERATIONS[1], {"region_id": LOOP, "region_index": "1"}),
        (ITERATIONS[3], {"region_id": CHECKS, "region_index": "1"}),
        (PLAIN, {}),
        (PLAIN | {"map_index": 2}, {"map_index": "2"}),
    ],
    ids=["in a loop", "mapped in a loop", "plain", "mapped"],
)
def test_log_and_xcom_are_requested_by_the_coordinates(
    item: dict[str, Any], coordinates: dict[str, str]
) -> None:
    (task,) = read(item)
    airflow, end = client(http_response(200, b"", "application/x-ndjson"), {"value": 7})

    airflow.log(a_run(), task, 10)
    value = airflow.xcom(a_run(), task.task_id, task.coordinates, "return_value", 1000)

    assert value == 7
    assert [asked(end, number)[1] for number in (0, 1)] == [coordinates, coordinates]


@pytest.mark.parametrize(
    ("written", "is_found"),
    [
        ("2026-11-20T09:00:00Z", True),
        ("2026-11-20T08:59:59.999999+00:00", False),
        (None, True),
    ],
)
def test_xcom_of_an_earlier_attempt_does_not_count(written: str | None, is_found: bool) -> None:
    began = datetime(2026, 11, 20, 9, tzinfo=UTC)
    for since, found in ((began, is_found), (None, True)):
        airflow, _ = client({"value": 7, "timestamp": written})
        with nullcontext() if found else pytest.raises(NotFound):
            assert airflow.xcom(a_run(), "load", Coordinates(), "k", 1000, since=since) == 7


@pytest.mark.parametrize(
    ("item", "path", "query"),
    [
        (ITERATIONS[3], "check/dependencies", {"region_id": CHECKS, "region_index": "1"}),
        (PLAIN | {"map_index": 2}, "publish/2/dependencies", {}),
        (PLAIN, "publish/dependencies", {}),
    ],
)
def test_dependencies_are_requested_by_the_coordinates(
    item: dict[str, Any], path: str, query: dict[str, str]
) -> None:
    (task,) = read(item)
    airflow, end = client({"dependencies": []})
    airflow.unmet_dependencies(a_run(), task)

    assert asked(end) == (f"/api/v2/dags/nightly_sales/dagRuns/r1/taskInstances/{path}", query)


def test_the_link_leads_to_the_iteration() -> None:
    pages = [task.url.rpartition("/tasks/")[2] for task in read(*ITERATIONS[1:3], PLAIN)]

    assert pages == [
        f"improve?region_id={LOOP}&region_index=1",
        f"check/mapped/0?region_id={CHECKS}&region_index=0",
        "publish",
    ]


def test_a_question_of_an_iteration_has_its_link() -> None:
    airflow, _ = client({"hitl_details": [{"subject": "Go on?", "task_instance": ITERATIONS[1]}]})
    (question,) = airflow.hitl_requests(a_run())

    page = "/tasks/improve/required_actions?region_id=01a2-loop&region_index=1"
    assert question.url.endswith(page)


def test_a_resume_clears_just_these_iterations() -> None:
    """And the setup and teardown tasks, which Airflow adds only to a clear by task ids."""
    setup = {**PLAIN, "id": "setup-id", "task_id": "set_up"}
    inner = in_loop("inner_set_up", 1)
    others = (in_loop("improve", 0), in_loop("inner_set_up", 0), in_loop("improve", 1))
    airflow, end = client(listed(setup, inner, *others), listed())
    tasks = read(ITERATIONS[1], PLAIN | {"state": "upstream_failed"})

    airflow.clear("nightly_sales", "r1", tasks, latest=False)

    dry, clear = (json.loads(one.request.body or b"") for one in end.sent)
    common = {"dag_run_id": "r1", "only_failed": False, "reset_dag_runs": True}
    assert dry == {**common, "dry_run": True, "task_ids": ["improve", "publish"]}
    assert clear == {
        **common,
        "dry_run": False,
        "task_instance_ids": ["improve-1", "inner_set_up-1", "p", "setup-id"],
    }


def test_without_loops_a_resume_names_tasks() -> None:
    airflow, end = client(listed())
    tasks = (a_task("load"), a_task("copy", map_index=3))
    airflow.clear("nightly_sales", "r1", tasks, latest=False)

    assert json.loads(end.sent[0].request.body or b"")["task_ids"] == ["load", ["copy", 3]]


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (404, "Selected task execution is not current in this DAG run", RunNotFound),
        (409, "Selected task execution changed before clearing", Conflict),
    ],
)
def test_a_refused_clear_is_an_error_with_airflows_words(
    status: int, words: str, error: type[Exception]
) -> None:
    airflow, _ = client(http_response(status, {"detail": words}))

    with pytest.raises(error, match=words):
        airflow.clear("nightly_sales", "r1", (a_task("load"),), latest=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"region_id": 7},
        {"region_index": "1"},
        {"loop_iteration": 1},
        {"loop_iteration": {"iteration": "1"}},
        {"state_reason": {}},
        {"id": 5},
    ],
    ids=str,
)
def test_coordinates_of_another_shape_are_unexpected(wrong: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="no usable"):
        read(in_loop("improve", 0) | wrong)


def test_the_reason_of_a_retry_policy_is_read() -> None:
    (task,) = read(PLAIN | {"state_reason": "the key expired"})

    assert task.state_reason == "the key expired"
