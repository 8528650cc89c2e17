"""Reading task instances: in pages that each API gives, no more than is wanted, and only what it
was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.airflow.task_instances import MAX_PAGES
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entrypoint.models import TaskList

WHEN = datetime(2026, 1, 31, tzinfo=UTC)
VERSIONS = ("2.4.3", "2.10.5", "2.11.2", "3.0.6", "3.3.2")


@dataclass
class Pages:
    """A transport to an Airflow with so many task instances, that gives at the most so many in one
    answer.
    """

    total: int
    largest: int = 100
    base_url: str = "https://airflow.example.com"
    asked: list[dict[str, Any]] = field(default_factory=list)
    time: float = 1000.0
    moves: bool = True

    def seconds_left(self) -> float:
        """A page takes a second."""
        return self.time - len(self.asked)

    def get(self, path: str, params: Mapping[str, Any]) -> Response:
        """Give a page."""
        self.asked.append(dict(params))
        first = params["offset"] if self.moves else 0
        last = min(first + min(params["limit"], self.largest), self.total)
        items = [
            {"task_id": "load", "map_index": index, "state": "success"}
            for index in range(first, last)
        ]
        return Response(200, {"task_instances": items, "total_entries": self.total}, f"GET {path}")


def read(pages: Pages, version: str, **only: Any) -> TaskList:
    """Read the run's task instances."""
    transport: Any = pages
    return (V1 if version.startswith("2") else V2)(transport, version).task_instances(
        "sales", "r1", **only
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 1234])
def test_all_are_read(version: str, total: int) -> None:
    """However many there are, each is there once, in as few answers as the API gives."""
    pages = Pages(total, 100_000 if version.startswith("2") else 100)
    found = read(pages, version)

    assert [task.map_index for task in found.instances] == list(range(total))
    assert (found.total, found.unread) == (total, 0)
    assert len(pages.asked) == (1 if version.startswith("2") else max(1, -(-total // 100)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("most", "requests"), [(0, (1, 1)), (1, (1, 1)), (100, (1, 1)), (250, (1, 3)), (5000, (1, 13))]
)
def test_no_more_than_is_wanted(version: str, most: int, requests: tuple[int, int]) -> None:
    """Of more than is wanted only so many are asked for, and how many there are in all is known
    even so.
    """
    pages = Pages(1234, 100_000 if version.startswith("2") else 100)
    found = read(pages, version, most=most)

    assert (len(found.instances), found.total) == (min(most, 1234), 1234)
    assert found.unread == 1234 - len(found.instances)
    assert len(pages.asked) == requests[version.startswith("3")]
    assert sum(one["limit"] for one in pages.asked) == most if most < 1234 else True


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("pages", "requests"),
    [(Pages(150, 0), 1), (Pages(5000, 10, moves=False), 2), (Pages(10**9, 1), MAX_PAGES)],
)
@pytest.mark.parametrize("most", [None, 5000])
def test_half_a_list_is_none(version: str, pages: Pages, requests: int, most: int | None) -> None:
    """An empty page, one that brings nothing new, and pages without an end: reading stops, and
    takes it for no list.
    """
    pages = replace(pages, asked=[])
    with pytest.raises(UnexpectedResponse, match=f"of {pages.total} task instances"):
        read(pages, version, most=most)

    assert len(pages.asked) == requests


@pytest.mark.parametrize("left", [-5.0, 0.0, 0.5, 3.0])
def test_no_page_after_the_time(left: float) -> None:
    """Once the time is over no further page is asked for, and what was read is no list; a single
    request is still sent.
    """
    pages = Pages(5000, time=left)
    with pytest.raises(TransientError, match="too slowly") as caught:
        read(pages, "3.3.2")
    sent = max(1, ceil(left))

    assert len(pages.asked) == sent
    assert f"Of 5000 task instances {100 * sent} were read" in caught.value.detail
    assert len(read(Pages(100, time=left), "3.3.2").instances) == 100


def test_a_list_that_becomes_shorter_meanwhile() -> None:
    """What leaves a state while those in it are read is no reason to doubt the list."""
    pages = Pages(150)

    def seconds_left() -> float:
        pages.total = 90
        return 1.0

    pages.seconds_left = seconds_left  # type: ignore[method-assign]
    assert len(read(pages, "3.3.2", states=("running",)).instances) == 100
    assert len(pages.asked) == 2


@pytest.mark.parametrize(
    ("version", "told"),
    [("2.4.3", False), ("2.10.5", False), ("2.11.2", True), ("3.0.6", True), ("3.3.2", True)],
)
def test_only_changes(version: str, told: bool) -> None:
    """An Airflow that knows when task instances changed is asked for the changed ones, an older one
    for all.
    """
    pages = Pages(1)

    assert read(pages, version) == read(pages, version, changed_since=WHEN)
    assert [params.get("updated_at_gte") for params in pages.asked] == [
        None,
        WHEN.isoformat() if told else None,
    ]


@pytest.mark.parametrize(
    ("version", "known"), [(version, version == "3.3.2") for version in VERSIONS]
)
def test_only_some_states(version: str, known: bool) -> None:
    """Airflow chooses by state; one that does not have a state is not asked for it, since it would
    refuse.
    """
    pages = Pages(1)
    read(pages, version)
    read(pages, version, states=("none", "running", "awaiting_input"))

    assert [params.get("state") for params in pages.asked] == [
        None,
        ["none", "running", *(["awaiting_input"] if known else [])],
    ]
