"""The API of Airflow 3.3.2, of the real one and the scripted one."""

from __future__ import annotations

import json
import time

import pytest

from tests.contract.api import Api, Server, new_id, reason
from tests.contract.conftest import THREE
from tests.contract.shapes import INSTANCE_3, RUN_3, VERSION_3, assert_shape

pytestmark = pytest.mark.parametrize("server", THREE, indirect=True, scope="session")

JSON = "application/json"


def test_a_409_is_the_same_for_a_run_id_and_a_logical_date(admin: Api) -> None:
    run_id, date = (
        new_id(),
        f"{1900 + time.time_ns() % 100}-01-01T00:00:00.{time.time_ns() % 1000000:06}Z",
    )
    assert admin.trigger("quick_success", dag_run_id=run_id, logical_date=date).status_code == 200
    same_id = admin.trigger("quick_success", dag_run_id=run_id)
    same_date = admin.trigger("quick_success", dag_run_id=new_id(), logical_date=date)
    assert (same_id.status_code, same_date.status_code) == (409, 409)
    for answer in (same_id, same_date):
        assert_shape(
            answer.json()["detail"],
            dict.fromkeys(("reason", "statement", "orig_error", "message"), str),
        )
        assert answer.json()["detail"]["reason"] == "Unique constraint violation"
        assert "already exists" not in answer.text


def test_a_run_with_a_null_logical_date_has_no_data_interval(admin: Api) -> None:
    """It has a DAG version."""
    run = admin.trigger("quick_success").json()
    assert (run["logical_date"], run["data_interval_start"], run["data_interval_end"]) == (
        None,
        None,
        None,
    )
    assert (run["triggered_by"], run["triggering_user_name"]) == ("rest_api", "admin")
    assert_shape(run["dag_versions"][0], VERSION_3)


@pytest.mark.parametrize(
    ("run_id", "message"),
    [
        ("a/b", "The run_id provided 'a/b' does not match regex pattern '^[A-Za-z0-9_.~:+-]+$'"),
        ("a b", "does not match regex pattern"),
        ("ä", "does not match regex pattern"),
        ("a..b", "The run_id 'a..b' must not contain '..' to prevent path traversal"),
    ],
)
def test_a_bad_run_id_is_a_400_that_names_the_rule(admin: Api, run_id: str, message: str) -> None:
    answer = admin.trigger("quick_success", dag_run_id=run_id)
    assert answer.status_code == 400
    assert message in reason(answer)


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        ({}, "missing", ["body", "logical_date"]),
        ({"logical_date": None, "state": "queued"}, "extra_forbidden", ["body", "state"]),
        ({"logical_date": "2025-01-01T00:00:00"}, "timezone_aware", ["body", "logical_date"]),
        (
            {"logical_date": None, "run_after": "x"},
            "datetime_from_date_parsing",
            ["body", "run_after"],
        ),
        ({"logical_date": None, "conf": [1]}, "dict_type", ["body", "conf"]),
        ({"logical_date": None, "dag_run_id": 5}, "string_type", ["body", "dag_run_id"]),
        (
            {"logical_date": None, "data_interval_start": "2025-01-01T00:00:00Z"},
            "value_error",
            ["body"],
        ),
        ([], "model_attributes_type", ["body"]),
    ],
)
def test_an_invalid_trigger_body_is_a_422_with_a_list_of_errors(
    admin: Api, body: object, kind: str, where: list[str]
) -> None:
    answer = admin.post("/dags/quick_success/dagRuns", body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert {"type", "loc", "msg", "input"} <= set(problem)
    assert (problem["type"], problem["loc"]) == (kind, where)


def test_a_partition_key_for_an_unpartitioned_dag_is_a_400(admin: Api) -> None:
    answer = admin.trigger("quick_success", partition_key="2025")
    message = "Dag 'quick_success' is not a partitioned Dag and does not accept a partition_key."
    assert (answer.status_code, reason(answer)) == (400, message)


def test_the_task_instances_of_an_unknown_run_are_a_404(admin: Api) -> None:
    answer = admin.get("/dags/quick_success/dagRuns/nope/taskInstances")
    message = "DagRun with dag_id: `quick_success` and run_id: `nope` was not found"
    assert (answer.status_code, reason(answer)) == (404, message)


def test_a_limit_of_0_counts_task_instances(admin: Api, success: str) -> None:
    """An unknown state is a 422."""
    tasks = f"/dags/quick_success/dagRuns/{success}/taskInstances"
    counted = admin.get(tasks, limit=0).json()
    assert (counted["task_instances"], counted["total_entries"]) == ([], 1)
    assert admin.get(tasks, state="bogus").status_code == 422
    assert admin.get(tasks, order_by="bogus").status_code == 400


def test_wait_streams_a_line_per_poll_and_ends_with_the_results(admin: Api) -> None:
    """The response has no content type."""
    run_id = new_id()
    assert admin.trigger("quick_success", dag_run_id=run_id).status_code == 200
    answer = admin.get(f"/dags/quick_success/dagRuns/{run_id}/wait", interval=0.2, result="succeed")
    assert answer.status_code == 200
    assert "Content-Type" not in answer.headers
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["state"] for line in lines] == sorted(line["state"] for line in lines)
    assert {line["state"] for line in lines} <= {"queued", "running"}
    assert last == {"state": "success", "results": {"succeed": "done"}}


