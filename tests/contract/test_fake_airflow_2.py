"""The API of Airflow 2.11.2, of the real one and the scripted one."""

from __future__ import annotations

import pytest

from dev.airflow_settings import password_of
from tests.contract.api import Api, Server, new_id, reason
from tests.contract.conftest import TWO
from tests.contract.shapes import RUN_2, assert_shape

pytestmark = pytest.mark.parametrize("server", TWO, indirect=True, scope="session")

HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v2/version"),
        ("GET", "/api/v2/monitor/health"),
        ("POST", "/auth/token"),
        ("POST", "/api/v2/dags/x/dagRuns"),
    ],
)
def test_a_path_of_airflow_3_is_an_html_page_with_404(admin: Api, method: str, path: str) -> None:
    answer = admin.anonymous(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, HTML)


def test_an_unknown_route_below_api_v1_is_a_problem_of_type_about_blank(admin: Api) -> None:
    """The problem of an unknown object has another type."""
    route, thing = admin.get("/nope"), admin.get("/dags/nope")
    assert (route.status_code, thing.status_code) == (404, 404)
    assert reason(route).startswith("Not Found: ")
    assert route.json()["type"] == "about:blank"
    assert thing.json()["type"].endswith("#section/Errors/NotFound")


def test_no_connection_serves_two_requests(admin: Api) -> None:
    assert admin.get("/version").headers["Connection"] == "close"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"auth": ("admin", "wrong")},
        {"auth": ("nobody", password_of("nobody"))},
        {"headers": {"Authorization": "Bearer junk"}},
    ],
    ids=["none", "wrong password", "unknown user", "bearer"],
)
def test_a_bad_credential_is_the_same_403_as_a_missing_permission(
    admin: Api, viewer: Api, options: dict[str, object]
) -> None:
    """Byte for byte."""
    answer = admin.anonymous("GET", "/api/v1/dags/quick_success", **options)
    assert (answer.status_code, reason(answer)) == (403, "Forbidden: None")
    assert "WWW-Authenticate" not in answer.headers
    assert answer.json() == viewer.trigger("quick_success").json()


def test_every_user_may_list_dags(viewer: Api) -> None:
    answer = viewer.get("/dags", limit=1)
    assert answer.status_code == 200
    assert len(answer.json()["dags"]) == 1
    assert answer.json()["total_entries"] > 1


def test_a_run_without_a_logical_date_gets_the_current_time(admin: Api) -> None:
    """As its logical date and as its data interval."""
    run = admin.trigger("quick_success").json()
    assert (
        run["logical_date"]
        == run["execution_date"]
        == run["data_interval_start"]
        == run["data_interval_end"]
    )


def test_a_409_names_the_run_id_or_the_logical_date(admin: Api) -> None:
    """If both conflict, it names the date."""
    run_id = new_id()
    date = admin.trigger("quick_success", dag_run_id=run_id).json()["logical_date"]
    head = "Conflict: DAGRun with DAG ID: 'quick_success' and DAGRun "
    assert (
        reason(admin.trigger("quick_success", dag_run_id=run_id))
        == f"{head}ID: '{run_id}' already exists"
    )
    message = f"{head}logical date: '{date.replace('T', ' ')}' already exists"
    assert reason(admin.trigger("quick_success", dag_run_id=new_id(), logical_date=date)) == message
    assert reason(admin.trigger("quick_success", dag_run_id=run_id, logical_date=date)) == message


@pytest.mark.parametrize("run_id", ["a/b", "a b", "ä", "a%b"])
def test_a_bad_character_in_a_run_id_is_an_html_error_page(admin: Api, run_id: str) -> None:
    answer = admin.trigger("quick_success", dag_run_id=run_id)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, HTML)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"logical_date": None}, "Incorrect datetime argument: 'None' is not an instance of 'str'"),
        (
            {"logical_date": "2025-01-01T00:00:00"},
            "'2025-01-01T00:00:00' is not a 'date-time' - 'logical_date'",
        ),
        ({"conf": None}, "None is not of type 'object' - 'conf'"),
        ({"conf": [1]}, "[1] is not of type 'object' - 'conf'"),
        ({"dag_run_id": None}, "{'dag_run_id': ['Field may not be null.']}"),
        ({"dag_run_id": "x" * 251}, "{'dag_run_id': ['Longer than maximum length 250.']}"),
        ({"note": "x" * 1001}, "{'note': ['Longer than maximum length 1000.']}"),
        ({"run_after": "2025-01-01T00:00:00Z"}, "{'run_after': ['Unknown field.']}"),
        ({"data_interval_start": "2025-01-01T00:00:00Z"}, "must be specified together"),
    ],
)
def test_an_invalid_trigger_body_is_a_400_with_the_reason(
    admin: Api, body: dict[str, object], message: str
) -> None:
    """Nulls, unknown fields, dates without an offset and values that are too long."""
    answer = admin.trigger("quick_success", **body)
    assert answer.status_code == 400
    assert message in reason(answer)


