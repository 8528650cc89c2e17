"""Health, DAG details, runs, pools and import errors, on real and scripted Airflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow import LocalAirflow
from tests.contract.api import Api, Server, reason
from tests.contract.shapes import DETAILS, IMPORT_ERROR, POOL, RUN, assert_shape
from tests.support.fake_airflow import FakeAirflow

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN = "broken_for_the_contract.py"
MISSING = "nothing_of_this_name"
TRACE = (
    f'Traceback (most recent call last):\n  File "/dags/{BROKEN}", line 2, in <module>\n   '
    f" import {MISSING}\n"
)
TRACE += f"ModuleNotFoundError: No module named '{MISSING}'\n"


@pytest.fixture(scope="module", autouse=True)
def broken(server: Server) -> Iterator[None]:
    """A file that cannot be imported.

    It is written early because a real Airflow takes time to notice it.
    """
    if isinstance(server, LocalAirflow):
        file = server.dags / BROKEN
        file.write_text(f'"""No dag for airflow."""\nimport {MISSING}\n', encoding="utf-8")
        yield
        file.unlink()
    else:
        assert isinstance(server, FakeAirflow)
        server.break_file(BROKEN, TRACE)
        yield


def test_health_is_public_and_has_a_status_and_heartbeat_per_component(
    server: Server, admin: Api
) -> None:
    """Both are null for a component that never ran."""
    path = "/health" if admin.version == "2.11.2" else "/monitor/health"
    answer = admin.anonymous("GET", f"{server.api}{path}")
    assert answer.status_code == 200
    body = answer.json()
    assert_shape(
        body, dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), dict)
    )
    assert body["metadatabase"] == {"status": "healthy"}
    assert body["scheduler"]["status"] == "healthy"
    assert body["triggerer"] == {"status": None, "latest_triggerer_heartbeat": None}
    apart = admin.version == "3.3.2"  # Airflow 2 parses DAGs in its scheduler
    assert body["dag_processor"]["status"] == ("healthy" if apart else None)
    beats = [body["scheduler"]["latest_scheduler_heartbeat"]]
    beats += [body["dag_processor"]["latest_dag_processor_heartbeat"]] if apart else []
    assert all(beat.startswith("20") and beat.endswith("+00:00") for beat in beats)


def test_dag_details_have_the_limits_of_a_dag(admin: Api) -> None:
    """The time limit has each version's own notation."""
    slow, single = (
        admin.get(f"/dags/{dag_id}/details").json() for dag_id in ("too_slow", "one_at_a_time")
    )
    delta = {"__type": "TimeDelta", "days": 0, "microseconds": 0, "seconds": 10}
    assert slow["dag_run_timeout"] == (delta if admin.version == "2.11.2" else "PT10S")
    assert (slow["max_active_runs"], slow["max_active_tasks"]) == (16, 16)
    assert (single["dag_run_timeout"], single["max_active_runs"]) == (None, 1)
    assert_shape(slow, DETAILS[admin.version])


def test_a_param_has_a_description_beside_its_schema(admin: Api) -> None:
    region = admin.get("/dags/nightly_sales/details").json()["params"]["region"]
    assert region["description"] == "Whose sales to add up"


def test_a_dag_has_the_path_of_its_file_and_no_import_error(admin: Api) -> None:
    """In Airflow 3 also the path relative to the DAG folder."""
    dag = admin.get("/dags/quick_success").json()
    assert dag["fileloc"].startswith("/")
    assert dag["fileloc"].endswith("/quick_success.py")
    assert dag["has_import_errors"] is False
    if admin.version == "2.11.2":
        assert dag["is_active"] is True
    else:
        assert (dag["relative_fileloc"], dag["is_stale"]) == ("quick_success.py", False)


def test_the_runs_of_an_unknown_dag_are_none_in_airflow_2_and_a_404_in_airflow_3(
    admin: Api,
) -> None:
    answer = admin.get("/dags/nope/dagRuns")
    if admin.version == "2.11.2":
        assert (answer.status_code, answer.json()) == (200, {"dag_runs": [], "total_entries": 0})
    else:
        assert (answer.status_code, reason(answer)) == (
            404,
            "The Dag with ID: `nope` was not found",
        )


def test_repeated_states_of_runs_are_alternatives(admin: Api, success: str, failure: str) -> None:
    """Also across all DAGs, by the DAG `~`."""
    found = admin.get("/dags/~/dagRuns", state=["success", "failed"], limit=100).json()["dag_runs"]
    assert {run["state"] for run in found} == {"success", "failed"}
    assert {run["dag_id"] for run in found} >= {"quick_success", "quick_failure"}
    ended = admin.get("/dags/quick_success/dagRuns", state=["success", "failed"], limit=100).json()[
        "dag_runs"
    ]
    assert success in {run["dag_run_id"] for run in ended}
    assert failure not in {run["dag_run_id"] for run in ended}


