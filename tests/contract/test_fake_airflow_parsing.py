"""Parsing of DAG files and DAG versions, on real and scripted Airflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api import reason
from tests.support.fake_airflow import FakeDag

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tests.contract.api import Api
    from tests.contract.client import ApiClient


def parse(api: Api, token: str) -> requests.Response:
    """Request parsing.

    Airflow 3 answers a repeated request with 409, Airflow 2 with 201 and a text.
    """
    return api.put(f"/parseDagFile/{token}")


def test_a_requested_parsing_moves_last_parsed_time_and_nothing_else(admin: Api) -> None:
    before: dict[str, Any] = admin.get("/dags/quick_success").json()

    answer = parse(admin, before["file_token"])

    assert answer.status_code == 201
    if admin.version == "2.11.2":
        assert (answer.headers["Content-Type"], answer.text) == ("text/html; charset=utf-8", "")
    else:
        assert answer.json() is None
    after = admin.until(
        lambda: admin.get("/dags/quick_success").json(),
        lambda dag: dag["last_parsed_time"] != before["last_parsed_time"],
    )
    assert after["last_parsed_time"] > before["last_parsed_time"]
    moving = {"last_parsed_time", "last_parse_duration", "next_dagrun_run_after"}
    assert {key for key in before if before[key] != after[key]} <= moving


def test_an_unknown_file_token_is_a_404(admin: Api) -> None:
    answer = parse(admin, "nonsense")

    assert answer.status_code == 404
    assert reason(answer) == (
        "File not found: None" if admin.version == "2.11.2" else "File not found"
    )


def test_a_viewer_may_not_request_parsing(admin: Api, viewer: Api) -> None:
    """It needs the permission to edit the DAG."""
    token = admin.get("/dags/quick_success").json()["file_token"]

    assert parse(viewer, token).status_code == 403


def test_a_folder_of_dag_files_has_no_bundle_version(admin: Api) -> None:
    """Airflow 3 says so for the DAG and for its structure; Airflow 2 has no such fields."""
    dag, details = (
        admin.get("/dags/quick_success").json(),
        admin.get("/dags/quick_success/details").json(),
    )

    if admin.version == "2.11.2":
        assert "bundle_version" not in dag
        assert "latest_dag_version" not in details
    else:
        assert (dag["bundle_name"], dag["bundle_version"]) == ("dags-folder", None)
        assert details["latest_dag_version"]["bundle_version"] is None


def test_a_test_can_deploy_a_new_a_changed_or_a_broken_dag(start: Callable[..., ApiClient]) -> None:
    client = start()
    first = client.call("GET", "/dags/d").json()
    client.fake.deploy(FakeDag("d", max_active_runs=3))
    second = client.call("GET", "/dags/d").json()
    client.fake.deploy(FakeDag("d", broken="Traceback"))
    client.fake.parse("d")
    third = client.call("GET", "/dags/d").json()
    client.fake.deploy(FakeDag("new"))

    assert first["last_parsed_time"] < second["last_parsed_time"] == third["last_parsed_time"]
    assert (second["max_active_runs"], second["has_import_errors"], third["has_import_errors"]) == (
        3,
        False,
        True,
    )
    assert client.call("GET", "/dags/new").status_code == 200
    assert [
        one["stack_trace"] for one in client.call("GET", "/importErrors").json()["import_errors"]
    ] == ["Traceback"]


@pytest.mark.parametrize("lagging", [None, "a" * 40])
def test_a_test_can_let_the_dag_structure_lag_behind_its_bundle(
    start_3: Callable[..., ApiClient], lagging: str | None
) -> None:
    """A run gets the version of the bundle."""
    client = start_3(FakeDag("d", bundle_version="b" * 40, latest_dag_version=lagging))

    details = client.call("GET", "/dags/d/details").json()

    assert details["bundle_version"] == "b" * 40
    assert details["latest_dag_version"]["bundle_version"] == (lagging or "b" * 40)
    assert client.trigger().json()["bundle_version"] == "b" * 40
