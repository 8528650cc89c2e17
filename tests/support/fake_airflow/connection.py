"""The socket server: reads requests, sends responses, commits faults on the connection.

It must not know Airflow.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import select
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.support import known_secrets
from tests.support.fake_airflow import tls
from tests.support.fake_airflow.faults import Fault
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, Traffic
from tests.support.virtual_time import wait_before_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GZIP_FROM = 500  # bytes, as in Airflow 3


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """How a version's web server treats connections.

    Measured: docs/notes/airflow-2.md#connections-and-compression,
    docs/notes/airflow-3.md#connections-and-compression.
    """

    server: str
    keep_alive: bool
    gzip: bool


class SocketServer(socketserver.ThreadingTCPServer):
    """A listening socket and the connections accepted on it.

    Args:
        port: port number, 0 for any free one
        connection_policy: how connections are treated
        serve: returns the response to a request (None: no response) and the fault to commit
        hang_at_most: seconds after which a hanging connection is closed; no test may hang forever
        clock: time for the Date header
        context: the server's TLS context; a client with a failed handshake causes no error here
        host: address to listen on

    `accepted` counts connections, including those without a request.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        connection_policy: ConnectionPolicy,
        serve: Callable[[ReceivedRequest], tuple[FakeResponse | None, Fault | None]],
        *,
        hang_at_most: float = 60.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.clock = clock
        self.context = context
        self.accepted = 0
        self.connection_policy = connection_policy
        self.hang_at_most = hang_at_most
        self.serve = serve
        self.stopping = threading.Event()
        self.crash: BaseException | None = None
        self.change: Callable[[ReceivedRequest, bytes], bytes] | None = None
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((host, port), ConnectionHandler)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, drop every connection, and wait until the last one is closed."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self.socket.getsockname()).close()  # wakes `_accept`
        self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    tls.shut(connection, socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, timeout=5)

    def _accept(self) -> None:
        """Work like serve_forever, but stop at once instead of after its poll interval."""
        self.socket.settimeout(1)
        while not self.stopping.is_set():
            with contextlib.suppress(OSError):
                self.process_request(*self.get_request())

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Its own thread does the handshake, which may take forever."""
        connection, address = super().get_request()
        if self.context is not None:
            connection = self.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `close` can drop it."""
        with self._changed:
            self._connections.add(request)
            self.accepted += not self.stopping.is_set()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection without socketserver's FIN, which would spoil a reset."""
        self.close_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Ignore clients that disconnect; a bug of this server fails the test."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.crash = error


class ConnectionHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are sent separately; with Nagle's algorithm the body would wait 40 ms.
    disable_nagle_algorithm = True
    server: SocketServer

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            tls.do_handshake(self.request)
        super().setup()

    def exchange(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target, _, query = self.path.partition("?")
        parameters = parse_qs(query, keep_blank_values=True)
        known_secrets.add_from_headers(self.headers)
        request = ReceivedRequest(
            self.command, target, parameters, self.headers, body, tls.common_name(self.connection)
        )
        answer, fault = self.server.serve(request)
        if answer is not None:
            self._send_changed(request, answer, fault)
            self.close_connection = self.close_connection or answer.close
        if fault is not None:
            self._end(fault)

    def __getattr__(self, name: str) -> Any:
        """Handle every method (do_GET, do_POST …) with `exchange`."""
        if name.startswith("do_"):
            return self.exchange
        raise AttributeError(name)

    def version_string(self) -> str:
        """Return the Server header."""
        return self.server.connection_policy.server

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the Date header, by the server's own clock."""
        return super().date_time_string(
            self.server.clock().timestamp() if timestamp is None else timestamp
        )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing; `FakeAirflow.record` has the requests."""

    def _send_changed(
        self, request: ReceivedRequest, answer: FakeResponse, fault: Fault | None
    ) -> None:
        """Send the response, after `change` if there is one; streams are sent unchanged."""
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.close_connection = True
        elif self.server.change is None or answer.stream is not None or answer.takeover is not None:
            self._send(answer, fault)
        else:
            real, self.wfile = self.wfile, io.BytesIO()
            try:
                self._send(answer, fault)
                original = self.wfile.getvalue()
            finally:
                self.wfile = real
            sent = self.server.change(request, original)
            self.wfile.write(sent)
            self.close_connection = self.close_connection or sent != original

    def _send(self, answer: FakeResponse, fault: Fault | None) -> None:
        zipped = self.server.connection_policy.gzip and "gzip" in self.headers.get(
            "Accept-Encoding", ""
        )
        zipped = zipped and (answer.stream is not None or len(answer.body) >= GZIP_FROM)
        self.send_response(answer.status)
        if answer.content_type is not None:
            self.send_header("Content-Type", answer.content_type)
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.takeover is not None:
            self.end_headers()
            answer.takeover(self.connection)
            self.close_connection = True
            return
        if not self.server.connection_policy.keep_alive:
            self.send_header("Connection", "close")
        if answer.stream is not None:
            self._send_stream(answer, answer.stream, fault, zipped=zipped)
            return
        body = gzip.compress(answer.body) if zipped else answer.body
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._write(answer.traffic, body[: len(body) // 2] if fault else body, len(answer.body))

    def _send_stream(
        self,
        answer: FakeResponse,
        stream: Iterator[bytes | float],
        fault: Fault | None,
        *,
        zipped: bool,
    ) -> None:
        """Send each piece as it comes, readable at once; with a fault only the first line."""
        chunked = answer.length is None or zipped
        name, value = (
            ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(answer.length))
        )
        self.send_header(name, value)
        self.end_headers()
        compressor = zlib.compressobj(wbits=31)
        for piece in stream:
            if isinstance(piece, float):
                if not wait_before_line(piece, self._is_disconnected):
                    self.close_connection = True
                    return
                continue
            sent = (
                compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
                if zipped
                else piece
            )
            self._write(answer.traffic, _chunk(sent) if chunked else sent, len(piece))
            if fault and piece.endswith(b"\n"):
                return
        if zipped:
            self._write(answer.traffic, _chunk(compressor.flush()), 0)
        if chunked:
            self._write(answer.traffic, _chunk(b""), 0)

    def _write(self, traffic: Traffic, piece: bytes, content: int) -> None:
        """Count before sending, so that a client with the whole response finds it counted."""
        traffic.content += content
        traffic.wire += len(piece)
        self.wfile.write(piece)

    def _end(self, fault: Fault) -> None:
        self.close_connection = True
        if fault is Fault.DRIP:
            self._wait_for_the_client_to_give_up(b" ")
        elif fault is Fault.HANG:
            self._wait_for_the_client_to_give_up()
        elif fault is Fault.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _wait_for_the_client_to_give_up(self, drop: bytes = b"") -> None:
        deadline = time.monotonic() + self.server.hang_at_most
        while time.monotonic() < deadline and not self.server.stopping.is_set():
            if self._is_disconnected(0.02):
                return
            if drop:
                self.wfile.write(drop)

    def _is_disconnected(self, seconds: float) -> bool:
        """Wait so many seconds; return True if the client disconnects."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        # A TLS client may send an alert before it disconnects; it sends nothing else here.
        return bool(
            readable and (self.server.context or not self.connection.recv(1, socket.MSG_PEEK))
        )


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)
