"""Route a request to the method that answers it. Must not know either API version."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from tests.support.fake_airflow.database import Database

    Accept = Callable[[ReceivedRequest], str | None]
    """Return the role of a request's credential, None if it is unknown; may raise RefusedError."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its route's parameters, decoded."""

    request: ReceivedRequest
    parameters: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template such as "/dags/{dag_id}", which matches the decoded path.

    `feature` is what `FakeAirflow.deny` denies.
    """

    method: str
    path: str
    handler: Callable[[Call], FakeResponse]
    feature: str = ""

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters, or None."""
        found = _pattern(self.path).fullmatch(path)
        return found.groupdict() if found else None


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))


class FakeRestApi:
    """The REST API of one version. `accept` checks further credentials first."""

    def __init__(self, database: Database, prefix: str) -> None:
        self.database = database
        self.prefix = prefix
        self.airflow = ""
        self.accept: Accept = lambda _: None
        self.routes: tuple[Route, ...] = ()

    def has(self, *release: int) -> bool:
        """Tell whether this is the API of this release or of a later one."""
        return tuple(map(int, re.findall(r"(?:^|\.)(\d+)", self.airflow))) >= release

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        path = self.local_path(request)
        if isinstance(path, FakeResponse):
            return path
        others = False
        for route in self.routes:
            parameters = route.match(path)
            if parameters is not None and route.method == request.method:
                try:
                    self._permit(request, route.feature)
                    return route.handler(Call(request, parameters))
                except RefusedError as refused:
                    return refused.answer
            others = others or parameters is not None
        return self.no_route(request, path, other_methods=others)

    def role(self, request: ReceivedRequest) -> str:
        """Return the role of the request's user; refuse a bad credential."""
        return self.accept(request) or self.own_role(request)

    def own_role(self, request: ReceivedRequest) -> str:
        """Return the role by the version's own kind of credential; refuse a bad one."""
        raise NotImplementedError

    def forbidden(self) -> RefusedError:
        """Return the response for a missing permission."""
        raise NotImplementedError

    def local_path(self, request: ReceivedRequest) -> str | FakeResponse:
        """Return the decoded path below the prefix, or the response to a request outside it."""
        raise NotImplementedError

    def no_route(self, request: ReceivedRequest, path: str, *, other_methods: bool) -> FakeResponse:
        """Return the response to a request without a route."""
        raise NotImplementedError

    def _permit(self, request: ReceivedRequest, feature: str) -> None:
        if feature and not {(feature, None), (feature, self.role(request))}.isdisjoint(
            self.database.denied
        ):
            raise self.forbidden()

    def below_prefix(self, request: ReceivedRequest) -> str | None:
        """Return the decoded path below the prefix, None outside it."""
        path = unquote(request.path)
        return path[len(self.prefix) :] if path.startswith(f"{self.prefix}/") else None


def ordered(
    rows: Iterable[T], keys: list[str], columns: Mapping[str, Callable[[T], Any]]
) -> list[T]:
    """Sort the rows by these columns; "-" means descending.

    Nulls are smallest, as in SQLite. Equal rows stay in order of creation, reversed if the first
    column is descending.
    """

    def value(row: T, name: str) -> tuple[bool, Any]:
        found = columns[name](row)
        return found is not None, found

    found = list(rows)
    if keys and keys[0].startswith("-"):
        found.reverse()
    for key in reversed(keys):
        found.sort(key=partial(value, name=key.removeprefix("-")), reverse=key.startswith("-"))
    return found


def is_between(moment: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    """Return whether a moment is in a range whose ends may be open."""
    if since is None and until is None:
        return True
    return (
        moment is not None
        and (since is None or since <= moment)
        and (until is None or moment <= until)
    )


def page_of(rows: list[T], request: ReceivedRequest, *, default: int, cap: int | None) -> list[T]:
    """Return the rows for limit and offset; a limit above the cap is silently cut."""
    limit, offset = int(request.first("limit", str(default))), int(request.first("offset", "0"))
    limit = min(limit, cap) if cap is not None else limit
    return rows[offset:] if limit < 0 else rows[offset : offset + limit]
