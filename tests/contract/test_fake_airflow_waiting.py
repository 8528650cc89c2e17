"""Runs that do not move: pools and human input, on real and scripted Airflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow import LocalAirflow
from tests.contract.api import Api, Server, new_id
from tests.contract.conftest import THREE
from tests.contract.shapes import INSTANCE, INSTANCE_3, POOL, QUESTION_3, assert_shape

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def full(server: Server, admin: Api, success: str) -> Iterator[tuple[str, str]]:
    """Two runs of full_pool: the first occupies the only slot, the second waits."""
    assert success
    if isinstance(server, LocalAirflow):  # the scripted ones have it from the start
        assert admin.post("/pools", {"name": "tiny", "slots": 1}).status_code in {200, 201, 409}
    first, second = new_id(), new_id()
    for run_id, state in ((first, "running"), (second, "scheduled")):
        assert (
            admin.trigger("full_pool", dag_run_id=run_id, conf={"seconds": 600}).status_code == 200
        )
        admin.task("full_pool", run_id, state)
    yield first, second
    for run_id in (second, first):
        assert (
            admin.patch(f"/dags/full_pool/dagRuns/{run_id}", {"state": "failed"}).status_code == 200
        )


@pytest.fixture(scope="module")
def waiting_for_human(admin: Api, success: str) -> Iterator[str]:
    """The id of a run of human_input that waits for a response."""
    assert success
    run_id = new_id()
    assert admin.trigger("human_input", dag_run_id=run_id).status_code == 200
    admin.task("human_input", run_id, "awaiting_input")
    yield run_id
    assert (
        admin.patch(f"/dags/human_input/dagRuns/{run_id}", {"state": "failed"}).status_code == 200
    )


def test_a_full_pool_counts_running_and_waiting_task_instances(
    admin: Api, full: tuple[str, str]
) -> None:
    assert full
    pool = admin.get("/pools/tiny").json()
    assert_shape(pool, POOL[admin.version])
    counted = {
        name: pool[name]
        for name in ("slots", "open_slots", "occupied_slots", "running_slots", "scheduled_slots")
    }
    expected = {
        "slots": 1,
        "open_slots": 0,
        "occupied_slots": 1,
        "running_slots": 1,
        "scheduled_slots": 1,
    }
    assert counted == expected


def test_the_running_task_instances_of_a_pool_are_found_across_runs(
    admin: Api, full: tuple[str, str]
) -> None:
    query = {"pool": "tiny", "state": ["running", "queued"], "limit": 100}
    found = admin.get("/dags/~/dagRuns/~/taskInstances", **query).json()
    assert [
        (one["dag_id"], one["dag_run_id"], one["state"]) for one in found["task_instances"]
    ] == [("full_pool", full[0], "running")]
    assert found["total_entries"] == 1


def test_a_task_instance_that_waits_for_a_pool_is_scheduled_in_a_running_run(
    admin: Api, full: tuple[str, str]
) -> None:
    """It has its first try, and neither a start date nor a host."""
    waiting = admin.task("full_pool", full[1], "scheduled")
    assert_shape(waiting, INSTANCE[admin.version])
    assert admin.get(f"/dags/full_pool/dagRuns/{full[1]}").json()["state"] == "running"
    assert (waiting["pool"], waiting["pool_slots"], waiting["try_number"]) == ("tiny", 1, 1)
    assert (waiting["start_date"], waiting["queued_when"], waiting["hostname"]) == (None, None, "")
    if admin.version == "3.3.2":
        assert waiting["scheduled_when"] is not None


def test_airflow_says_that_the_pool_is_full(admin: Api, full: tuple[str, str]) -> None:
    """It does not name the running task instances."""
    first, second = (
        f"/dags/full_pool/dagRuns/{run_id}/taskInstances/occupy/dependencies" for run_id in full
    )
    message = "Not scheduling since there are 0 open slots in pool tiny and require 1 pool slots"
    assert admin.get(second).json() == {
        "dependencies": [{"name": "Pool Slots Available", "reason": message}]
    }
    assert admin.get(first).json() == {"dependencies": []}


def test_the_log_of_a_waiting_task_has_only_its_head(admin: Api, full: tuple[str, str]) -> None:
    log = f"/dags/full_pool/dagRuns/{full[1]}/taskInstances/occupy/logs/1"
    if admin.version == "2.11.2":
        text = "\n INFO - ::group::Log message source details\n INFO - ::endgroup::\n\n"
        answer = admin.read(log, "text/plain")
        assert (answer.status_code, answer.text) == (200, text)
    else:
        head = [{"event": "::group::Log message source details"}, {"event": "::endgroup::"}]
        assert admin.get(log).json() == {"content": head, "continuation_token": None}


@pytest.mark.parametrize("server", THREE, indirect=True, scope="session")
def test_a_human_input_request_is_found_by_its_run(
    admin: Api, viewer: Api, waiting_for_human: str
) -> None:
    """With the task instance that waits."""
    details = f"/dags/human_input/dagRuns/{waiting_for_human}/hitlDetails"
    found = viewer.get(details, response_received="false").json()
    assert found["total_entries"] == 1
    (question,) = found["hitl_details"]
    assert_shape(question, QUESTION_3)
    assert (question["subject"], question["body"]) == (
        "Publish the sales of January?",
        "12 rows are new.",
    )
    assert (question["options"], question["response_received"]) == (["Publish", "Reject"], False)
    waiting = question["task_instance"]
    assert_shape(waiting, INSTANCE_3)
    assert (waiting["task_id"], waiting["state"], waiting["try_number"]) == (
        "approve",
        "awaiting_input",
        1,
    )
    assert (waiting["operator"], waiting["end_date"]) == ("HITLOperator", None)
    assert waiting["start_date"] <= question["created_at"]
    nothing = {"hitl_details": [], "total_entries": 0}
    assert admin.get(details, response_received="true").json() == nothing
    assert admin.get("/dags/human_input/dagRuns/nope/hitlDetails").json() == nothing


@pytest.mark.parametrize("server", THREE, indirect=True, scope="session")
def test_a_run_without_human_input_has_no_requests(admin: Api, success: str) -> None:
    answer = admin.get(
        f"/dags/quick_success/dagRuns/{success}/hitlDetails", response_received="false"
    )
    assert (answer.status_code, answer.json()) == (200, {"hitl_details": [], "total_entries": 0})
