"""A proxy in front of an Airflow that fails once, in one chosen way.

It knows HTTP and the paths of Airflow's API; it must not know its clients.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from dev.airflow_settings import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Fault = Literal["bad gateway", "lost response", "expired token"]

TOKEN_LIFE = 8.0
"""Seconds from the first use of a token, after which `expired token` refuses it."""
_TIMEOUT = 60.0  # seconds
_PIECE = 65_536  # bytes per read
_TRIGGER = re.compile(r".*/dagRuns")
_RUN = re.compile(r".*/dagRuns/[^/]+(/wait)?")
_OF_ONE_CONNECTION = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
"""Headers that are not forwarded."""
_BAD_GATEWAY = (502, b"<html><h1>502 Bad Gateway</h1></html>")
_EXPIRED = (401, b'{"detail":"Token Expired"}')  # docs/notes/airflow-3.md has Airflow's responses


class FaultyProxy:
    """A proxy on a free port of the loopback, as a context manager.

    Args:
        upstream: base URL of the Airflow, without a path
        fault: `bad gateway`: HTTP 502 for the first request for the run after its trigger.
            `lost response`: Airflow gets the first trigger, but the client gets no response.
            `expired token`: HTTP 401 for each token that is older than TOKEN_LIFE.
            None: only forward
    """

    def __init__(self, upstream: str, fault: Fault | None) -> None:
        self.triggers = 0
        self._upstream = urlsplit(upstream).netloc
        self._fault = fault
        self._lock = threading.Lock()
        self._failed = False
        self._tokens: dict[str, float] = {}
        self._server = _Server(self)

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def refusal(self, method: str, path: str, authorization: str) -> tuple[int, bytes] | None:
        """Return the status and the body of this proxy's own response to a request, if any."""
        with self._lock:
            if self._fault == "expired token" and authorization:
                first = self._tokens.setdefault(authorization, time.monotonic())
                return _EXPIRED if time.monotonic() - first > TOKEN_LIFE else None
            about_the_run = self.triggers and method == "GET" and _RUN.fullmatch(path)
            if self._fault == "bad gateway" and about_the_run and not self._failed:
                self._failed = True
                return _BAD_GATEWAY
        return None

    def loses_response(self, method: str, path: str) -> bool:
        """Tell whether the response to this request is lost; count the triggers."""
        with self._lock:
            if method != "POST" or not _TRIGGER.fullmatch(path):
                return False
            self.triggers += 1
            return self._fault == "lost response" and self.triggers == 1

    @contextlib.contextmanager
    def sent(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Iterator[HTTPResponse]:
        """Send a request to Airflow, and close the connection after this context."""
        connection = HTTPConnection(self._upstream, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, target, body or None, dict(headers))
            with connection.getresponse() as response:
                yield response


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultyProxy) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _handle(self) -> None:
        """Forward one request; the connection ends with its response."""
        proxy, path = self.server.proxy, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refusal = proxy.refusal(self.command, path, self.headers.get("Authorization") or "")
        if refusal:
            self._respond(*refusal)
            return
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _OF_ONE_CONNECTION
        }
        # An Airflow or a client that disconnects ends this connection, and nothing else.
        with (
            contextlib.suppress(OSError, HTTPException),
            proxy.sent(self.command, self.path, headers, body) as response,
        ):
            if not proxy.loses_response(self.command, path):
                self._forward(response)
        self.close_connection = True

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _forward(self, response: HTTPResponse) -> None:
        """Forward a response piece by piece, because the state of a run may come as a stream."""
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := response.read1(_PIECE):
            self.wfile.write(piece)
