"""A scripted HTTP adapter: it records each request and returns prepared responses in order.

HttpClient and the parsing of the response bytes are real; only the socket is missing. The adapter
asserts nothing and must not know its caller.
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


class SentRequest(NamedTuple):
    """A request and the options with which it would be sent."""

    request: requests.PreparedRequest
    options: Mapping[str, Any]

    @property
    def url(self) -> str:
        return str(self.request.url)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def form(self) -> dict[str, str]:
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        return dict(parse_qsl(str(self.request.body), keep_blank_values=True, strict_parsing=True))


def http_response(
    status: int,
    body: object = b"",
    kind: str | None = None,
    *,
    length: int | None = None,
    **headers: str | list[str],
) -> bytes:
    """Return an HTTP response as bytes.

    Args:
        status: the status code
        body: bytes, or a value that is sent as JSON
        kind: the content type
        length: the Content-Length, if it is not that of the body
        headers: more headers, with underscores instead of dashes
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


class ScriptedAdapter(HTTPAdapter):
    """Return one prepared response for each request; an exception is raised instead."""

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[SentRequest] = []
        self.services: list[Service] = []

    def client(self, service: Service = AIRFLOW, **options: Any) -> HttpClient:
        """Return a real client that uses this adapter."""
        self.services.append(service)
        client = HttpClient(service, **options)
        for scheme in ("https://", "http://"):
            client._session.mount(scheme, self)
        return client

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.sent.append(SentRequest(request, options))
        reply = self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return self.build_response(request, _parsed(reply, str(request.method)))


class _Bytes:
    """The part of a socket that an HTTP parser needs."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
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