def test_order_by_start_date_descending_lists_the_latest_run_first(
    admin: Api, success: str
) -> None:
    runs = "/dags/quick_success/dagRuns"
    found = admin.get(runs, state="success", order_by="-start_date", limit=100).json()["dag_runs"]
    assert success in {run["dag_run_id"] for run in found}
    assert_shape(found[0], RUN[admin.version])
    dates = [run["start_date"] for run in found]
    assert dates == sorted(dates, reverse=True)
    assert admin.get(runs, order_by="bogus").status_code == 400


def test_a_limit_of_0_lists_100_runs_in_airflow_2_and_none_in_airflow_3(
    admin: Api, success: str
) -> None:
    """A negative limit is an error.

    So is an unknown filter in Airflow 2, and an unknown state in Airflow 3.
    """
    runs = "/dags/quick_success/dagRuns"
    shown = admin.get(runs, limit=0).json()
    two = admin.version == "2.11.2"
    assert (success in {run["dag_run_id"] for run in shown["dag_runs"]}) is two
    assert shown["total_entries"] > 0
    assert admin.get(runs, limit=-1).status_code == (400 if two else 422)
    assert admin.get(runs, bogus=1).status_code == (400 if two else 200)
    assert admin.get(runs, state="bogus").status_code == (200 if two else 422)


def test_a_pool_has_its_slots_and_how_many_are_occupied(admin: Api) -> None:
    """The default pool always exists."""
    answer = admin.get("/pools/default_pool")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    pool = answer.json()
    assert_shape(pool, POOL[admin.version])
    assert (pool["name"], pool["slots"], pool["description"]) == (
        "default_pool",
        128,
        "Default pool",
    )
    assert pool["open_slots"] == pool["slots"] - pool["occupied_slots"]


def test_an_unknown_pool_is_a_404_that_names_it(admin: Api) -> None:
    answer = admin.get("/pools/nope")
    assert answer.status_code == 404
    message = "Not Found: Pool with name:'nope' not found"
    assert reason(answer) == (
        message if admin.version == "2.11.2" else "The Pool with name: `nope` was not found"
    )


def test_each_diagnostic_endpoint_needs_its_own_permission(
    admin: Api, viewer: Api, readonly_user: Api, success: str
) -> None:
    """Without it the response is the usual 403."""
    run = f"/dags/quick_success/dagRuns/{success}"
    task = f"{run}/taskInstances/succeed"
    paths = [
        f"{run}/taskInstances",
        f"{task}/dependencies",
        f"{task}/logs/1",
        f"{task}/xcomEntries/return_value",
    ]
    paths += [
        "/importErrors",
        "/pools/default_pool",
        "/dags/quick_success/dagRuns",
        "/dags/~/dagRuns/~/taskInstances",
    ]
    paths += [] if admin.version == "2.11.2" else [f"{run}/hitlDetails"]
    assert [admin.get(path).status_code for path in paths] == [200] * len(paths)
    refused = [readonly_user.get(path) for path in paths]
    assert [answer.status_code for answer in refused] == [403] * len(paths)
    assert {answer.text for answer in refused} == {viewer.trigger("quick_success").text}


def test_a_missing_permission_is_a_403_before_any_404(readonly_user: Api) -> None:
    assert readonly_user.get("/dags/nope/dagRuns/nope/taskInstances/nope/logs/1").status_code == 403
    assert readonly_user.get("/pools/nope").status_code == 403


def test_an_import_error_has_its_file_and_traceback(admin: Api, viewer: Api) -> None:
    """Airflow 2 gives the whole path, Airflow 3 one relative to the bundle."""

    def listed() -> list[dict[str, str]]:
        found = admin.get("/importErrors", limit=100).json()
        assert found["total_entries"] == len(found["import_errors"])
        return [error for error in found["import_errors"] if error["filename"].endswith(BROKEN)]

    (error,) = admin.until(listed, bool)
    assert_shape(error, IMPORT_ERROR[admin.version])
    two = admin.version == "2.11.2"
    assert error["filename"].startswith("/") is two
    assert error["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert error["stack_trace"].endswith(f"\nModuleNotFoundError: No module named '{MISSING}'\n")
    assert f'{BROKEN}", line 2, in <module>\n' in error["stack_trace"]
    assert error in viewer.get("/importErrors", limit=100).json()["import_errors"]
    answer = admin.get("/importErrors", filename=BROKEN)
    if two:
        assert (answer.status_code, reason(answer)) == (
            400,
            "None: Extra query parameter(s) filename not in spec",
        )
    else:
        assert [one["filename"] for one in answer.json()["import_errors"]] == [BROKEN]
        assert admin.get("/importErrors", filename="nope.py").json() == {
            "import_errors": [],
            "total_entries": 0,
        }
