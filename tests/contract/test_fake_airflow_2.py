"""What the action relies on in Airflow 2.11.2 alone, stated once for the real one and the scripted
one alike.
"""

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
def test_airflow_3_is_not_here(admin: Api, method: str, path: str) -> None:
    """What Airflow 3 would answer is a page with 404."""
    answer = admin.anonymous(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, HTML)


def test_unknown_routes(admin: Api) -> None:
    """An unknown route below /api/v1 is a problem of type about:blank; an unknown object is not."""
    route, thing = admin.get("/nope"), admin.get("/dags/nope")
    assert (route.status_code, thing.status_code) == (404, 404)
    assert reason(route).startswith("Not Found: ")
    assert route.json()["type"] == "about:blank"
    assert thing.json()["type"].endswith("#section/Errors/NotFound")


def test_every_connection_is_closed(admin: Api) -> None:
    """No connection serves two requests."""
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
def test_a_bad_credential_looks_like_a_missing_right(
    admin: Api, viewer: Api, options: dict[str, object]
) -> None:
    """Whatever is wrong with a credential is the 403 of who may not, byte for byte."""
    answer = admin.anonymous("GET", "/api/v1/dags/quick_success", **options)
    assert (answer.status_code, reason(answer)) == (403, "Forbidden: None")
    assert "WWW-Authenticate" not in answer.headers
    assert answer.json() == viewer.trigger("quick_success").json()


def test_the_list_of_dags_proves_a_credential(viewer: Api) -> None:
    """Any user at all may list DAGs."""
    answer = viewer.get("/dags", limit=1)
    assert answer.status_code == 200
    assert len(answer.json()["dags"]) == 1
    assert answer.json()["total_entries"] > 1


def test_a_run_has_a_date_in_any_case(admin: Api) -> None:
    """Without a logical date a run gets the moment as its date and as its data interval."""
    run = admin.trigger("quick_success").json()
    assert (
        run["logical_date"]
        == run["execution_date"]
        == run["data_interval_start"]
        == run["data_interval_end"]
    )


def test_a_conflict_says_which(admin: Api) -> None:
    """A 409 names the run id or the logical date, and the date if it is both."""
    run_id = new_id()
    date = admin.trigger("quick_success", dag_run_id=run_id).json()["logical_date"]
    head = "Conflict: DAGRun with DAG ID: 'quick_success' and DAGRun "
    assert (
        reason(admin.trigger("quick_success", dag_run_id=run_id))
        == f"{head}ID: '{run_id}' already exists"
    )
    said = f"{head}logical date: '{date.replace('T', ' ')}' already exists"
    assert reason(admin.trigger("quick_success", dag_run_id=new_id(), logical_date=date)) == said
    assert reason(admin.trigger("quick_success", dag_run_id=run_id, logical_date=date)) == said


@pytest.mark.parametrize("run_id", ["a/b", "a b", "ä", "a%b"])
def test_characters_no_run_id_may_have(admin: Api, run_id: str) -> None:
    """A bad character in a run id is Airflow's own error page."""
    answer = admin.trigger("quick_success", dag_run_id=run_id)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, HTML)


@pytest.mark.parametrize(
    ("body", "said"),
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
def test_what_a_trigger_may_not_contain(admin: Api, body: dict[str, object], said: str) -> None:
    """Nulls, unknown fields, dates without an offset and what is too long are a 400 that says
    so.
    """
    answer = admin.trigger("quick_success", **body)
    assert answer.status_code == 400
    assert said in reason(answer)


def test_the_body_is_judged_before_the_credential(viewer: Api) -> None:
    """A malformed trigger is a 400 even for who may not trigger."""
    assert viewer.trigger("quick_success", conf=1).status_code == 400


def test_an_unknown_run_has_no_task_instances(admin: Api) -> None:
    """The task instances of an unknown run are an empty list with 200."""
    answer = admin.get("/dags/quick_success/dagRuns/nope/taskInstances")
    assert (answer.status_code, answer.json()) == (200, {"task_instances": [], "total_entries": 0})


def test_no_limit_is_too_large_and_no_order_known(admin: Api, success: str) -> None:
    """Any limit on task instances is honoured; order_by is refused."""
    tasks = f"/dags/quick_success/dagRuns/{success}/taskInstances"
    assert admin.get(tasks, limit=5000).json()["total_entries"] == 1
    answer = admin.get(tasks, order_by="task_id")
    assert (answer.status_code, reason(answer)) == (
        400,
        "None: Extra query parameter(s) order_by not in spec",
    )


def test_clear_knows_no_selection(admin: Api, failure: str) -> None:
    """The clear of a run clears everything or refuses."""
    answer = admin.post(
        f"/dags/quick_failure/dagRuns/{failure}/clear", {"dry_run": False, "only_failed": True}
    )
    assert (answer.status_code, reason(answer)) == (
        400,
        "Bad Request: {'only_failed': ['Unknown field.']}",
    )


def test_cleared_tasks_of_a_run_that_stays_failed(admin: Api) -> None:
    """Without reset_dag_runs a clear leaves the run failed, and a repeat finds nothing to clear."""
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


def test_the_note_of_a_run(admin: Api, viewer: Api, success: str) -> None:
    """A note can be set later, but neither to null nor by who may only read."""
    run = f"/dags/quick_success/dagRuns/{success}"
    answer = admin.patch(f"{run}/setNote", {"note": "seen"})
    assert answer.status_code == 200
    assert_shape(answer.json(), RUN_2)
    assert answer.json()["note"] == admin.get(run).json()["note"] == "seen"
    assert admin.patch(f"{run}/setNote", {"note": None}).status_code == 400
    assert admin.patch(f"{run}/setNote", {"note": "x" * 1001}).status_code == 400
    assert viewer.patch(f"{run}/setNote", {"note": "x"}).status_code == 403


def test_unknown_runs_are_not_changed(admin: Api) -> None:
    """PATCH and clear of an unknown run are a 404 whose title says so."""
    run = "/dags/quick_success/dagRuns/nope"
    answers = [
        admin.patch(run, {"state": "failed"}),
        admin.post(f"{run}/clear", {}),
        admin.patch(f"{run}/setNote", {"note": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert all(reason(answer).startswith("Dag Run id nope not found in dag") for answer in answers)


def test_a_login_page(server: Server, admin: Api) -> None:
    """The log-in page is HTML with 200."""
    answer = admin.anonymous("GET", "/login/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, HTML)
    assert server.version == "2.11.2"