def test_a_malformed_trigger_is_a_400_even_without_permission(viewer: Api) -> None:
    assert viewer.trigger("quick_success", conf=1).status_code == 400


def test_the_task_instances_of_an_unknown_run_are_an_empty_list(admin: Api) -> None:
    answer = admin.get("/dags/quick_success/dagRuns/nope/taskInstances")
    assert (answer.status_code, answer.json()) == (200, {"task_instances": [], "total_entries": 0})


def test_any_limit_on_task_instances_is_accepted_and_order_by_is_not(
    admin: Api, success: str
) -> None:
    tasks = f"/dags/quick_success/dagRuns/{success}/taskInstances"
    assert admin.get(tasks, limit=5000).json()["total_entries"] == 1
    answer = admin.get(tasks, order_by="task_id")
    assert (answer.status_code, reason(answer)) == (
        400,
        "None: Extra query parameter(s) order_by not in spec",
    )


def test_clear_of_a_run_clears_everything_or_refuses(admin: Api, failure: str) -> None:
    answer = admin.post(
        f"/dags/quick_failure/dagRuns/{failure}/clear", {"dry_run": False, "only_failed": True}
    )
    assert (answer.status_code, reason(answer)) == (
        400,
        "Bad Request: {'only_failed': ['Unknown field.']}",
    )


def test_without_reset_dag_runs_a_cleared_run_stays_failed(admin: Api) -> None:
    """A second clear finds no tasks."""
    run_id = admin.ended("quick_failure")
    wish = {"dag_run_id": run_id, "dry_run": False, "only_failed": True}
    rows = admin.post("/dags/quick_failure/clearTaskInstances", wish).json()["task_instances"]
    assert [one["task_id"] for one in rows] == ["fail"]
    assert_shape(rows[0], dict.fromkeys(("dag_id", "dag_run_id", "task_id", "execution_date"), str))
    again = admin.post("/dags/quick_failure/clearTaskInstances", wish | {"reset_dag_runs": True})
    assert (again.status_code, again.json()) == (200, {"task_instances": []})
    run = admin.get(f"/dags/quick_failure/dagRuns/{run_id}").json()
    assert_shape(run, RUN_2)
    assert run["state"] == "failed"


def test_a_note_can_be_changed_but_not_to_null_or_by_a_viewer(
    admin: Api, viewer: Api, success: str
) -> None:
    run = f"/dags/quick_success/dagRuns/{success}"
    answer = admin.patch(f"{run}/setNote", {"note": "seen"})
    assert answer.status_code == 200
    assert_shape(answer.json(), RUN_2)
    assert answer.json()["note"] == admin.get(run).json()["note"] == "seen"
    assert admin.patch(f"{run}/setNote", {"note": None}).status_code == 400
    assert admin.patch(f"{run}/setNote", {"note": "x" * 1001}).status_code == 400
    assert viewer.patch(f"{run}/setNote", {"note": "x"}).status_code == 403


def test_patch_and_clear_of_an_unknown_run_are_a_404(admin: Api) -> None:
    run = "/dags/quick_success/dagRuns/nope"
    answers = [
        admin.patch(run, {"state": "failed"}),
        admin.post(f"{run}/clear", {}),
        admin.patch(f"{run}/setNote", {"note": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert all(reason(answer).startswith("Dag Run id nope not found in dag") for answer in answers)


def test_the_login_page_is_html_with_200(server: Server, admin: Api) -> None:
    answer = admin.anonymous("GET", "/login/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, HTML)
    assert server.version == "2.11.2"
