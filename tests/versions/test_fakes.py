"""The scripted Airflows 2.5.1 and 3.4 behave like the real ones, where they differ from others.

`tests/contract/` does the same for 2.11.2 and 3.3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api import new_id

if TYPE_CHECKING:
    from tests.contract.api import Api

SELECT = "Select a region and index for this task instance"
NOT_FOUND = "Task instance not found for selected coordinates"
LOOPS = {"in_loop", "loop_iteration", "team_name", "state_reason"}
"""What 3.4 adds to every task instance."""


def test_2_5_1_refuses_a_note_in_the_trigger_and_sets_it_afterwards(api_2_5: Api) -> None:
    run = f"/dags/plain_success/dagRuns/{(run_id := new_id())}"

    refused = api_2_5.post("/dags/plain_success/dagRuns", {"dag_run_id": run_id, "note": "why"})
    made = api_2_5.post("/dags/plain_success/dagRuns", {"dag_run_id": run_id})
    noted = api_2_5.patch(f"{run}/setNote", {"note": "why"})

    assert (refused.status_code, refused.json()["detail"]) == (400, "{'note': ['Unknown field.']}")
    assert (made.status_code, made.json()["note"]) == (200, None)
    assert (noted.status_code, noted.json()["note"]) == (200, "why")


def test_2_5_1_fails_at_a_conf_that_the_params_refuse_and_shows_their_schema(api_2_5: Api) -> None:
    run_id = new_id()
    answer = api_2_5.post(
        "/dags/with_params/dagRuns", {"dag_run_id": run_id, "conf": {"days": "five"}}
    )
    days = api_2_5.get("/dags/with_params/details").json()["params"]["days"]

    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert api_2_5.get(f"/dags/with_params/dagRuns/{run_id}").status_code == 404
    assert (days["schema"]["type"], days["value"]) == ("integer", 7)


@pytest.fixture(scope="session")
def loop_run(api_3_4: Api) -> str:
    """The path of a run whose loop has failed in its second iteration."""
    run_id = new_id()
    made = api_3_4.post("/dags/loop_failure/dagRuns", {"logical_date": None, "dag_run_id": run_id})
    assert made.status_code == 200
    assert api_3_4.wait("loop_failure", run_id)["state"] == "failed"
    return f"/dags/loop_failure/dagRuns/{run_id}"


def instances(api: Api, run: str) -> dict[tuple[str, int, int | None], dict[str, Any]]:
    """Return the task instances by task id, map index and iteration."""
    items = api.get(f"{run}/taskInstances").json()["task_instances"]
    return {
        (
            item["task_id"],
            item["map_index"],
            item["loop_iteration"]["iteration"] if item["loop_iteration"] else None,
        ): item
        for item in items
    }


def test_3_4_tells_the_iterations_of_a_loop_apart(api_3_4: Api, loop_run: str) -> None:
    found = instances(api_3_4, loop_run)
    first, second = (found["refine.improve", -1, number] for number in (0, 1))
    checks = [found["refine.check", index, 0] for index in (0, 1)]
    plain = found["prepare", -1, None]

    assert set(plain) >= LOOPS
    assert {"region_id", "region_index"}.isdisjoint(plain)
    assert (plain["in_loop"], plain["loop_iteration"]) == (False, None)
    assert second["loop_iteration"] == {"loop_id": "refine", "iteration": 1}
    assert first["region_id"] == second["region_id"]
    assert [first["region_index"], second["region_index"]] == [0, 1]
    assert [check["region_index"] for check in checks] == [0, 1]
    assert len({check["region_id"] for check in checks} | {first["region_id"]}) == 2
    assert [first["state"], second["state"]] == ["success", "failed"]
    assert set(first) - set(plain) == {"region_id", "region_index"}


def test_3_4_needs_both_coordinates_of_an_iteration(api_3_4: Api, loop_run: str) -> None:
    found = instances(api_3_4, loop_run)
    failed, check = found["refine.improve", -1, 1], found["refine.check", 1, 0]
    for item in (failed, check):
        task = f"{loop_run}/taskInstances/{item['task_id']}"
        both = {key: item[key] for key in ("region_id", "region_index")}
        for path in ("logs/1", "dependencies", "xcomEntries/return_value"):
            nothing = api_3_4.get(f"{task}/{path}")
            region = api_3_4.get(f"{task}/{path}", region_id=item["region_id"])
            assert (nothing.status_code, nothing.json()["detail"]) == (400, SELECT)
            expected = (400, SELECT) if item is failed else (404, NOT_FOUND)
            assert (region.status_code, region.json()["detail"]) == expected
            answer = api_3_4.get(f"{task}/{path}", region_index=item["region_index"])
            assert answer.status_code == 400
            wanted = 404 if item is failed and "xcom" in path else 200
            assert api_3_4.get(f"{task}/{path}", **both).status_code == wanted
    value = api_3_4.get(
        f"{loop_run}/taskInstances/refine.check/xcomEntries/return_value",
        region_id=check["region_id"],
        region_index=1,
    ).json()["value"]
    assert value == 200


def test_3_4_clears_by_ids_and_refuses_one_that_is_not_current(api_3_4: Api, loop_run: str) -> None:
    """Here as a dry run."""
    failed = instances(api_3_4, loop_run)["refine.improve", -1, 1]
    clear = {"dag_run_id": loop_run.rpartition("/")[2], "only_failed": False}
    path, unknown = "/dags/loop_failure/clearTaskInstances", "0" * 8 + "-0000-4000-8000-" + "0" * 12

    chosen = api_3_4.post(path, {**clear, "task_instance_ids": [failed["id"]]})
    refused = api_3_4.post(path, {**clear, "task_instance_ids": [unknown]})

    listed = chosen.json()["task_instances"]
    assert [(one["task_id"], one["loop_iteration"]["iteration"]) for one in listed] == [
        ("refine.improve", 1)
    ]
    assert refused.status_code == 404
    assert refused.json() == {"detail": "Selected task execution is not current in this DAG run"}


def test_3_4_answers_404_to_a_bundle_version_that_the_dag_does_not_have(api_3_4: Api) -> None:
    """Not only to an unknown DAG."""
    body = {"logical_date": None, "dag_run_id": new_id(), "bundle_version": "0" * 40}
    answer = api_3_4.post("/dags/loop_failure/dagRuns", body)

    assert answer.status_code == 404
    assert "does not have a version for bundle_version" in answer.json()["detail"]
