"""The other side as a script: what would be sent is noted, and one prepared answer after the other
comes back.

Everything is real from the wire down to the bytes, which HTTP's own parsers read; only the socket
is not there. It judges nothing; it must not know who asks.
"""

import http.client
import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from entrypoint.http.client import HttpClient
from entrypoint.http.response import AIRFLOW, Service


class Sent(NamedTuple):
    """A request as it would leave, and in which way."""

    request: requests.PreparedRequest
    how: Mapping[str, Any]

    @property
    def url(self) -> str:
        """Where it would go."""
        return str(self.request.url)

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, whatever their case."""
        return self.request.headers

    @property
    def form(self) -> dict[str, str]:
        """The fields of the form that it carries."""
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        return dict(parse_qsl(str(self.request.body), keep_blank_values=True, strict_parsing=True))


def answer(
    status: int,
    body: object = b"",
    kind: str | None = None,
    *,
    length: int | None = None,
    **headers: str | list[str],
) -> bytes:
    """An HTTP answer in bytes: JSON, unless the body is bytes already; `length` is what it says
    that it has.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if kind is None:
        kind = "text/html" if isinstance(body, bytes) else "application/json"
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}"]
    lines.append(f"Content-Length: {len(data) if length is None else length}")
    for name, values in headers.items():
        lines += (
            f"{name.replace('_', '-')}: {value}"
            for value in ([values] if isinstance(values, str) else values)
        )
    return "\r\n".join([*lines, "", ""]).encode() + data


class Script(HTTPAdapter):
    """Answers with these, one for each request; an exception is what happens instead of an
    answer.
    """

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[Sent] = []
        self.parties: list[Service] = []

    def wire(self, party: Service = AIRFLOW, **how: Any) -> HttpClient:
        """A real wire, at whose end this script answers."""
        self.parties.append(party)
        made = HttpClient(party, **how)
        for scheme in ("https://", "http://"):
            made._session.mount(scheme, self)
        return made

    def send(self, request: requests.PreparedRequest, *_: Any, **how: Any) -> requests.Response:
        """Note the request, and answer."""
        self.sent.append(Sent(request, how))
        reply = self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return self.build_response(request, _parsed(reply, str(request.method)))


class _Bytes:
    """What an HTTP parser wants of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        """The bytes as a file."""
        return io.BytesIO(self._data)


def _parsed(data: bytes, method: str) -> HTTPResponse:
    parser = http.client.HTTPResponse(cast("Any", _Bytes(data)), method=method)
    parser.begin()
    return HTTPResponse(
        cast("Any", parser),
        headers=HTTPHeaderDict(parser.msg.items()),
        status=parser.status,
        original_response=cast("Any", parser),
        request_method=method,
        preload_content=False,
    )
