"""The socket server: reads requests, sends answers, misbehaves on the wire when told to. Knows
nothing of Airflow.
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

from tests.support import known_secrets as ledger
from tests.support.fake_airflow import tls
from tests.support.fake_airflow.faults import Fault
from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, Traffic
from tests.support.virtual_time import before_a_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GZIP_FROM = 500  # bytes, as Airflow 3


@dataclass(frozen=True, slots=True)
class Manners:
    """How the server behind a dialect treats connections.

    Measured: docs/notes/airflow-2.md#connections-and-compression,
    docs/notes/airflow-3.md#connections-and-compression.
    """

    server: str
    keep_alive: bool
    gzip: bool


class Listener(socketserver.ThreadingTCPServer):
    """A listening socket and the connections accepted on it.

    `serve` turns a request into the answer to send (None: none at all) and the fault to commit on
    the wire. `hang_at_most` are the seconds after which a hanging connection is closed; nothing in
    a test may hang for ever. `clock` dates the answers. With `context`, the server's side of TLS, a
    client has to get through its handshake first; one that does not is the client's own business.
    `accepted` counts connections, those without any request included.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        manners: Manners,
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
        self.manners = manners
        self.hang_at_most = hang_at_most
        self.serve = serve
        self.stopping = threading.Event()
        self.crash: BaseException | None = None
        self.change: Callable[[ReceivedRequest, bytes], bytes] | None = None
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((host, port), Handler)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening, drops every connection, and waits until the last one is gone."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self.socket.getsockname()).close()  # wakes up `_accept`
        self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    tls.shut(connection, socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, timeout=5)

    def _accept(self) -> None:
        """Like serve_forever, but ends at once instead of at the next beat."""
        self.socket.settimeout(1)
        while not self.stopping.is_set():
            with contextlib.suppress(OSError):
                self.process_request(*self.get_request())

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts a connection; the handshake is left to its own thread, for it may take for
        ever.
        """
        connection, address = super().get_request()
        if self.context is not None:
            connection = self.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remembers the connection, so that `close` can drop it."""
        with self._changed:
            self._connections.add(request)
            self.accepted += not self.stopping.is_set()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes the connection: just so, because socketserver's FIN beforehand would spoil a
        reset.
        """
        self.close_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is none of our business; a bug of the fake fails the test that
        met it.
        """
        error = sys.exception()
        if not isinstance(error, OSError):
            self.crash = error


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = (
        True  # head and body go out apart: the second would wait 40 ms for the first's receipt
    )
    server: Listener

    def setup(self) -> None:
        """Gets through the handshake, if there is one."""
        if isinstance(self.request, ssl.SSLSocket):
            tls.shake_hands(self.request)
        super().setup()

    def exchange(self) -> None:
        """Answers one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target, _, query = self.path.partition("?")
        parameters = parse_qs(query, keep_blank_values=True)
        ledger.shown(self.headers)
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
        """Whatever the method (do_GET, do_POST ...), it is one exchange."""
        if name.startswith("do_"):
            return self.exchange
        raise AttributeError(name)

    def version_string(self) -> str:
        """The Server header."""
        return self.server.manners.server

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, of the server's own clock."""
        return super().date_time_string(
            self.server.clock().timestamp() if timestamp is None else timestamp
        )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing: the record is `FakeAirflow.record`."""

    def _send_changed(
        self, request: ReceivedRequest, answer: FakeResponse, fault: Fault | None
    ) -> None:
        """Sends the answer, as `change` makes it if there is such; a stream has no end that could
        be waited for.
        """
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.close_connection = True
        elif self.server.change is None or answer.stream is not None or answer.takeover is not None:
            self._send(answer, fault)
        else:
            real, self.wfile = self.wfile, io.BytesIO()
            try:
                self._send(answer, fault)
                honest = self.wfile.getvalue()
            finally:
                self.wfile = real
            sent = self.server.change(request, honest)
            self.wfile.write(sent)
            self.close_connection = self.close_connection or sent != honest

    def _send(self, answer: FakeResponse, fault: Fault | None) -> None:
        zipped = self.server.manners.gzip and "gzip" in self.headers.get("Accept-Encoding", "")
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
        if not self.server.manners.keep_alive:
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
        """Sends pieces as they come, each readable at once; with a fault only the first line of
        them.
        """
        chunked = answer.length is None or zipped
        name, value = (
            ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(answer.length))
        )
        self.send_header(name, value)
        self.end_headers()
        squeeze = zlib.compressobj(wbits=31)
        for piece in stream:
            if isinstance(piece, float):
                if not before_a_line(piece, self._gone):
                    self.close_connection = True
                    return
                continue
            sent = squeeze.compress(piece) + squeeze.flush(zlib.Z_SYNC_FLUSH) if zipped else piece
            self._write(answer.traffic, _chunk(sent) if chunked else sent, len(piece))
            if fault and piece.endswith(b"\n"):
                return
        if zipped:
            self._write(answer.traffic, _chunk(squeeze.flush()), 0)
        if chunked:
            self._write(answer.traffic, _chunk(b""), 0)

    def _write(self, traffic: Traffic, piece: bytes, content: int) -> None:
        """Counts before it sends, so that who has the whole answer finds it counted."""
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
            if self._gone(0.02):
                return
            if drop:
                self.wfile.write(drop)

    def _gone(self, seconds: float) -> bool:
        """Whether the client goes within these seconds, which pass otherwise."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        # Under TLS a client that goes may say so first, and says nothing else in the middle of an
        # exchange.
        return bool(
            readable and (self.server.context or not self.connection.recv(1, socket.MSG_PEEK))
        )


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)
