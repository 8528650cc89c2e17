"""DAG runs in both versions, on real and scripted Airflows."""

from __future__ import annotations

from tests.contract.api import Api, new_id, reason
from tests.contract.shapes import INSTANCE, RUN, XCOM, assert_shape

MISSING_DAG = "no_such_dag"


def test_an_ended_run_has_a_state_and_two_dates(admin: Api, success: str) -> None:
    answer = admin.get(f"/dags/quick_success/dagRuns/{success}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    run = answer.json()
    assert_shape(run, RUN[admin.version])
    assert run["state"] == "success"
    assert run["start_date"] <= run["end_date"]


def test_an_unknown_run_is_a_404_that_names_it(admin: Api) -> None:
    for dag_id in ("quick_success", MISSING_DAG):
        answer = admin.get(f"/dags/{dag_id}/dagRuns/nope")
        assert answer.status_code == 404
        message = "DAGRun not found: DAGRun with DAG ID: '{}' and DagRun ID: 'nope' not found"
        message = (
            message
            if admin.version == "2.11.2"
            else "The DagRun with dag_id: `{}` and run_id: `nope` was not found"
        )
        assert reason(answer) == message.format(dag_id)


def test_a_list_of_runs_is_filtered_ordered_and_limited(admin: Api, success: str) -> None:
    """The total counts runs beyond the limit, too."""
    admin.ended("quick_success")
    order = "-execution_date" if admin.version == "2.11.2" else "-run_after"
    answer = admin.get("/dags/quick_success/dagRuns", state="success", limit=1, order_by=order)
    assert answer.status_code == 200
    (run,) = answer.json()["dag_runs"]
    assert_shape(run, RUN[admin.version])
    assert run["state"] == "success"
    assert run["dag_run_id"] != success
    assert answer.json()["total_entries"] >= 2


def test_one_request_lists_the_newest_runs_of_several_dags(
    admin: Api, success: str, failure: str
) -> None:
    """A DAG that does not exist is no error."""
    newest = admin.ended("quick_success")
    body = {"dag_ids": ["quick_success", "quick_failure", MISSING_DAG], "order_by": "-id"}
    answer = admin.post("/dags/~/dagRuns/list", body | {"page_limit": 100})
    assert answer.status_code == 200
    runs = answer.json()["dag_runs"]
    for run in runs:
        assert_shape(run, RUN[admin.version])
    names = [run["dag_run_id"] for run in runs]
    assert names[0] == newest
    assert {success, failure} <= set(names)
    one = admin.post("/dags/~/dagRuns/list", body | {"page_limit": 1}).json()["dag_runs"]
    assert [run["dag_run_id"] for run in one] == [newest]


def test_the_task_instances_of_an_ended_run_have_states_and_try_numbers(
    admin: Api, success: str
) -> None:
    answer = admin.get(f"/dags/quick_success/dagRuns/{success}/taskInstances")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json()["total_entries"] == 1
    (instance,) = answer.json()["task_instances"]
    assert_shape(instance, INSTANCE[admin.version])
    assert (instance["task_id"], instance["map_index"]) == ("succeed", -1)
    assert instance["state"] == "success"
    assert instance["try_number"] >= 1


def test_repeated_states_of_task_instances_are_alternatives(
    admin: Api, success: str, failure: str
) -> None:
    query = {"state": ["failed", "upstream_failed"]}
    failed = admin.get(f"/dags/quick_failure/dagRuns/{failure}/taskInstances", **query).json()
    assert [(one["task_id"], one["state"]) for one in failed["task_instances"]] == [
        ("fail", "failed")
    ]
    none = admin.get(f"/dags/quick_success/dagRuns/{success}/taskInstances", **query).json()
    assert (none["task_instances"], none["total_entries"]) == ([], 0)


def test_limit_and_offset_page_task_instances_without_a_loss(admin: Api) -> None:
    tasks = f"/dags/empty_many/dagRuns/{admin.ended('empty_many')}/taskInstances"
    pages = [admin.get(tasks, limit=25, offset=offset).json() for offset in (0, 25, 50)]
    assert [len(page["task_instances"]) for page in pages] == [25, 25, 10]
    assert [page["total_entries"] for page in pages] == [60] * 3
    assert len({one["task_id"] for page in pages for one in page["task_instances"]}) == 60


def test_each_instance_of_a_mapped_task_has_its_index(admin: Api, sales: str) -> None:
    found = admin.get(f"/dags/nightly_sales/dagRuns/{sales}/taskInstances").json()["task_instances"]
    assert sorted(one["map_index"] for one in found if one["task_id"] == "add_up") == [0, 1, 2]


def test_an_xcom_is_found_by_task_and_key(admin: Api, success: str) -> None:
    """One that was never pushed is a 404."""
    entries = f"/dags/quick_success/dagRuns/{success}/taskInstances/succeed/xcomEntries"
    answer = admin.get(f"{entries}/return_value")
    assert answer.status_code == 200
    assert_shape(answer.json(), XCOM[admin.version] | {"value": str})
    assert answer.json()["value"] == "done"
    assert admin.get(f"{entries}/nope").status_code == 404
    assert reason(admin.get(f"{entries}/nope"))


def test_a_clear_is_a_dry_run_by_default(admin: Api, failure: str) -> None:
    run = f"/dags/quick_failure/dagRuns/{failure}"
    answer = admin.post(f"{run}/clear", {})
    assert answer.status_code == 200
    assert [one["task_id"] for one in answer.json()["task_instances"]] == ["fail"]
    assert admin.get(run).json()["state"] == "failed"


def test_a_cleared_run_is_queued_again_under_its_id(admin: Api) -> None:
    """Its tasks have one more try."""
    run_id = admin.ended("quick_success")
    run = f"/dags/quick_success/dagRuns/{run_id}"
    before = tries(admin, run)
    answer = admin.post(f"{run}/clear", {"dry_run": False})
    assert answer.status_code == 200
    assert_shape(answer.json(), RUN[admin.version])
    assert (answer.json()["state"], answer.json()["end_date"]) == ("queued", None)
    assert admin.wait("quick_success", run_id)["state"] == "success"
    (instance,) = admin.get(f"{run}/taskInstances").json()["task_instances"]
    assert instance["state"] == "success"
    assert instance["try_number"] > before["succeed"]


def test_patch_state_failed_ends_a_run_and_its_task_instances(admin: Api) -> None:
    run_id = new_id()
    assert admin.trigger("slow_sales", dag_run_id=run_id, conf={"seconds": 120}).status_code == 200
    admin.at_work("slow_sales", run_id)
    run = f"/dags/slow_sales/dagRuns/{run_id}"
    answer = admin.patch(run, {"state": "failed"})
    assert answer.status_code == 200
    assert_shape(answer.json(), RUN[admin.version])
    assert answer.json()["state"] == "failed"
    assert answer.json()["end_date"] is not None
    assert {one["state"] for one in admin.get(f"{run}/taskInstances").json()["task_instances"]} <= {
        "failed",
        "skipped",
    }


def test_a_run_of_a_paused_dag_stays_queued(admin: Api) -> None:
    """A later run of another DAG ends before it."""
    run_id = new_id()
    assert admin.trigger("paused_dag", dag_run_id=run_id).json()["state"] == "queued"
    admin.ended("quick_success")
    run = f"/dags/paused_dag/dagRuns/{run_id}"
    assert admin.get(run).json()["state"] == "queued"
    (waiting,) = admin.get(f"{run}/taskInstances").json()["task_instances"]
    assert (waiting["state"], waiting["try_number"]) == (None, 0)
    # Set to failed, it has an end but no start, and skipped tasks, which a clear of the failed
    # ones leaves alone.
    failed = admin.patch(run, {"state": "failed"}).json()
    assert (failed["state"], failed["start_date"]) == ("failed", None)
    (skipped,) = admin.get(f"{run}/taskInstances").json()["task_instances"]
    assert skipped["state"] == "skipped"
    assert admin.clear_failed("paused_dag", run_id).status_code == 200
    assert admin.get(run).json()["state"] == "failed"


def test_a_clear_of_the_failed_tasks_runs_only_those_again(admin: Api) -> None:
    run_id = new_id()
    assert admin.trigger("unstable", dag_run_id=run_id).status_code == 200
    assert admin.wait("unstable", run_id)["state"] == "failed"
    run = f"/dags/unstable/dagRuns/{run_id}"
    before = tries(admin, run)
    assert admin.clear_failed("unstable", run_id).status_code == 200
    assert admin.get(run).json()["state"] in {"queued", "running"}
    assert admin.wait("unstable", run_id)["state"] == "success"
    after = tries(admin, run)
    assert after["prepare"] == before["prepare"]
    assert after["wobble"] > before["wobble"]


def tries(admin: Api, run: str) -> dict[str, int]:
    """Return the try number of each task of a run.

    Compare them only with one another, because a busy Airflow 2 adds one when its executor loses a
    task.
    """
    tasks = admin.get(f"{run}/taskInstances").json()["task_instances"]
    return {one["task_id"]: one["try_number"] for one in tasks}


def test_clear_task_instances_clears_the_named_tasks_only(admin: Api) -> None:
    """Whatever their state."""
    run_id = admin.ended("unstable")
    before = tries(admin, f"/dags/unstable/dagRuns/{run_id}")
    wish = {
        "dag_run_id": run_id,
        "task_ids": ["prepare"],
        "only_failed": False,
        "reset_dag_runs": True,
    }
    answers = [
        admin.post("/dags/unstable/clearTaskInstances", wish | {"dry_run": dry})
        for dry in (True, False)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [[one["task_id"] for one in answer.json()["task_instances"]] for answer in answers] == [
        ["prepare"]
    ] * 2
    assert admin.wait("unstable", run_id)["state"] == "failed"
    after = tries(admin, f"/dags/unstable/dagRuns/{run_id}")
    assert after["prepare"] > before["prepare"]
    assert after["wobble"] == before["wobble"]


def test_clear_task_instances_of_an_unknown_run_is_a_404(admin: Api) -> None:
    """Of an unknown task it clears nothing."""
    answer = admin.post("/dags/quick_success/clearTaskInstances", {"dag_run_id": "nope"})
    assert answer.status_code == 404
    assert "Dag Run id nope not found in dag quick_success" in reason(answer)
    wish = {"dag_run_id": admin.ended("quick_success"), "task_ids": ["nope"], "only_failed": False}
    assert admin.post("/dags/quick_success/clearTaskInstances", wish).json()["task_instances"] == []
