"""The benchmark's counting proxy passes everything on unchanged (real sockets)."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dev.bench.proxy import CountingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET /api/v2/dags/a/dagRuns/r/wait?interval=1 HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v2/dags/a/dagRuns HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
TIMEOUT = 10.0


@contextmanager
def proxied_connection(
    proxy: CountingProxy, listener: socket.socket
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket to the proxy, and the server's end of the connection."""
    with ExitStack() as stack:
        url = urlsplit(proxy.url)
        client = stack.enter_context(socket.create_connection((url.hostname, url.port), TIMEOUT))
        server = stack.enter_context(listener.accept()[0])
        server.settimeout(TIMEOUT)
        yield client, server


def test_each_piece_of_a_stream_is_passed_on_at_once() -> None:
    """The connection stays open for the next request."""
    triggered = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        with (
            CountingProxy(listener.getsockname()[1], triggered.set) as proxy,
            proxied_connection(proxy, listener) as (client, server),
        ):
            client.sendall(GET)
            assert server.recv(1000) == GET
            for piece in (b"one", b"two"):
                server.sendall(piece)
                assert client.recv(1000) == piece
            assert not triggered.is_set()
            client.sendall(POST)
            assert server.recv(1000) == POST

            assert triggered.is_set()
            assert proxy.kinds == {"/wait": 1, "trigger": 1}
            assert proxy.carried == len(GET) + len(POST) + 6


def test_closing_one_side_closes_the_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        with CountingProxy(listener.getsockname()[1], lambda: None) as proxy:
            with proxied_connection(proxy, listener) as (client, server):
                client.close()
                assert server.recv(1000) == b""
            with proxied_connection(proxy, listener) as (client, server):
                server.close()
                assert client.recv(1000) == b""
