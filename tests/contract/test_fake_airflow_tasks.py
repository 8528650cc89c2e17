"""Task instances and XComs, on real and scripted Airflows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from entrypoint.models import UNFINISHED
from tests.contract.api import new_id, reason
from tests.contract.shapes import XCOM, assert_shape

if TYPE_CHECKING:
    from tests.contract.api import Api
    from tests.contract.conftest import FailedRuns

EVERYWHERE = "/dags/~/dagRuns/~/taskInstances"


def tasks(api: Api, dag_id: str, run_id: str, **query: Any) -> dict[str, dict[str, Any]]:
    """Return the task instances of a run, by task."""
    found = api.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", **query).json()[
        "task_instances"
    ]
    return {one["task_id"]: one for one in found}


def test_the_fields_of_a_failed_task_and_of_one_that_never_ran(
    admin: Api, failed_runs: FailedRuns
) -> None:
    """Only the failed one has a try, a duration and a host."""
    found = tasks(admin, "chained_failure", failed_runs["chained_failure"])
    failed, never = found["load_sales"], found["publish"]
    assert (failed["state"], never["state"]) == ("failed", "upstream_failed")
    assert failed["try_number"] >= 1
    assert failed["hostname"]
    assert failed["queued_when"] <= failed["start_date"] < failed["end_date"]
    ran = datetime.fromisoformat(failed["end_date"]) - datetime.fromisoformat(failed["start_date"])
    assert abs(ran.total_seconds() - failed["duration"]) < 0.01
    assert (never["try_number"], never["hostname"], never["queued_when"], never["duration"]) == (
        0,
        "",
        None,
        0,
    )
    assert never["start_date"] == never["end_date"]


def test_a_failed_task_with_one_retry_has_had_two_tries(
    admin: Api, failed_runs: FailedRuns
) -> None:
    call = tasks(admin, "retries_exhausted", failed_runs["retries_exhausted"])["call_partner"]
    assert (call["state"], call["max_tries"]) == ("failed", 1)
    assert call["try_number"] >= 2


def test_a_dagrun_timeout_fails_the_run_and_no_task(admin: Api, failed_runs: FailedRuns) -> None:
    """A running task is skipped without an end date; other tasks hardly change."""
    run = admin.get(f"/dags/too_slow/dagRuns/{failed_runs['too_slow']}").json()
    lasted = datetime.fromisoformat(run["end_date"]) - datetime.fromisoformat(run["start_date"])
    assert lasted >= timedelta(seconds=10)
    found = tasks(admin, "too_slow", failed_runs["too_slow"])
    assert (found["crunch"]["state"], found["crunch"]["end_date"]) == ("skipped", None)
    rest = found["publish"]
    assert rest["state"] == (None if admin.version == "2.11.2" else "skipped")
    assert (rest["start_date"], rest["end_date"], rest["try_number"]) == (None, None, 0)


def test_the_wildcard_finds_the_task_instances_of_all_runs(
    admin: Api, success: str, failure: str
) -> None:
    """`~` for DAG and run, or for the run alone."""
    found = admin.get(EVERYWHERE, state=["failed", "upstream_failed"], limit=100).json()
    assert found["total_entries"] >= len(found["task_instances"])
    assert {one["state"] for one in found["task_instances"]} <= {"failed", "upstream_failed"}
    assert failure in {one["dag_run_id"] for one in found["task_instances"]}
    ours = admin.get("/dags/quick_success/dagRuns/~/taskInstances", limit=100).json()[
        "task_instances"
    ]
    assert {one["dag_id"] for one in ours} == {"quick_success"}
    assert success in {one["dag_run_id"] for one in ours}


def test_task_instances_are_filtered_by_pool(admin: Api, success: str) -> None:
    """A repeated parameter adds pools."""
    found = [
        tasks(admin, "quick_success", success, pool=pool)
        for pool in ("default_pool", "nope", ["nope", "default_pool"])
    ]
    assert [list(one) for one in found] == [["succeed"], [], ["succeed"]]


def test_task_instances_are_filtered_by_their_last_change(admin: Api) -> None:
    """The end of a task instance is a change, a GET is none."""
    run_id = new_id()
    assert admin.trigger("paused_dag", dag_run_id=run_id).status_code == 200
    made = datetime.now(UTC).isoformat()
    assert list(tasks(admin, "paused_dag", run_id)) == ["succeed"]
    assert tasks(admin, "paused_dag", run_id, updated_at_gte=made) == {}
    assert admin.patch(f"/dags/paused_dag/dagRuns/{run_id}", {"state": "failed"}).status_code == 200
    assert list(tasks(admin, "paused_dag", run_id, updated_at_gte=made)) == ["succeed"]
    bogus = admin.get(f"/dags/paused_dag/dagRuns/{run_id}/taskInstances", updated_at_gte="bogus")
    assert bogus.status_code == (400 if admin.version == "2.11.2" else 422)


def test_all_unfinished_states_can_be_requested_at_once(admin: Api, success: str) -> None:
    """`none` is the state of a task that is not scheduled yet."""
    run_id = new_id()
    assert admin.trigger("paused_dag", dag_run_id=run_id).status_code == 200
    states = [
        state for state in UNFINISHED if admin.version != "2.11.2" or state != "awaiting_input"
    ]
    assert list(tasks(admin, "paused_dag", run_id, state=states)) == ["succeed"]
    assert list(tasks(admin, "paused_dag", run_id, state=["none"])) == ["succeed"]
    assert tasks(admin, "paused_dag", run_id, state=states[1:]) == {}
    assert tasks(admin, "quick_success", success, state=states) == {}


def test_one_request_lists_the_instances_of_some_tasks_of_a_run(admin: Api, sales: str) -> None:
    """With states and pages, as a GET does. An unknown task or run is no error."""
    path = f"{EVERYWHERE}/list"
    body = {"dag_ids": ["nightly_sales"], "dag_run_ids": [sales], "page_limit": 100}
    wanted = {**body, "task_ids": ["add_up", "total", "missing"]}
    if admin.version != "2.11.2":
        wanted["order_by"] = "id"
    found = admin.post(path, wanted).json()
    keys = [(one["task_id"], one["map_index"]) for one in found["task_instances"]]
    assert sorted(keys) == [("add_up", 0), ("add_up", 1), ("add_up", 2), ("total", -1)]
    assert {(one["dag_id"], one["dag_run_id"]) for one in found["task_instances"]} == {
        ("nightly_sales", sales)
    }
    assert found["total_entries"] == 4
    second = admin.post(path, wanted | {"page_limit": 1, "page_offset": 1}).json()
    assert (len(second["task_instances"]), second["total_entries"]) == (1, 4)
    for states, total in ((["success"], 4), (["failed", "skipped", "upstream_failed"], 0)):
        assert admin.post(path, wanted | {"state": states}).json()["total_entries"] == total
    assert admin.post(path, wanted | {"dag_run_ids": ["none"]}).json()["total_entries"] == 0
    refused = admin.post(path, wanted | {"bogus": 1}).status_code
    assert refused == (400 if admin.version == "2.11.2" else 422)


def test_the_tasks_of_a_dag_are_listed_without_pages(admin: Api) -> None:
    """A mapped task is one task. A DAG that does not exist is a 404."""
    found = admin.get("/dags/nightly_sales/tasks").json()
    assert sorted(task["task_id"] for task in found["tasks"]) == ["add_up", "shops", "total"]
    assert len(admin.get("/dags/empty_many/tasks").json()["tasks"]) == 60
    assert admin.get("/dags/no_such_dag/tasks").status_code == 404


def test_a_limit_of_0_counts(admin: Api, success: str) -> None:
    counted = admin.get(f"/dags/quick_success/dagRuns/{success}/taskInstances", limit=0).json()
    assert (counted["task_instances"], counted["total_entries"]) == ([], 1)


def test_airflow_names_each_unmet_dependency_of_a_task_instance(admin: Api, success: str) -> None:
    """It names none for a task instance that has ended."""
    run_id = new_id()
    assert admin.trigger("paused_dag", dag_run_id=run_id).status_code == 200
    waiting = f"/dags/paused_dag/dagRuns/{run_id}"
    found = admin.get(f"{waiting}/taskInstances/succeed/dependencies").json()["dependencies"]
    assert {one["name"]: one["reason"] for one in found} == {
        "Dag Not Paused": "Task's DAG 'paused_dag' is paused.",
        "Dagrun Running": (
            "Task instance's dagrun was not in the 'running' state but in the state 'queued'."
        ),
        "Task Instance State": "Task is in the 'None' state.",
    }
    ended = admin.get(f"/dags/quick_success/dagRuns/{success}/taskInstances/succeed/dependencies")
    assert (ended.status_code, ended.json()) == (200, {"dependencies": []})
    assert admin.patch(waiting, {"state": "failed"}).status_code == 200


def test_numbers_and_lists_are_json(admin: Api, sales: str) -> None:
    """From Airflow 2 with stringify=false only; otherwise it sends a Python repr."""
    run = f"/dags/nightly_sales/dagRuns/{sales}/taskInstances"
    answer = admin.get(f"{run}/total/xcomEntries/return_value", stringify="false")
    assert_shape(answer.json(), XCOM[admin.version] | {"value": int})
    assert answer.json()["value"] == 2010
    shops = f"{run}/shops/xcomEntries/return_value"
    assert admin.get(shops, stringify="false").json()["value"][1] == {"shop": "Lyon", "amount": 870}
    as_repr = admin.get(shops, stringify="true").json()["value"]
    assert as_repr.startswith("[{'shop': 'Cairo', 'amount': 450}")
    assert (admin.get(shops).json()["value"] == as_repr) is (admin.version == "2.11.2")


def test_each_map_index_has_its_own_xcom(admin: Api, sales: str) -> None:
    """Without a map index, or with a wrong one, there is none."""
    value = f"/dags/nightly_sales/dagRuns/{sales}/taskInstances/add_up/xcomEntries/return_value"
    found = [
        admin.get(value, stringify="false", map_index=index).json()["value"] for index in range(3)
    ]
    assert found == [450, 870, 690]
    missing = [admin.get(value, stringify="false", **query) for query in ({}, {"map_index": 3})]
    assert [answer.status_code for answer in missing] == [404, 404]
    assert admin.get(value, map_index="x").status_code == (
        400 if admin.version == "2.11.2" else 422
    )


def test_only_a_mapped_task_has_a_list_of_its_instances(admin: Api, sales: str) -> None:
    run = f"/dags/nightly_sales/dagRuns/{sales}/taskInstances"
    assert admin.get_json(f"{run}/add_up/listMapped", limit=1)["total_entries"] == 3
    answer = admin.get(f"{run}/total/listMapped", limit=1)
    assert (answer.status_code, "Task id total is not mapped" in reason(answer)) == (404, True)


def test_a_wrong_key_task_or_run_is_the_same_404(admin: Api, sales: str) -> None:
    message = (
        "XCom entry not found: None"
        if admin.version == "2.11.2"
        else "XCom entry with key: `nope` not found"
    )
    for where in (
        f"{sales}/taskInstances/total",
        f"{sales}/taskInstances/nope",
        "nope/taskInstances/total",
    ):
        answer = admin.get(f"/dags/nightly_sales/dagRuns/{where}/xcomEntries/nope")
        assert (answer.status_code, reason(answer)) == (404, message)


def test_xcom_entries_are_listed_without_values(admin: Api, sales: str) -> None:
    """Of a task, or by `~` of all tasks, for every map index."""
    run = f"/dags/nightly_sales/dagRuns/{sales}/taskInstances"
    mapped = admin.get(f"{run}/add_up/xcomEntries", xcom_key="return_value").json()
    assert sorted(one["map_index"] for one in mapped["xcom_entries"]) == [0, 1, 2]
    assert mapped["total_entries"] == 3
    assert_shape(mapped["xcom_entries"][0], XCOM[admin.version])
    every = admin.get(f"{run}/~/xcomEntries", xcom_key="return_value").json()["xcom_entries"]
    assert {one["task_id"] for one in every} == {"shops", "add_up", "total"}
