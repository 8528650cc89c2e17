"""Every exchange has an end, however slowly its bytes come, and every answer a size. Over real sockets, in real seconds."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from entrypoint.airflow.transport import Transport
from entrypoint.errors import AirflowUnreachable, UnexpectedAnswer
from entrypoint.wire import Sending, Wire
from entrypoint.wire.answers import read
from entrypoint.wire.bounded import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 0.5
LATE = 3.0
"""Seconds within which a busy machine still notices that the time is over."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
DRIPS = {
    "status line": (b"", b"H"),
    "header line": (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "body without an end": (HEAD + b"\r\n", b" "),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a chunk's size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "nothing": (b"", b""),
}


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers each connection so; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                held.append(connection)
                threading.Thread(target=reply, args=(connection,), daemon=True).start()

    def reply(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(65_536)
            answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for connection in held:
            connection.close()


def dripping(first: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Answer with the beginning at once, then a drop ten times a second; 20 s at the most."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        for _ in range(200):
            time.sleep(0.1)
            connection.sendall(drop)

    return answer


@pytest.mark.parametrize("where", DRIPS)
@pytest.mark.parametrize("proxy", [False, True])
def test_no_exchange_outlasts_its_time(where: str, proxy: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """A byte now and then is no answer, wherever it stands; nor is it one of a proxy."""
    with server(dripping(*DRIPS[where])) as url:
        if proxy:
            monkeypatch.setenv("https_proxy", url)
            monkeypatch.setenv("no_proxy", "")
        began = time.monotonic()
        target = "https://airflow.example.com" if proxy else url
        with pytest.raises((AirflowUnreachable, UnexpectedAnswer)) as caught:
            Wire(read_timeout=lambda: SECONDS).ask(Sending("GET", f"{target}/x", "GET /x"))
        took = time.monotonic() - began
    assert took <= SECONDS + LATE
    if not proxy:
        assert (took >= SECONDS - 0.1) == ("no answer within" in caught.value.detail)


@pytest.mark.parametrize("where", ["header line", "body without an end"])
def test_a_stream_without_a_line_ends_too(where: str) -> None:
    """What Airflow tells by itself has an end as well: one beside that of its silences."""
    with server(dripping(*DRIPS[where])) as url:
        began = time.monotonic()
        with pytest.raises(AirflowUnreachable):
            Transport(url).listen("/wait", {"interval": 1}, lambda _: True, 15.0, SECONDS)
        assert time.monotonic() - began <= SECONDS + LATE


def test_a_log_that_drips_ends_with_what_came() -> None:
    """A tail that is cut explains more than none."""
    came = bytearray()

    def take(piece: bytes) -> bool:
        came.extend(piece)
        return True

    with server(dripping(HEAD + b"Content-Length: 1000000000\r\n\r\n{}\n", b"{}\n")) as url:
        began = time.monotonic()
        with suppress(AirflowUnreachable):
            Transport(url, Wire(read_timeout=lambda: SECONDS)).stream("/logs", "application/x-ndjson", take)
        assert time.monotonic() - began <= SECONDS + LATE


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize("packed", [True, False])
def test_no_answer_is_read_beyond_its_size(status: int, packed: bool) -> None:  # noqa: FBT001
    """Two hundred kilobytes that become hundreds of megabytes cost neither the memory nor the verdict."""
    page = gzip.compress(b"[" * (200 * 1_048_576), 9) if packed else b"[" * (2 * MAX_BODY)
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(page)}\r\n".encode()
    head += b"Content-Encoding: gzip\r\n\r\n" if packed else b"\r\n"

    with server(lambda connection: connection.sendall(head + page)) as url:
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedAnswer, match="larger than 32 MiB"):
                Wire().ask(Sending("GET", f"{url}/x", "GET /x"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The bomb itself is in this process as well.
    assert peak <= 2.2 * MAX_BODY + len(page)


def test_a_connection_is_used_again_after_an_answer() -> None:
    """Each exchange has its own time, though the connection is the same."""
    accepted = []

    def answer(connection: socket.socket) -> None:
        accepted.append(connection)
        for _ in range(3):
            time.sleep(0.3)
            connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
            connection.recv(65_536)

    with server(answer) as url:
        wire = Wire(read_timeout=lambda: SECONDS)
        for _ in range(3):
            assert wire.send(Sending("GET", f"{url}/x", "GET /x"), lambda one, _: read("GET /x", one)).body == {}
    assert len(accepted) == 1
