"""Requests and responses as data, and the record of both.

Must not know sockets or Airflow.
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
    """One request as received.

    Attributes:
        path: as sent, with percent-encoding and prefix
        query: decoded parameters
        client: common name of the client's certificate, if any
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes
    client: str = ""

    def first(self, key: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(key, [default])[0]


@dataclass(slots=True)
class Traffic:
    """How much was sent.

    Attributes:
        requests: number of requests
        content: bytes of the response bodies before compression
        wire: bytes of the response bodies as sent
    """

    requests: int = 0
    content: int = 0
    wire: int = 0


@dataclass(frozen=True, slots=True)
class FakeResponse:
    """One response.

    Attributes:
        stream: pieces that are sent as they come, in place of `body`; a number is a pause in s
        length: announced length of the stream in bytes; without it each piece is a chunk
        close: whether the connection ends without notice, as after uvicorn's uncaught exceptions
        traffic: counted up while the body is sent
        takeover: gets the connection after the headers, in place of a body
        raw: bytes that are sent in place of headers and body; then the connection ends
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
class RecordedRequest:
    """One request that the server received, and its response.

    `status` is None if no status line was sent. `traffic` is complete once the client has the whole
    response.
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
        one = request
        return cls(
            one.method, one.path, one.query, one.headers, one.body, status, traffic, one.client
        )

    @property
    def json(self) -> Any:
        """The request's body, parsed as JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, list[str]]:
        """The request's body, parsed as a form."""
        return form(self.body)


class RefusedError(Exception):
    """End the handling of a request with this response."""

    def __init__(self, answer: FakeResponse) -> None:
        super().__init__(answer.status)
        self.answer = answer


def form(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form, including empty ones."""
    return parse_qs(body.decode(), keep_blank_values=True)


def as_json(status: int, content: Any, content_type: str = JSON) -> FakeResponse:
    return FakeResponse(status, json.dumps(content).encode(), content_type)


def page(status: int, title: str) -> FakeResponse:
    """Return an HTML page, as gateways, login forms and single-page applications send."""
    return FakeResponse(
        status,
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head></html>\n".encode(),
        HTML,
    )


def matches(pattern: str, path: str) -> bool:
    """Tell whether a path ends in a pattern.

    `*` is one segment: "/dagRuns/*" is a run, not its tasks.
    """
    return re.search(re.escape(pattern).replace(r"\*", "[^/]+") + "$", path) is not None
