"""Every exchange has an end, however slowly its bytes come, and every answer a size. Over real
sockets, in real seconds.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entrypoint.airflow.transport import Transport
from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http import limits as bounded
from entrypoint.http.client import HttpClient, Request
from entrypoint.http.limits import MAX_BODY_BYTES, MAX_JSON_MARKS
from entrypoint.http.response import read_response
from entrypoint.step import END_SECONDS, RESULT_SECONDS
from tests.integration.test_mutations import plain
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask
from tests.support.step import run_gate
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.fake_airflow import Version
    from tests.support.fake_airflow.messages import ReceivedRequest

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
def test_no_exchange_outlasts_its_time(
    where: str, proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is no answer, wherever it stands; nor is it one of a proxy."""
    with server(dripping(*DRIPS[where])) as url:
        if proxy:
            monkeypatch.setenv("https_proxy", url)
            monkeypatch.setenv("no_proxy", "")
        began = time.monotonic()
        target = "https://airflow.example.com" if proxy else url
        with pytest.raises((TransientError, UnexpectedResponse)) as caught:
            HttpClient(read_timeout=lambda: SECONDS).request(
                Request("GET", f"{target}/x", "GET /x")
            )
        took = time.monotonic() - began
    assert took <= SECONDS + LATE
    if not proxy:
        assert (took >= SECONDS - 0.1) == ("no answer within" in caught.value.detail)


@pytest.mark.parametrize("where", ["header line", "body without an end"])
def test_a_stream_without_a_line_ends_too(where: str) -> None:
    """What Airflow tells by itself has an end as well: one beside that of its silences."""
    with server(dripping(*DRIPS[where])) as url:
        began = time.monotonic()
        with pytest.raises(TransientError):
            Transport(url).stream("/wait", {"interval": 1}, lambda _: True, 15.0, SECONDS)
        assert time.monotonic() - began <= SECONDS + LATE


