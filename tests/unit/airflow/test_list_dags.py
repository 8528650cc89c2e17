"""Reading the list of DAGs page by page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.airflow.rest import MAX_PAGES
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.deadline import Deadline
from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entrypoint.models import Dag

VERSIONS = ("2.0.2", "2.11.2", "3.0.6", "3.3.2")


@dataclass
class ListedAirflow:
    """A transport to an Airflow with these DAGs and a page limit.

    `before_page` may change the DAGs before the page with this number, from 1.
    """

    dags: list[dict[str, Any]]
    largest: int = 100
    total: int | None = None
    before_page: Callable[[int, list[dict[str, Any]]], None] = lambda *_: None
    base_url: str = "https://airflow.example.com"
    requests_sent: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 1000.0

    def send(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        params: Mapping[str, Any],
        body: None,
        **_: Any,
    ) -> Response:
        assert (method, path.split("/", 3)[3], body) == ("GET", "dags", None)
        assert deadline.at == self.seconds
        self.requests_sent.append(dict(params))
        self.before_page(len(self.requests_sent), self.dags)
        first = params["offset"]
        items = self.dags[first : first + min(params["limit"], self.largest)]
        total = len(self.dags) if self.total is None else self.total
        return Response(200, {"dags": items, "total_entries": total}, f"{method} {path}")


def dag(number: int | str, **more: Any) -> dict[str, Any]:
    name = f"dag_{number:04}" if isinstance(number, int) else number
    return {"dag_id": name, "is_paused": False, "tags": [{"name": "all"}]} | more


def dags(count: int) -> list[dict[str, Any]]:
    return [dag(number) for number in range(count)]


def list_dags(
    airflow: ListedAirflow, version: str = "3.3.2", tag: str | None = None, *, stale: bool = False
) -> tuple[Dag, ...]:
    transport: Any = airflow
    deadline = Deadline(lambda: float(len(airflow.requests_sent)), airflow.seconds)
    client = (V1 if version.startswith("2") else V2)(transport, version, deadline)
    return client.list_dags(tag, stale=stale)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("largest", [100, 30])
@pytest.mark.parametrize("total", [0, 1, 100, 101, 1234])
def test_all_dags_are_read_in_the_fewest_pages(version: str, largest: int, total: int) -> None:
    """An Airflow 2 may have a smaller limit (`maximum_page_limit`). Pages overlap by one DAG."""
    airflow = ListedAirflow(dags(total), largest)
    found = list_dags(airflow, version)

    assert [one.dag_id for one in found] == [one["dag_id"] for one in airflow.dags]
    assert len(airflow.requests_sent) == max(1, -(-(total - 1) // (largest - 1)))


@pytest.mark.parametrize(
    ("version", "tag", "stale", "filters"),
    [
        ("2.0.2", None, False, {}),
        ("2.0.2", "all", True, {}),
        ("2.2.5", "all", False, {"only_active": "true", "tags": "all"}),
        ("2.11.2", None, False, {"only_active": "true"}),
        ("2.11.2", "a & b", True, {"only_active": "false", "tags": "a & b"}),
        ("2.11.2", "a,b", False, {"only_active": "true"}),
        ("3.3.2", None, False, {"exclude_stale": "true"}),
        ("3.3.2", "a,b", True, {"exclude_stale": "false", "tags": "a,b"}),
    ],
)
def test_the_filters_are_those_of_the_version(
    version: str, tag: str | None, stale: bool, filters: dict[str, str]
) -> None:
    """Airflow 2 splits a tag at its commas, and refuses a filter that it does not know."""
    airflow = ListedAirflow(dags(1))
    list_dags(airflow, version, tag, stale=stale)

    assert airflow.requests_sent == [{**filters, "limit": 100, "offset": 0}]


@pytest.mark.parametrize("version", VERSIONS)
def test_only_active_dags_with_the_tag_are_returned(version: str) -> None:
    """Whatever the filters of this version select."""
    stale = {"is_active": False} if version.startswith("2") else {"is_stale": True}
    airflow = ListedAirflow(
        [
            dag("a"),
            dag("b", tags=[{"name": "smoke"}, {"name": "all"}], is_paused=True),
            dag("c", tags=[{"name": "smoke"}], **stale),
            dag("d", tags=None),
            dag("e", tags=[{"name": "Smoke"}, {"name": "smoke 2"}, "smoke", {}]),
            dag("f", **stale),
        ]
    )
    assert [(one.dag_id, one.is_paused) for one in list_dags(airflow, version, "smoke")] == [
        ("b", True)
    ]
    assert [one.dag_id for one in list_dags(airflow, version)] == ["a", "b", "d", "e"]
    assert [one.dag_id for one in list_dags(airflow, version, "smoke", stale=True)] == ["b", "c"]


def add_first(page: int, listed: list[dict[str, Any]]) -> None:
    if page == 2:
        listed.insert(0, dag("a_new_one"))


def remove_first(page: int, listed: list[dict[str, Any]]) -> None:
    if page == 2:
        listed.pop(0)


def replace_first(page: int, listed: list[dict[str, Any]]) -> None:
    """Rename the first DAG, so that it becomes the last one. The total stays the same."""
    if page == 2:
        listed.pop(0)
        listed.append(dag("z_renamed"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "script",
    [
        ListedAirflow(dags(150), before_page=add_first),
        ListedAirflow(dags(150), before_page=remove_first),
        ListedAirflow(dags(150), before_page=replace_first),
        ListedAirflow(dags(150), largest=0),
        ListedAirflow(dags(150), total=151),
        ListedAirflow(dags(150), total=120),
        ListedAirflow([*dags(99), dag(98)]),
    ],
)
def test_an_incomplete_list_is_a_transient_error(version: str, script: ListedAirflow) -> None:
    """A DAG came or went between two pages, or the pages do not have as many as the total says."""
    airflow = ListedAirflow(list(script.dags), script.largest, script.total, script.before_page)
    with pytest.raises(TransientError) as caught:
        list_dags(airflow, version)

    assert caught.value.title == "Airflow's list of DAGs changed while it was read"
    assert len(airflow.requests_sent) <= 3


def test_pages_of_one_dag_do_not_overlap() -> None:
    assert len(list_dags(ListedAirflow(dags(20), largest=1))) == 20


def test_endless_pages_end() -> None:
    with pytest.raises(TransientError, match=f"{MAX_PAGES} DAGs were read"):
        list_dags(ListedAirflow(dags(1000), largest=1))


@pytest.mark.parametrize("left", [-5.0, 0.0, 3.0])
def test_no_page_is_requested_after_the_deadline(left: float) -> None:
    """A list that fits into one request is still read."""
    airflow = ListedAirflow(dags(1000), seconds=left)
    with pytest.raises(TransientError, match="lists the DAGs too slowly") as caught:
        list_dags(airflow)

    assert len(airflow.requests_sent) == max(1, left)
    assert f"Of 1000 DAGs {99 * max(1, int(left)) + 1} were read" in caught.value.detail
    assert len(list_dags(ListedAirflow(dags(100), seconds=left))) == 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"dag_id": None},
        {"is_paused": "no"},
        {"tags": "smoke"},
        {"last_parsed_time": 7},
    ],
)
def test_a_dag_that_cannot_be_read_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedResponse):
        list_dags(ListedAirflow([dag("a"), dag("b", **wrong)]))
