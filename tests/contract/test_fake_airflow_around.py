"""What the action relies on to explain a run, besides the run itself, in the real Airflows and the
scripted ones alike.
"""

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
    """A file that cannot be imported, from the first test of this module on, since a real Airflow
    takes its time to notice.
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


def test_the_health_says_what_runs(server: Server, admin: Api) -> None:
    """The health has, without any credential, a status and a last heartbeat per component, null for
    what never ran.
    """
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


def test_what_a_dag_allows(admin: Api) -> None:
    """The details have the limits of a DAG, its time limit in the notation of each version."""
    slow, single = (
        admin.get(f"/dags/{dag_id}/details").json() for dag_id in ("too_slow", "one_at_a_time")
    )
    delta = {"__type": "TimeDelta", "days": 0, "microseconds": 0, "seconds": 10}
    assert slow["dag_run_timeout"] == (delta if admin.version == "2.11.2" else "PT10S")
    assert (slow["max_active_runs"], slow["max_active_tasks"]) == (16, 16)
    assert (single["dag_run_timeout"], single["max_active_runs"]) == (None, 1)
    assert_shape(slow, DETAILS[admin.version])


def test_what_a_param_is_for(admin: Api) -> None:
    """A param's description stands beside its schema."""
    region = admin.get("/dags/nightly_sales/details").json()["params"]["region"]
    assert region["description"] == "Whose sales to add up"


def test_where_a_dag_is(admin: Api) -> None:
    """A DAG has its file's path, in Airflow 3 also below the folder of the DAGs, and no import
    error.
    """
    dag = admin.get("/dags/quick_success").json()
    assert dag["fileloc"].startswith("/")
    assert dag["fileloc"].endswith("/quick_success.py")
    assert dag["has_import_errors"] is False
    if admin.version == "2.11.2":
        assert dag["is_active"] is True
    else:
        assert (dag["relative_fileloc"], dag["is_stale"]) == ("quick_success.py", False)


def test_the_runs_that_are_not_there(admin: Api) -> None:
    """An unknown DAG has no runs in Airflow 2, and is a 404 in Airflow 3."""
    answer = admin.get("/dags/nope/dagRuns")
    if admin.version == "2.11.2":
        assert (answer.status_code, answer.json()) == (200, {"dag_runs": [], "total_entries": 0})
    else:
        assert (answer.status_code, reason(answer)) == (
            404,
            "The Dag with ID: `nope` was not found",
        )


def test_runs_in_some_states(admin: Api, success: str, failure: str) -> None:
    """Repeated states are alternatives; across all DAGs as well, by the DAG `~`."""
    found = admin.get("/dags/~/dagRuns", state=["success", "failed"], limit=100).json()["dag_runs"]
    assert {run["state"] for run in found} == {"success", "failed"}
    assert {run["dag_id"] for run in found} >= {"quick_success", "quick_failure"}
    ended = admin.get("/dags/quick_success/dagRuns", state=["success", "failed"], limit=100).json()[
        "dag_runs"
    ]
    assert success in {run["dag_run_id"] for run in ended}
    assert failure not in {run["dag_run_id"] for run in ended}


def test_the_latest_runs_come_first(admin: Api, success: str) -> None:
    """By -start_date the latest run to start is the first."""
    runs = "/dags/quick_success/dagRuns"
    found = admin.get(runs, state="success", order_by="-start_date", limit=100).json()["dag_runs"]
    assert success in {run["dag_run_id"] for run in found}
    assert_shape(found[0], RUN[admin.version])
    dates = [run["start_date"] for run in found]
    assert dates == sorted(dates, reverse=True)
    assert admin.get(runs, order_by="bogus").status_code == 400


def test_how_many_runs_are_listed(admin: Api, success: str) -> None:
    """No limit is 100 in Airflow 2 and nothing in Airflow 3; a negative one, or an unknown filter
    there, is a mistake.
    """
    runs = "/dags/quick_success/dagRuns"
    shown = admin.get(runs, limit=0).json()
    two = admin.version == "2.11.2"
    assert (success in {run["dag_run_id"] for run in shown["dag_runs"]}) is two
    assert shown["total_entries"] > 0
    assert admin.get(runs, limit=-1).status_code == (400 if two else 422)
    assert admin.get(runs, bogus=1).status_code == (400 if two else 200)
    assert admin.get(runs, state="bogus").status_code == (200 if two else 422)


def test_a_pool(admin: Api) -> None:
    """A pool says how many slots it has and how many are taken; the default pool is always
    there.
    """
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


def test_an_unknown_pool(admin: Api) -> None:
    """An unknown pool is a 404 that names it."""
    answer = admin.get("/pools/nope")
    assert answer.status_code == 404
    words = "Not Found: Pool with name:'nope' not found"
    assert reason(answer) == (
        words if admin.version == "2.11.2" else "The Pool with name: `nope` was not found"
    )


def test_who_may_not_read(admin: Api, viewer: Api, nobody: Api, success: str) -> None:
    """Each thing that explains a run has a right of its own, without which it is a 403 like any
    other.
    """
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
    refused = [nobody.get(path) for path in paths]
    assert [answer.status_code for answer in refused] == [403] * len(paths)
    assert {answer.text for answer in refused} == {viewer.trigger("quick_success").text}


def test_a_missing_right_hides_what_is_not_there(nobody: Api) -> None:
    """Who may not read learns nothing about what is there: a 403 comes before any 404."""
    assert nobody.get("/dags/nope/dagRuns/nope/taskInstances/nope/logs/1").status_code == 403
    assert nobody.get("/pools/nope").status_code == 403


def test_import_errors(admin: Api, viewer: Api) -> None:
    """A file that cannot be imported is listed with its traceback, by its whole path in Airflow 2,
    else below its bundle.
    """

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
