"""What goes over the wire, as data: a request, an answer, and the record of both. Knows no socket
and no Airflow.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from email.message import Message
    from typing import Self

JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as received. `path` is as sent (percent-encoded, prefix included), `query`
    decoded.

    `client`: the common name of the certificate that the client presented, if any.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes
    client: str = ""

    def first(self, key: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(key, [default])[0]


@dataclass(slots=True)
class Traffic:
    """How much was sent: requests, and bytes of their bodies as the server made them and as they
    went over the wire.
    """

    requests: int = 0
    content: int = 0
    wire: int = 0


@dataclass(frozen=True, slots=True)
class FakeResponse:
    """One answer. With `stream` each item is sent as it comes, and `body` is ignored; a number:
    seconds until the next.

    `length`: of the stream, in bytes, if it is announced; else it is sent chunked, each item a
    chunk. `close`: the connection ends after it, unannounced, as uvicorn ends it after an uncaught
    exception. `raw`: sent as it is in place of head and body; then the connection ends. `traffic`
    is counted up while the body is sent. `takeover` is handed the connection after the head, in
    place of a body.
    """

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    stream: Iterator[bytes | float] | None = None
    length: int | None = None
    close: bool = False
    traffic: Traffic = field(default_factory=Traffic)
    takeover: Callable[[socket.socket], None] | None = None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request the server received. `status` is what it sent back, None if no status line ever
    went out.

    `traffic` is this request's own, complete once the client has the whole answer.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes
    status: int | None
    traffic: Traffic = field(default_factory=Traffic)
    client: str = ""

    @classmethod
    def of(cls, request: ReceivedRequest, status: int | None, traffic: Traffic) -> Self:
        """What is kept of a request that was answered so."""
        one = request
        return cls(
            one.method, one.path, one.query, one.headers, one.body, status, traffic, one.client
        )

    @property
    def json(self) -> Any:
        """The request's body, parsed."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, list[str]]:
        """The request's body, parsed as a form."""
        return form(self.body)


class RefusedError(Exception):
    """Ends the handling of a request with this answer."""

    def __init__(self, answer: FakeResponse) -> None:
        super().__init__(answer.status)
        self.answer = answer


def form(body: bytes) -> dict[str, list[str]]:
    """The fields of a form as browsers and OAuth clients send it, empty ones included."""
    return parse_qs(body.decode(), keep_blank_values=True)


def as_json(status: int, content: Any, content_type: str = JSON) -> FakeResponse:
    """An answer with a JSON body."""
    return FakeResponse(status, json.dumps(content).encode(), content_type)


def page(status: int, title: str) -> FakeResponse:
    """An HTML page, as gateways, log-in forms and single-page applications answer with."""
    return FakeResponse(
        status,
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head></html>\n".encode(),
        HTML,
    )


def matches(pattern: str, path: str) -> bool:
    """Whether a path ends in a pattern; `*` stands for one segment: "/dagRuns/*" is one run, not
    its tasks.
    """
    return re.search(re.escape(pattern).replace(r"\*", "[^/]+") + "$", path) is not None