def test_a_log_that_drips_ends_with_what_came() -> None:
    """A tail that is cut explains more than none."""
    came = bytearray()

    def take(piece: bytes) -> bool:
        came.extend(piece)
        return True

    with server(dripping(HEAD + b"Content-Length: 1000000000\r\n\r\n{}\n", b"{}\n")) as url:
        began = time.monotonic()
        with suppress(TransientError):
            Transport(url, HttpClient(read_timeout=lambda: SECONDS)).download(
                "/logs", "application/x-ndjson", take
            )
        assert time.monotonic() - began <= SECONDS + LATE


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize("packed", [True, False])
def test_no_answer_is_read_beyond_its_size(status: int, packed: bool) -> None:
    """Two hundred kilobytes that become hundreds of megabytes cost neither the memory nor the
    verdict.
    """
    page = gzip.compress(b"1" * (200 * 1_048_576), 9) if packed else b"1" * (2 * MAX_BODY_BYTES)
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(page)}\r\n"
    ).encode()
    head += b"Content-Encoding: gzip\r\n\r\n" if packed else b"\r\n"

    with server(lambda connection: connection.sendall(head + page)) as url:
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedResponse, match="larger than 32 MiB"):
                HttpClient().request(Request("GET", f"{url}/x", "GET /x"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The bomb itself is in this process as well.
    assert peak <= 2.2 * MAX_BODY_BYTES + len(page)


INTRICATE = {
    "objects": (b"{},", 44),
    "objects in objects": (b'{"a":' * 900 + b"0" + b"}" * 900 + b",", 200),
    "small objects": (b'{"":0},', 110),
    "lists": (b"[" * 900 + b"]" * 900 + b",", 100),
    "texts": (b'"ab",', 75),
}
"""What is repeated within a list, and the bytes that it takes for each mark once it is read."""


@pytest.mark.parametrize("kind", INTRICATE)
@pytest.mark.parametrize("packed", [True, False])
def test_no_answer_is_read_that_has_too_many_parts(kind: str, packed: bool) -> None:
    """Thirty kilobytes that become millions of objects cost no more memory than their text, and no
    verdict.
    """
    part = INTRICATE[kind][0]
    page = b"[" + part * (30 * 1_048_576 // len(part)) + b"0]"
    page = gzip.compress(page, 9) if packed else page
    head = (
        HEAD
        + b"Content-Length: %d\r\n" % len(page)
        + (b"Content-Encoding: gzip\r\n" if packed else b"")
        + b"\r\n"
    )

    with server(lambda connection: connection.sendall(head + page)) as url:
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedResponse, match=f"more than {MAX_JSON_MARKS:,} values"):
                HttpClient().request(Request("GET", f"{url}/x", "GET /x"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak <= 1.2 * MAX_BODY_BYTES + len(page)


@pytest.mark.parametrize("kind", INTRICATE)
def test_what_is_read_costs_so_much(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds whatever the parts are: for each mark there are so many bytes at the most."""
    part, most = INTRICATE[kind]
    marks = sum(part.count(mark) for mark in (b"{", b"[", b","))
    page = b"[" + part * (100_000 // marks) + b"0]"
    count = marks * (100_000 // marks) + 1
    tracemalloc.start()
    try:
        json.loads(page)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= most * count
    assert most * MAX_JSON_MARKS <= 400_000_000
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(page)
    for allowed in (count, count - 1):
        monkeypatch.setattr(bounded, "MAX_JSON_MARKS", allowed)
        with server(lambda connection: connection.sendall(head + page)) as url:
            if allowed == count:
                assert HttpClient().request(Request("GET", f"{url}/x", "GET /x")).body
            else:
                with pytest.raises(UnexpectedResponse, match="values, and was not read to its end"):
                    HttpClient().request(Request("GET", f"{url}/x", "GET /x"))


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_wide_run_is_below_every_bound(version: Version) -> None:
    """Forty thousand task instances in one answer are read."""
    bodies: list[bytes] = []

    def note(_: ReceivedRequest, answer: bytes) -> bytes:
        body = plain(answer)[1]
        if body.startswith((b'{"task_instances":[{', b'{"task_instances": [{')):
            bodies.append(body)
        return answer

    tasks = tuple(FakeTask(f"load_{number}") for number in range(50))
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks)]) as fake:
        fake.change(note)
        assert run_gate(fake).result == "success"
    body = bodies[-1]
    marks = sum(body.count(mark) for mark in (b"{", b"[", b","))

    assert marks * 40_000 // 50 <= MAX_JSON_MARKS
    if version == "2.11.2":  # the other gives a hundred in one answer
        assert len(body) * 40_000 // 50 <= MAX_BODY_BYTES


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize(("pages", "seconds"), [(5, 10.0), (40, 100.0)])
# A table's column
def test_pages_end_with_their_time(needed: bool, pages: int, seconds: float) -> None:
    """A list of which every page takes its time is given up when that is over: it costs the
    explanation, or makes no green.
    """
    tasks = tuple(FakeTask("load", map_index=number) for number in range(pages * 100))
    clock, asked = VirtualTime(), 0

    def slow(request: ReceivedRequest, answer: bytes) -> bytes:
        nonlocal asked
        if "/taskInstances" in request.path:
            asked += 1
            clock.now += seconds
        return answer

    with FakeAirflow("3.3.2", dags=[FakeDag("sales", tasks=tasks)]) as fake:
        fake.change(slow)
        outcome = run_gate(
            fake, time=clock, timeout="60", logs="none", fail_on_failed_tasks=str(needed).lower()
        )
    took = clock.now - 1000.0

    assert outcome.result == ("error" if needed and pages == 40 else "success")
    assert (outcome.tasks is None) is (not needed or pages == 40)
    assert took <= 60 + END_SECONDS + (RESULT_SECONDS if needed else 0) + 2 * seconds
    assert asked <= took / seconds


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
        wire = HttpClient(read_timeout=lambda: SECONDS)
        for _ in range(3):
            assert (
                wire.send(
                    Request("GET", f"{url}/x", "GET /x"),
                    lambda one, _: read_response("GET /x", one),
                ).body
                == {}
            )
    assert len(accepted) == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_process_without_streams(closed: str, tmp_path: Path) -> None:
    """A stream that is closed before the process begins costs what would have been printed there,
    and nothing else.
    """
    outputs = tmp_path / "outputs"
    outputs.touch()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("INPUT_", "GITHUB_", "STATE_"))
    }
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m entrypoint {closed}'],
        env={**kept, "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(outputs)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert b"Traceback" not in done.stdout + done.stderr
    assert "error" in outputs.read_text(encoding="utf-8")
