"""Parts of the API that both versions share, on real and scripted Airflows."""

from __future__ import annotations

import pytest

from tests.contract.api import Api, Server, new_id, reason
from tests.contract.shapes import DAG, DETAILS, RUN, assert_shape

MISSING_DAG = "no_such_dag"


def random_date() -> str:
    """Return a random logical date, which no other run is expected to have."""
    digits = int(new_id()[-11:], 16)
    hours, rest = divmod(digits, 3600)
    minutes, seconds = divmod(rest, 60)
    day = f"20{hours % 20:02}-{hours % 12 + 1:02}-{hours % 28 + 1:02}"
    return f"{day}T{hours % 24:02}:{minutes:02}:{seconds:02}+00:00"


@pytest.mark.parametrize("credential", [None, ("admin", "wrong")])
def test_the_version_needs_no_credential_and_ignores_a_bad_one(
    server: Server, admin: Api, credential: tuple[str, str] | None
) -> None:
    answer = admin.anonymous("GET", f"{server.api}/version", auth=credential)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert_shape(answer.json(), {"version": str, "git_version": str})
    assert answer.json()["version"] == server.version


def test_a_viewer_reads_dags_runs_task_instances_logs_and_import_errors(
    viewer: Api, success: str
) -> None:
    run = f"/dags/quick_success/dagRuns/{success}"
    paths = (
        "/dags/quick_success",
        run,
        f"{run}/taskInstances",
        f"{run}/taskInstances/succeed/logs/1",
        "/importErrors",
    )
    assert [viewer.get(path).status_code for path in paths] == [200] * 5


def test_every_change_by_a_viewer_is_a_403(viewer: Api, success: str) -> None:
    """Also where there is nothing to change."""
    run = f"/dags/quick_success/dagRuns/{success}"
    answers = [
        viewer.trigger("quick_success"),
        viewer.trigger(MISSING_DAG),
        viewer.patch("/dags/quick_success", {"is_paused": True}),
        viewer.patch(run, {"state": "failed"}),
        viewer.post(f"{run}/clear", {"dry_run": False}),
    ]
    message = "Forbidden: None" if viewer.version == "2.11.2" else "Forbidden"
    assert [(answer.status_code, reason(answer)) for answer in answers] == [(403, message)] * 5


def test_a_dag_has_is_paused(admin: Api) -> None:
    answer = admin.get("/dags/quick_success")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert_shape(answer.json(), DAG[admin.version])
    assert answer.json()["dag_id"] == "quick_success"
    assert answer.json()["is_paused"] is False
    assert admin.get("/dags/paused_dag").json()["is_paused"] is True


def test_dag_details_have_each_param_with_value_and_schema(admin: Api) -> None:
    answer = admin.get("/dags/nightly_sales/details")
    assert answer.status_code == 200
    assert_shape(answer.json(), DETAILS[admin.version])
    region = answer.json()["params"]["region"]
    assert region["value"] == "EMEA"
    assert region["schema"] == {"type": "string", "enum": ["AMER", "APAC", "EMEA"]}


@pytest.mark.parametrize("tail", ["", "/details"])
def test_an_unknown_dag_is_a_404_that_names_it(admin: Api, tail: str) -> None:
    answer = admin.get(f"/dags/{MISSING_DAG}{tail}")
    assert answer.status_code == 404
    message = "DAG not found: The DAG with dag_id: {} was not found"
    message = message if admin.version == "2.11.2" else "The Dag with ID: `{}` was not found"
    assert reason(answer) == message.format(MISSING_DAG)


def test_patch_is_paused_answers_with_the_changed_dag(admin: Api) -> None:
    answer = admin.patch("/dags/unstable", {"is_paused": True})
    assert answer.status_code == 200
    assert_shape(answer.json(), DAG[admin.version])
    assert answer.json()["is_paused"] is True
    assert admin.patch("/dags/unstable", {"is_paused": False}).json()["is_paused"] is False
    assert admin.patch(f"/dags/{MISSING_DAG}", {"is_paused": False}).status_code == 404


def test_a_trigger_answers_200_with_the_queued_run(admin: Api) -> None:
    """With the requested id, conf and note."""
    run_id = new_id()
    answer = admin.trigger(
        "quick_success", dag_run_id=run_id, conf={"any": [1, "é"]}, note="by the contract"
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    run = answer.json()
    assert_shape(run, RUN[admin.version])
    assert (run["dag_id"], run["dag_run_id"], run["state"]) == ("quick_success", run_id, "queued")
    assert (run["conf"], run["note"], run["run_type"]) == (
        {"any": [1, "é"]},
        "by the contract",
        "manual",
    )
    assert (run["start_date"], run["end_date"]) == (None, None)


def test_a_run_without_an_id_gets_one_from_the_current_time(admin: Api) -> None:
    answer = admin.trigger("quick_success")
    assert answer.status_code == 200
    assert answer.json()["dag_run_id"].startswith("manual__20")


def test_a_second_run_with_the_same_id_is_a_409(admin: Api) -> None:
    """Another DAG may have the same run id."""
    run_id = new_id()
    assert admin.trigger("quick_success", dag_run_id=run_id).status_code == 200
    assert admin.trigger("quick_success", dag_run_id=run_id).status_code == 409
    assert admin.trigger("nightly_sales", dag_run_id=run_id).status_code == 200


def test_a_second_run_with_the_same_logical_date_is_a_409(admin: Api) -> None:
    date, run_id = random_date(), new_id()
    first = admin.trigger("quick_success", dag_run_id=new_id(), logical_date=date)
    assert first.status_code == 200
    assert first.json()["logical_date"].replace("Z", "+00:00") == date
    assert admin.trigger("quick_success", dag_run_id=run_id, logical_date=date).status_code == 409
    assert admin.get(f"/dags/quick_success/dagRuns/{run_id}").status_code == 404


def test_a_conf_that_violates_the_params_is_a_400_from_jsonschema(admin: Api) -> None:
    """An unknown key is allowed."""
    run_id = new_id()
    answer = admin.trigger("nightly_sales", dag_run_id=run_id, conf={"region": "MOON"})
    assert answer.status_code == 400
    assert (
        "Invalid input for param region: 'MOON' is not one of ['AMER', 'APAC', 'EMEA']\n\nFailed"
        in reason(answer)
    )
    assert admin.get(f"/dags/nightly_sales/dagRuns/{run_id}").status_code == 404
    assert admin.trigger("nightly_sales", conf={"region": "APAC", "unknown": 1}).status_code == 200


@pytest.mark.parametrize("prefix", ["scheduled__", "backfill__"])
def test_a_reserved_run_id_is_a_400(admin: Api, prefix: str) -> None:
    answer = admin.trigger("quick_success", dag_run_id=f"{prefix}{new_id()}")
    assert answer.status_code == 400
    assert "since it is reserved for" in reason(answer)


def test_a_trigger_of_an_unknown_dag_is_a_404_that_names_it(admin: Api) -> None:
    answer = admin.trigger(MISSING_DAG)
    assert answer.status_code == 404
    message = "DAG not found: DAG with dag_id: '{}' not found"
    message = message if admin.version == "2.11.2" else "Dag with dag_id: '{}' not found"
    assert reason(answer) == message.format(MISSING_DAG)
