"""Scripted faults between a client and Airflow.

It must not know Airflow; `connection.py` commits the faults on the socket.
"""

from __future__ import annotations

import email.utils
import gzip
import json
import time
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal

from tests.support.fake_airflow.messages import (
    JSON,
    FakeResponse,
    ReceivedRequest,
    as_json,
    matches,
    page,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Fault(Enum):
    """One kind of fault."""

    RESET = auto()  # the connection is reset (RST), no answer
    CLOSE = auto()  # the connection is closed (FIN), no answer
    HANG = auto()  # no answer until the client gives up or the server stops
    TRUNCATED = auto()  # Content-Length is larger than the body, then the connection is closed
    TRUNCATED_JSON = auto()  # valid HTTP with half of the JSON
    HTML_200 = auto()  # a login page with status 200
    HTML_404 = auto()  # a gateway's page before it knows Airflow
    HTML_500 = auto()
    HTML_502 = auto()  # 502 to 504: a gateway's pages
    HTML_503 = auto()
    HTML_504 = auto()
    TOO_MANY = auto()  # 429, Retry-After in seconds
    TOO_MANY_DATE = auto()  # 429, Retry-After as an HTTP date
    REDIRECT = auto()  # 302, to this server's login page or to `to`
    REDIRECT_307 = auto()  # 307, after which a client would send the body again
    EMPTY_200 = auto()  # 200, application/json, no body
    WRONG_JSON = auto()  # 200, a JSON array in place of an object
    EMPTY_JSON = auto()  # 200, {}
    # Airflow 3's answer to a locked database (docs/notes/airflow-3.md#sqlite-and-parallel-requests)
    JSON_500 = auto()
    TOO_MANY_DAY = auto()  # 429, Retry-After of a day
    REDIRECT_LATIN = auto()  # 302, to a Location that is not UTF-8
    REDIRECT_NOWHERE = auto()  # 302, to an invalid URL
    NEGATIVE_CHUNK = auto()  # 200, a chunk of a negative size
    ABSURD_LENGTH = auto()  # 200, a Content-Length of thirty digits
    UNKNOWN_CHARSET = auto()  # 200, JSON in an unknown charset
    HUGE = auto()  # 200, some kilobytes of gzip that decompress to megabytes
    DRIP = auto()  # 200, one byte at a time until the client gives up or the server stops
    JSON_401 = auto()  # Airflow refuses the credential
    JSON_403 = auto()  # the user lacks a permission
    HTML_403 = auto()  # a gateway refuses
    CACHED_404 = auto()  # a 404 for the run, from a cache
    HTML_413 = auto()  # an ingress refuses a large body
    LASTING_500 = auto()  # Airflow 3 cannot read the DAG's serialized form, and says so


ON_THE_WIRE = frozenset({Fault.RESET, Fault.CLOSE, Fault.HANG, Fault.DRIP, Fault.TRUNCATED})
SLOW = frozenset({Fault.HANG, Fault.DRIP})
"""Faults that take as many real seconds as the client's read timeout."""
OF_THE_RESPONSE = frozenset({Fault.TRUNCATED, Fault.TRUNCATED_JSON})
"""Faults that send a part of the real response if they come after it."""
REFUSALS = frozenset({Fault.JSON_401, Fault.JSON_403, Fault.HTML_403, Fault.CACHED_404})
"""Responses that are well formed but come at the wrong moment."""
HUGE_SIZE = 3_145_728  # bytes

_DATABASE_ERROR = {
    "detail": {
        "reason": "Database error",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": "Serious error when handling your request. Check logs for more details - "
        "you will find it in api server when you look for ID KEgpGaAx",
    },
}


_NOT_DESERIALIZED = (
    "An error occurred while trying to deserialize Dag: Missing module sales_helpers"
)


def _raw(header: str, body: bytes) -> FakeResponse:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{header}\r\n\r\n"
    return FakeResponse(200, raw=head.encode() + body)


_FIXED = {
    Fault.HTML_200: page(200, "Sign in"),
    Fault.HTML_404: page(404, "404 Not Found"),
    Fault.HTML_500: page(500, "Ooops!"),
    Fault.HTML_502: page(502, "502 Bad Gateway"),
    Fault.HTML_413: page(413, "413 Request Entity Too Large"),
    Fault.LASTING_500: as_json(500, {"detail": _NOT_DESERIALIZED}),
    Fault.HTML_503: page(503, "503 Service Temporarily Unavailable"),
    Fault.HTML_504: page(504, "504 Gateway Time-out"),
    Fault.EMPTY_200: FakeResponse(200, b"", JSON),
    Fault.WRONG_JSON: as_json(200, ["success"]),
    Fault.EMPTY_JSON: as_json(200, {}),
    Fault.JSON_500: as_json(500, _DATABASE_ERROR),
    Fault.TOO_MANY_DAY: replace(
        page(429, "Too Many Requests"), headers=(("Retry-After", "86400"),)
    ),
    Fault.REDIRECT_LATIN: replace(page(302, "Redirecting..."), headers=(("Location", "/caf\xe9"),)),
    Fault.REDIRECT_NOWHERE: replace(
        page(302, "Redirecting..."), headers=(("Location", "http://[HOST]/login"),)
    ),
    Fault.NEGATIVE_CHUNK: _raw("Transfer-Encoding: chunked", b"-5\r\n{}\r\n0\r\n\r\n"),
    Fault.ABSURD_LENGTH: _raw(f"Content-Length: {'9' * 30}", b"{}"),
    Fault.UNKNOWN_CHARSET: FakeResponse(200, b"\xff\xfe{}", "application/json; charset=klingon"),
    Fault.HUGE: _raw("Content-Encoding: gzip", gzip.compress(b"[" * HUGE_SIZE)),
    Fault.DRIP: _raw("Content-Length: 100000", b" "),
    Fault.JSON_401: as_json(401, {"detail": "Not authenticated"}),
    Fault.JSON_403: as_json(403, {"detail": "Forbidden"}),
    Fault.HTML_403: page(403, "Forbidden"),
    Fault.CACHED_404: as_json(
        404,
        {
            "detail": "The DagRun was not found",
            "status": 404,
            "title": "Not found",
            "type": "/Errors/NotFound",
        },
    ),
}


@dataclass(slots=True)
class Rule:
    """Apply `fault` to the next `times` matching requests, after `skip` ones that pass.

    `retry_after`, `to` and `status` belong to some faults only; status 0 is the fault's own status.
    """

    fault: Fault
    on: tuple[str, str] | None
    when: Literal["before", "after"]
    times: int
    skip: int
    retry_after: int
    to: str
    status: int = 0

    def takes(self, request: ReceivedRequest) -> bool:
        """Tell whether the rule applies to this request, and count the request."""
        if self.times == 0 or (
            self.on and not (self.on[0] == request.method and matches(self.on[1], request.path))
        ):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True

    def apply(
        self, execute: Callable[[], FakeResponse]
    ) -> tuple[FakeResponse | None, Fault | None]:
        """Return the response to send (None: no response) and the fault to commit."""
        original = execute() if self.when == "after" else None
        if self.fault in ON_THE_WIRE:
            return self._cut(original), self.fault
        return self._replace(original), None

    def _cut(self, original: FakeResponse | None) -> FakeResponse | None:
        if self.fault is Fault.DRIP:
            return _FIXED[Fault.DRIP]
        if self.fault is Fault.TRUNCATED:
            return original or as_json(200, {"detail": "half of this never arrives"})
        return original if original and original.stream else None

    def _replace(self, original: FakeResponse | None) -> FakeResponse:
        if self.fault in _FIXED:
            return _FIXED[self.fault]
        if self.fault is Fault.TRUNCATED_JSON:
            whole = (
                original if original and not original.stream else as_json(200, {"state": "success"})
            )
            return replace(whole, body=whole.body[: len(whole.body) // 2])
        if self.fault in {Fault.REDIRECT, Fault.REDIRECT_307}:
            status = self.status or (302 if self.fault is Fault.REDIRECT else 307)
            return replace(page(status, "Redirecting..."), headers=(("Location", self.to),))
        after = str(self.retry_after)
        if self.fault is Fault.TOO_MANY_DATE:
            after = email.utils.formatdate(time.time() + self.retry_after, usegmt=True)
        return replace(page(429, "Too Many Requests"), headers=(("Retry-After", after),))


def echoed(
    request: ReceivedRequest, status: int, content_type: str = JSON, after: str = ""
) -> FakeResponse:
    """Return a request's own headers and body as a response, as a debugging gateway may."""
    text = f"{after}{request.headers}{request.body.decode()}"
    body = json.dumps({"detail": text}) if content_type == JSON else text
    return FakeResponse(status, body.encode(), content_type)