def test_wait_for_an_unknown_run_is_a_404_and_without_an_interval_a_422(
    admin: Api, success: str
) -> None:
    assert admin.get("/dags/quick_success/dagRuns/nope/wait", interval=1).status_code == 404
    wait = f"/dags/quick_success/dagRuns/{success}/wait"
    assert (admin.get(wait).status_code, admin.get(wait, interval=0).status_code) == (422, 422)


def test_a_clear_of_the_failed_tasks_of_a_success_changes_nothing(admin: Api, success: str) -> None:
    answer = admin.clear_failed("quick_success", success)
    assert (answer.status_code, answer.json()["state"]) == (200, "success")
    assert_shape(answer.json(), RUN_3)


def test_a_dry_run_of_a_clear_lists_whole_task_instances(admin: Api, failure: str) -> None:
    answer = admin.post(f"/dags/quick_failure/dagRuns/{failure}/clear", {"only_failed": True})
    assert_shape(answer.json(), {"task_instances": list, "total_entries": int})
    assert_shape(answer.json()["task_instances"][0], INSTANCE_3)


def test_clear_task_instances_resets_the_run_by_default(admin: Api) -> None:
    """It lists whole task instances."""
    run_id = admin.ended("quick_failure")
    answer = admin.post(
        "/dags/quick_failure/clearTaskInstances", {"dag_run_id": run_id, "dry_run": False}
    )
    assert answer.status_code == 200
    assert_shape(answer.json()["task_instances"][0], INSTANCE_3)
    assert admin.get(f"/dags/quick_failure/dagRuns/{run_id}").json()["state"] in {
        "queued",
        "running",
    }


def test_a_patch_of_an_unknown_run_is_a_404_and_a_bad_one_a_422(admin: Api, success: str) -> None:
    runs = "/dags/quick_success/dagRuns"
    assert admin.patch(f"{runs}/nope", {"state": "failed"}).status_code == 404
    assert admin.post(f"{runs}/nope/clear", {}).status_code == 404
    assert admin.patch(f"{runs}/{success}", {"state": "running"}).status_code == 422
    assert admin.patch(f"{runs}/{success}", {"bogus": 1}).status_code == 422
    assert admin.post(f"{runs}/{success}/clear", {"bogus": 1}).status_code == 422


def test_a_note_can_be_changed(server: Server, admin: Api, success: str) -> None:
    answer = admin.patch(
        f"/dags/quick_success/dagRuns/{success}", {"note": f"seen at {server.url}"}
    )
    assert (answer.status_code, answer.json()["note"]) == (200, f"seen at {server.url}")
