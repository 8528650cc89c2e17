"""Reading task instances page by page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.airflow.rest import MAX_PAGES
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.deadline import Deadline
from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entrypoint.models import TaskList

WHEN = datetime(2026, 1, 31, tzinfo=UTC)
VERSIONS = ("2.4.3", "2.10.5", "2.11.2", "3.0.6", "3.3.2")


@dataclass
class PagedAirflow:
    """A transport to an Airflow with `total` task instances and a page limit."""

    total: int
    largest: int = 100
    base_url: str = "https://airflow.example.com"
    ui_url: str = base_url
    requests_sent: list[dict[str, Any]] = field(default_factory=list)
    time: float = 1000.0
    moves: bool = True

    def clock(self) -> float:
        """Return the time if each page takes one second."""
        return float(len(self.requests_sent))

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
        assert body is None
        assert deadline.at == self.time
        self.requests_sent.append(dict(params))
        first = params["offset"] if self.moves else 0
        last = min(first + min(params["limit"], self.largest), self.total)
        items = [
            {"task_id": "load", "map_index": index, "state": "success"}
            for index in range(first, last)
        ]
        return Response(
            200, {"task_instances": items, "total_entries": self.total}, f"{method} {path}"
        )


def read_tasks(pages: PagedAirflow, version: str, **only: Any) -> TaskList:
    transport: Any = pages
    deadline = Deadline(lambda: pages.clock(), pages.time)  # noqa: PLW0108 - a test replaces it
    airflow = (V1 if version.startswith("2") else V2)(transport, version, deadline)
    return airflow.task_instances("sales", "r1", **only)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 1234])
def test_all_task_instances_are_read_in_the_fewest_pages(version: str, total: int) -> None:
    pages = PagedAirflow(total, 100_000 if version.startswith("2") else 100)
    found = read_tasks(pages, version)

    assert [task.map_index for task in found.instances] == list(range(total))
    assert (found.total, found.unread) == (total, 0)
    assert len(pages.requests_sent) == (1 if version.startswith("2") else max(1, -(-total // 100)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("most", "requests"), [(0, (1, 1)), (1, (1, 1)), (100, (1, 1)), (250, (1, 3)), (5000, (1, 13))]
)
def test_reading_stops_at_the_limit_but_knows_the_total(
    version: str, most: int, requests: tuple[int, int]
) -> None:
    pages = PagedAirflow(1234, 100_000 if version.startswith("2") else 100)
    found = read_tasks(pages, version, most=most)

    assert (len(found.instances), found.total) == (min(most, 1234), 1234)
    assert found.unread == 1234 - len(found.instances)
    assert len(pages.requests_sent) == requests[version.startswith("3")]
    assert sum(one["limit"] for one in pages.requests_sent) == most if most < 1234 else True


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("pages", "requests"),
    [
        (PagedAirflow(150, 0), 1),
        (PagedAirflow(5000, 10, moves=False), 2),
        (PagedAirflow(10**9, 1), MAX_PAGES),
    ],
)
@pytest.mark.parametrize("most", [None, 5000])
def test_incomplete_list_is_an_error(
    version: str, pages: PagedAirflow, requests: int, most: int | None
) -> None:
    """A page is empty, repeats the last one, or the pages never end."""
    pages = replace(pages, requests_sent=[])
    with pytest.raises(UnexpectedResponse, match=f"of {pages.total} task instances"):
        read_tasks(pages, version, most=most)

    assert len(pages.requests_sent) == requests


@pytest.mark.parametrize("left", [-5.0, 0.0, 0.5, 3.0])
def test_no_page_is_requested_after_the_deadline(left: float) -> None:
    """A list that fits into one request is still read."""
    pages = PagedAirflow(5000, time=left)
    with pytest.raises(TransientError, match="too slowly") as caught:
        read_tasks(pages, "3.3.2")
    sent = max(1, ceil(left))

    assert len(pages.requests_sent) == sent
    assert f"Of 5000 task instances {100 * sent} were read" in caught.value.detail
    assert len(read_tasks(PagedAirflow(100, time=left), "3.3.2").instances) == 100


def test_list_that_shrinks_while_it_is_read_is_valid() -> None:
    pages = PagedAirflow(150)

    def clock() -> float:
        pages.total = 90
        return 1.0

    pages.clock = clock  # type: ignore[method-assign]
    assert len(read_tasks(pages, "3.3.2", states=("running",)).instances) == 100
    assert len(pages.requests_sent) == 2


@pytest.mark.parametrize(
    ("version", "changes_only"),
    [("2.4.3", False), ("2.10.5", False), ("2.11.2", True), ("3.0.6", True), ("3.3.2", True)],
)
def test_only_changes_are_requested_if_airflow_supports_it(
    version: str, changes_only: bool
) -> None:
    pages = PagedAirflow(1)

    assert read_tasks(pages, version) == read_tasks(pages, version, changed_since=WHEN)
    assert [params.get("updated_at_gte") for params in pages.requests_sent] == [
        None,
        WHEN.isoformat() if changes_only else None,
    ]


@pytest.mark.parametrize(
    ("version", "known"), [(version, version == "3.3.2") for version in VERSIONS]
)
def test_states_unknown_to_the_version_are_not_requested(version: str, known: bool) -> None:
    """Airflow would refuse them."""
    pages = PagedAirflow(1)
    read_tasks(pages, version)
    read_tasks(pages, version, states=("none", "running", "awaiting_input"))

    assert [params.get("state") for params in pages.requests_sent] == [
        None,
        ["none", "running", *(["awaiting_input"] if known else [])],
    ]
