"""What the action relies on while a run does not move, in the real Airflows and the scripted ones
alike.
"""

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
    """Two runs of full_pool: the first occupies the only slot of the pool `tiny`, the second waits
    for it.
    """
    assert success
    if isinstance(server, LocalAirflow):  # the scripted ones were made with it
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
def asking(admin: Api, success: str) -> Iterator[str]:
    """The id of a run of human_input that waits for an answer."""
    assert success
    run_id = new_id()
    assert admin.trigger("human_input", dag_run_id=run_id).status_code == 200
    admin.task("human_input", run_id, "awaiting_input")
    yield run_id
    assert (
        admin.patch(f"/dags/human_input/dagRuns/{run_id}", {"state": "failed"}).status_code == 200
    )


def test_a_full_pool(admin: Api, full: tuple[str, str]) -> None:
    """A full pool has no open slot, and counts who occupies it and who waits."""
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


def test_who_fills_a_pool(admin: Api, full: tuple[str, str]) -> None:
    """Whose task instances occupy a pool is found across all runs."""
    query = {"pool": "tiny", "state": ["running", "queued"], "limit": 100}
    found = admin.get("/dags/~/dagRuns/~/taskInstances", **query).json()
    assert [
        (one["dag_id"], one["dag_run_id"], one["state"]) for one in found["task_instances"]
    ] == [("full_pool", full[0], "running")]
    assert found["total_entries"] == 1


def test_who_waits_for_a_pool(admin: Api, full: tuple[str, str]) -> None:
    """What waits for a pool is `scheduled` in a run that is `running`, has its first try, and
    neither a start nor a host.
    """
    waiting = admin.task("full_pool", full[1], "scheduled")
    assert_shape(waiting, INSTANCE[admin.version])
    assert admin.get(f"/dags/full_pool/dagRuns/{full[1]}").json()["state"] == "running"
    assert (waiting["pool"], waiting["pool_slots"], waiting["try_number"]) == ("tiny", 1, 1)
    assert (waiting["start_date"], waiting["queued_when"], waiting["hostname"]) == (None, None, "")
    if admin.version == "3.3.2":
        assert waiting["scheduled_when"] is not None


def test_why_a_task_waits_for_a_pool(admin: Api, full: tuple[str, str]) -> None:
    """Airflow itself says that the pool is full; of what runs it says nothing."""
    first, second = (
        f"/dags/full_pool/dagRuns/{run_id}/taskInstances/occupy/dependencies" for run_id in full
    )
    words = "Not scheduling since there are 0 open slots in pool tiny and require 1 pool slots"
    assert admin.get(second).json() == {
        "dependencies": [{"name": "Pool Slots Available", "reason": words}]
    }
    assert admin.get(first).json() == {"dependencies": []}


def test_the_log_of_a_task_that_waits(admin: Api, full: tuple[str, str]) -> None:
    """A try that has not started has a log all the same, with nothing in it but its head."""
    log = f"/dags/full_pool/dagRuns/{full[1]}/taskInstances/occupy/logs/1"
    if admin.version == "2.11.2":
        text = "\n INFO - ::group::Log message source details\n INFO - ::endgroup::\n\n"
        answer = admin.read(log, "text/plain")
        assert (answer.status_code, answer.text) == (200, text)
    else:
        head = [{"event": "::group::Log message source details"}, {"event": "::endgroup::"}]
        assert admin.get(log).json() == {"content": head, "continuation_token": None}


@pytest.mark.parametrize("server", THREE, indirect=True, scope="session")
def test_a_question(admin: Api, viewer: Api, asking: str) -> None:
    """What a human is asked is found by its run, with the task instance that waits for the
    answer.
    """
    details = f"/dags/human_input/dagRuns/{asking}/hitlDetails"
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
def test_nothing_is_asked(admin: Api, success: str) -> None:
    """A run without questions has none."""
    answer = admin.get(
        f"/dags/quick_success/dagRuns/{success}/hitlDetails", response_received="false"
    )
    assert (answer.status_code, answer.json()) == (200, {"hitl_details": [], "total_entries": 0})
