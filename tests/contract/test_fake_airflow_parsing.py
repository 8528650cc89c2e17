"""What the action relies on to know which code Airflow has, in the real Airflows and the scripted
ones alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api import reason
from tests.support.fake_airflow import FakeDag

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tests.contract.api import Api
    from tests.contract.client import Talk


def parse(api: Api, token: str) -> requests.Response:
    """Asks for a parsing; what is asked already is a 409 in Airflow 3 (and a 201 with words in it
    in Airflow 2).
    """
    return api.put(f"/parseDagFile/{token}")


def test_a_file_is_parsed_when_somebody_asks(admin: Api) -> None:
    """Asked for by its file's token, a DAG is parsed anew: its last_parsed_time moves on, and
    nothing else of it.
    """
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


def test_a_token_of_no_file(admin: Api) -> None:
    """A token that Airflow has not made is a 404."""
    answer = parse(admin, "nonsense")

    assert answer.status_code == 404
    assert reason(answer) == (
        "File not found: None" if admin.version == "2.11.2" else "File not found"
    )


def test_who_may_only_read_may_not_ask(admin: Api, viewer: Api) -> None:
    """To ask for a parsing one has to be allowed to edit the DAG."""
    token = admin.get("/dags/quick_success").json()["file_token"]

    assert parse(viewer, token).status_code == 403


def test_a_bundle_without_versions(admin: Api) -> None:
    """Airflow 3 says that a folder of DAG files has no version, for the DAG as for its structure;
    Airflow 2 knows none.
    """
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


def test_what_somebody_deploys(start: Callable[..., Talk]) -> None:
    """A test can deploy a DAG: a new one, another version of one, a broken one, which then is not
    parsed.
    """
    talk = start()
    first = talk.call("GET", "/dags/d").json()
    talk.fake.deploy(FakeDag("d", max_active_runs=3))
    second = talk.call("GET", "/dags/d").json()
    talk.fake.deploy(FakeDag("d", broken="Traceback"))
    talk.fake.parse("d")
    third = talk.call("GET", "/dags/d").json()
    talk.fake.deploy(FakeDag("new"))

    assert first["last_parsed_time"] < second["last_parsed_time"] == third["last_parsed_time"]
    assert (second["max_active_runs"], second["has_import_errors"], third["has_import_errors"]) == (
        3,
        False,
        True,
    )
    assert talk.call("GET", "/dags/new").status_code == 200
    assert [
        one["stack_trace"] for one in talk.call("GET", "/importErrors").json()["import_errors"]
    ] == ["Traceback"]


@pytest.mark.parametrize("lagging", [None, "a" * 40])
def test_a_version_that_lags(start_3: Callable[..., Talk], lagging: str | None) -> None:
    """A test can let a DAG's structure lag behind its bundle; a run gets the bundle's version."""
    talk = start_3(FakeDag("d", bundle_version="b" * 40, latest_dag_version=lagging))

    details = talk.call("GET", "/dags/d/details").json()

    assert details["bundle_version"] == "b" * 40
    assert details["latest_dag_version"]["bundle_version"] == (lagging or "b" * 40)
    assert talk.trigger().json()["bundle_version"] == "b" * 40
