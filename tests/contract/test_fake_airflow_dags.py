"""The list of DAGs in both versions, on real and scripted Airflows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dev.airflow_settings import password_of
from entrypoint.inputs.settings import parse_settings
from entrypoint.report.console import Console
from entrypoint.runners import github as runner
from entrypoint.session import Session
from tests.contract.shapes import DAG, assert_shape
from tests.support.fake_airflow import FakeDag
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.api import Api
    from tests.contract.client import ApiClient

TAGGED = ["tagged_smoke", "tagged_weekly"]


def names(body: Any) -> list[str]:
    return [dag["dag_id"] for dag in body["dags"]]


def test_a_list_has_whole_dags_ordered_by_id(admin: Api) -> None:
    answer = admin.get("/dags", limit=100)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body = answer.json()
    for dag in body["dags"]:
        assert_shape(dag, DAG[admin.version])
    assert names(body) == sorted(names(body))
    assert body["total_entries"] == len(body["dags"])
    assert {"quick_success", "paused_dag", *TAGGED} <= set(names(body))


def test_a_listed_dag_is_as_a_get_of_it_returns_it(admin: Api) -> None:
    """Airflow may parse it between the two requests."""
    admin.until(
        lambda: (
            admin.get("/dags", tags="smoke").json()["dags"],
            [admin.get("/dags/tagged_smoke").json()],
        ),
        lambda found: found[0] == found[1],
    )


def test_limit_and_offset_page_dags_without_a_loss(admin: Api) -> None:
    """Beyond the end a page is empty. The total counts all pages."""
    pages = [
        admin.get("/dags", tags="tagged", limit=1, offset=offset).json() for offset in (0, 1, 2)
    ]
    assert [names(page) for page in pages] == [TAGGED[:1], TAGGED[1:], []]
    assert [page["total_entries"] for page in pages] == [2, 2, 2]


def test_a_limit_of_0_lists_100_dags_in_airflow_2_and_none_in_airflow_3(admin: Api) -> None:
    """A negative limit is an error, and so is an unknown parameter in Airflow 2."""
    two = admin.version == "2.11.2"
    body = admin.get("/dags", limit=0).json()
    assert (len(body["dags"]) == body["total_entries"]) is two
    assert bool(body["dags"]) is two
    assert admin.get("/dags", limit=-1).status_code == (400 if two else 422)
    assert admin.get("/dags", bogus=1).status_code == (400 if two else 200)


@pytest.mark.parametrize(
    ("tags", "two", "three"),
    [
        ("tagged", TAGGED, TAGGED),
        ("smoke", ["tagged_smoke"], ["tagged_smoke"]),
        ("Zoë & co", ["tagged_weekly"], ["tagged_weekly"]),
        (["smoke", "Zoë & co"], TAGGED, TAGGED),
        # Airflow 2 splits at the comma.
        ("smoke, weekly", ["tagged_smoke"], ["tagged_weekly"]),
        ("SMOKE", [], []),
        ("smok", [], []),
        ("", [], []),
    ],
)
def test_tags_are_alternatives_of_exact_names(
    admin: Api, tags: str | list[str], two: list[str], three: list[str]
) -> None:
    active = {"only_active": "true"} if admin.version == "2.11.2" else {"exclude_stale": "true"}
    body = admin.get("/dags", tags=tags, **active).json()
    expected = two if admin.version == "2.11.2" else three
    assert (names(body), body["total_entries"]) == (expected, len(expected))


def test_a_viewer_may_list_dags(viewer: Api) -> None:
    assert viewer.get("/dags", limit=1).status_code == 200


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("tagged", TAGGED),
        ("smoke", TAGGED[:1]),
        ("smoke, weekly", TAGGED[1:]),
        ("Zoë & co", TAGGED[1:]),
        ("smok", []),
        ("", []),
    ],
)
def test_the_action_lists_the_dags_with_a_tag(admin: Api, tag: str, expected: list[str]) -> None:
    """The same on both versions, also for a tag with a comma."""
    time = VirtualTime()
    login = {"username": "admin", "password": password_of("admin")}
    inputs = {"airflow_url": admin.server.url, "dag_id": "x", **login}
    session = Session(
        parse_settings(inputs, Path()), time.clock, time.sleep, runner, Console(time.clock, runner)
    )
    airflow = session.connect(session.deadline(60))
    found = airflow.list_dags(tag)

    assert [dag.dag_id for dag in found] == expected
    assert set(expected) <= {dag.dag_id for dag in airflow.list_dags()}
    assert {dag.file.split("/")[-1] for dag in found} <= {"tagged.py"}


def test_a_stale_or_unparsed_dag_is_not_listed(start: Callable[..., ApiClient]) -> None:
    """Except if stale ones are asked for.

    Measured: docs/notes/airflow-2.md#list-of-dags, docs/notes/airflow-3.md#list-of-dags.
    """
    for dag, default, stale in (
        (FakeDag("d"), ["d"], ["d"]),
        (FakeDag("d", stale=True), [], ["d"]),
        (FakeDag("d", parsed_after=1), [], []),
    ):
        client = start(dag)
        filters = ("only_active", "exclude_stale")
        parameter = filters[client.fake.version == "3.3.2"]
        assert names(client.call("GET", "/dags").json()) == default
        assert names(client.call("GET", f"/dags?{parameter}=true").json()) == default
        assert names(client.call("GET", f"/dags?{parameter}=false").json()) == stale
