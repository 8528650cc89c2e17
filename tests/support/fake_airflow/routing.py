"""From a request to the method of a dialect that answers it. Knows neither dialect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.support.fake_airflow.world import World

    Accept = Callable[[ReceivedRequest], str | None]
    """Says for which role a credential in a request is good, None if there is none that it knows;
    may raise RefusedError.
    """

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that found its route: what the template's braces matched, decoded."""

    request: ReceivedRequest
    parameters: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is a template, e.g. "/dags/{dag_id}"; it matches the decoded path, as both servers do.

    `feature`: what a user may be denied, see `FakeAirflow.deny`.
    """

    method: str
    path: str
    handler: Callable[[Call], FakeResponse]
    feature: str = ""

    def match(self, path: str) -> dict[str, str] | None:
        """What the braces match, or None."""
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path), path)
        return found.groupdict() if found else None


class RestAirflow:
    """One version's way to speak. `accept` knows credentials besides the version's own, and is
    asked first.
    """

    def __init__(self, world: World, prefix: str) -> None:
        self.world = world
        self.prefix = prefix
        self.accept: Accept = lambda _: None
        self.routes: tuple[Route, ...] = ()

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Executes a request."""
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
        return self.unrouted(request, path, other_methods=others)

    def role(self, request: ReceivedRequest) -> str:
        """The role of who sent a request; refuses a bad credential."""
        return self.accept(request) or self.own_role(request)

    def own_role(self, request: ReceivedRequest) -> str:
        """The role by the version's own kind of credential; refuses a bad one."""
        raise NotImplementedError

    def forbidden(self) -> RefusedError:
        """The answer to who lacks a right."""
        raise NotImplementedError

    def local_path(self, request: ReceivedRequest) -> str | FakeResponse:
        """The decoded path below the prefix, or the answer to a request outside it."""
        raise NotImplementedError

    def unrouted(self, request: ReceivedRequest, path: str, *, other_methods: bool) -> FakeResponse:
        """The answer to a request without a route (`other_methods`: there is one for another
        method).
        """
        raise NotImplementedError

    def _permit(self, request: ReceivedRequest, feature: str) -> None:
        if feature and not {(feature, None), (feature, self.role(request))}.isdisjoint(
            self.world.denied
        ):
            raise self.forbidden()

    def below_prefix(self, request: ReceivedRequest) -> str | None:
        """The decoded path below the prefix, None if the request is outside it."""
        path = unquote(request.path)
        return path[len(self.prefix) :] if path.startswith(f"{self.prefix}/") else None


def ordered(
    rows: Iterable[T], keys: list[str], columns: Mapping[str, Callable[[T], Any]]
) -> list[T]:
    """The rows by these columns, "-" before a name being descending; nulls are smallest, as in
    SQLite.

    What is equal stays in the order in which it was made, the other way round if the first column
    is descending.
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


def page_of(rows: list[T], request: ReceivedRequest, *, default: int, cap: int | None) -> list[T]:
    """The rows that limit and offset ask for; a limit above the cap is silently cut."""
    limit, offset = int(request.first("limit", str(default))), int(request.first("offset", "0"))
    limit = min(limit, cap) if cap is not None else limit
    return rows[offset:] if limit < 0 else rows[offset : offset + limit]
