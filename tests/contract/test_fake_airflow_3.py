"""What the action relies on in Airflow 3.3.2 alone, stated once for the real one and the scripted
one alike.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.contract.api import Api, Server, new_id, reason
from tests.contract.conftest import THREE
from tests.contract.shapes import INSTANCE_3, RUN_3, VERSION_3, assert_shape

pytestmark = pytest.mark.parametrize("server", THREE, indirect=True, scope="session")

JSON = "application/json"


def test_a_conflict_does_not_say_which(admin: Api) -> None:
    """A 409 is the same for a run id and for a logical date."""
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


def test_a_logical_date_is_none_unless_given(admin: Api) -> None:
    """With a logical date of null a run has neither date nor data interval, but a DAG version."""
    run = admin.trigger("quick_success").json()
    assert (run["logical_date"], run["data_interval_start"], run["data_interval_end"]) == (
        None,
        None,
        None,
    )
    assert (run["triggered_by"], run["triggering_user_name"]) == ("rest_api", "admin")
    assert_shape(run["dag_versions"][0], VERSION_3)


@pytest.mark.parametrize(
    ("run_id", "said"),
    [
        ("a/b", "The run_id provided 'a/b' does not match regex pattern '^[A-Za-z0-9_.~:+-]+$'"),
        ("a b", "does not match regex pattern"),
        ("ä", "does not match regex pattern"),
        ("a..b", "The run_id 'a..b' must not contain '..' to prevent path traversal"),
    ],
)
def test_run_ids_that_are_refused(admin: Api, run_id: str, said: str) -> None:
    """A bad run id is a 400 that names the rule."""
    answer = admin.trigger("quick_success", dag_run_id=run_id)
    assert answer.status_code == 400
    assert said in reason(answer)


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
def test_what_a_trigger_may_not_contain(
    admin: Api, body: object, kind: str, where: list[str]
) -> None:
    """A body that does not fit is a 422 with a list of what is wrong and where."""
    answer = admin.post("/dags/quick_success/dagRuns", body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert {"type", "loc", "msg", "input"} <= set(problem)
    assert (problem["type"], problem["loc"]) == (kind, where)


def test_a_partition_key_needs_a_partitioned_dag(admin: Api) -> None:
    """A partition key for a DAG without partitions is a 400."""
    answer = admin.trigger("quick_success", partition_key="2025")
    said = "Dag 'quick_success' is not a partitioned Dag and does not accept a partition_key."
    assert (answer.status_code, reason(answer)) == (400, said)


def test_the_task_instances_of_an_unknown_run(admin: Api) -> None:
    """The task instances of an unknown run are a 404."""
    answer = admin.get("/dags/quick_success/dagRuns/nope/taskInstances")
    said = "DagRun with dag_id: `quick_success` and run_id: `nope` was not found"
    assert (answer.status_code, reason(answer)) == (404, said)


def test_counting_task_instances(admin: Api, success: str) -> None:
    """A limit of 0 counts; a state that is none is a 422."""
    tasks = f"/dags/quick_success/dagRuns/{success}/taskInstances"
    counted = admin.get(tasks, limit=0).json()
    assert (counted["task_instances"], counted["total_entries"]) == ([], 1)
    assert admin.get(tasks, state="bogus").status_code == 422
    assert admin.get(tasks, order_by="bogus").status_code == 400


def test_waiting(admin: Api) -> None:
    """/wait sends a line per look, without a type, and ends with the run's end and the results
    asked for.
    """
    run_id = new_id()
    assert admin.trigger("quick_success", dag_run_id=run_id).status_code == 200
    answer = admin.get(f"/dags/quick_success/dagRuns/{run_id}/wait", interval=0.2, result="succeed")
    assert answer.status_code == 200
    assert "Content-Type" not in answer.headers
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["state"] for line in lines] == sorted(line["state"] for line in lines)
    assert {line["state"] for line in lines} <= {"queued", "running"}
    assert last == {"state": "success", "results": {"succeed": "done"}}


def test_waiting_for_what_is_not_there(admin: Api, success: str) -> None:
    """/wait for an unknown run is a 404, without a good interval a 422."""
    assert admin.get("/dags/quick_success/dagRuns/nope/wait", interval=1).status_code == 404
    wait = f"/dags/quick_success/dagRuns/{success}/wait"
    assert (admin.get(wait).status_code, admin.get(wait, interval=0).status_code) == (422, 422)


def test_a_clear_of_nothing_changes_nothing(admin: Api, success: str) -> None:
    """A clear of the failed tasks of a success leaves it a success."""
    answer = admin.clear_failed("quick_success", success)
    assert (answer.status_code, answer.json()["state"]) == (200, "success")
    assert_shape(answer.json(), RUN_3)


def test_what_a_clear_would_clear(admin: Api, failure: str) -> None:
    """A dry run lists task instances in full."""
    answer = admin.post(f"/dags/quick_failure/dagRuns/{failure}/clear", {"only_failed": True})
    assert_shape(answer.json(), {"task_instances": list, "total_entries": int})
    assert_shape(answer.json()["task_instances"][0], INSTANCE_3)


def test_cleared_tasks_wake_their_run(admin: Api) -> None:
    """ClearTaskInstances resets the run unless told not to, and lists the task instances in
    full.
    """
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


def test_changes_that_are_refused(admin: Api, success: str) -> None:
    """An unknown run is a 404; an unknown key and a state that cannot be set are a 422."""
    runs = "/dags/quick_success/dagRuns"
    assert admin.patch(f"{runs}/nope", {"state": "failed"}).status_code == 404
    assert admin.post(f"{runs}/nope/clear", {}).status_code == 404
    assert admin.patch(f"{runs}/{success}", {"state": "running"}).status_code == 422
    assert admin.patch(f"{runs}/{success}", {"bogus": 1}).status_code == 422
    assert admin.post(f"{runs}/{success}/clear", {"bogus": 1}).status_code == 422


def test_the_note_of_a_run(server: Server, admin: Api, success: str) -> None:
    """A note can be set later."""
    answer = admin.patch(
        f"/dags/quick_success/dagRuns/{success}", {"note": f"seen at {server.url}"}
    )
    assert (answer.status_code, answer.json()["note"]) == (200, f"seen at {server.url}")
