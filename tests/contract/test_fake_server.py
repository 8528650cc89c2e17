"""The scripted Airflow as a server: its record, base path, connections and stop."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.contract.client import SOON, ApiClient
from tests.support.fake_airflow import FakeAirflow, FakeDag

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_stopped_server_refuses_connections_and_restarts_on_its_port(
    start: Callable[..., ApiClient],
) -> None:
    """Open connections are closed, too."""
    client = start()
    assert client.call("GET", "/dags/d").status_code == 200
    for _ in range(2):
        with client.fake.down():
            for _ in range(2):
                with pytest.raises(requests.ConnectionError, match="refused"):
                    client.call("GET", "/dags/d")
        assert client.call("GET", "/dags/d").status_code == 200


def test_everything_is_below_the_base_path(start: Callable[..., ApiClient]) -> None:
    client = start(prefix="/air/flow")
    assert client.fake.url.endswith("/air/flow")
    assert client.trigger().status_code == 200
    assert client.poll() == "queued"
    root = client.fake.url.removesuffix("/air/flow")
    outside = requests.get(f"{root}{client.fake.api}/version", timeout=SOON)
    if client.fake.version == "2.11.2":
        assert (outside.status_code, outside.text) == (
            404,
            "Apache Airflow is not at this location",
        )
    else:
        assert outside.status_code == 200
        login = requests.post(f"{root}/auth/token", json={}, timeout=SOON)
        assert (login.status_code, login.json()) == (405, {"detail": "Method Not Allowed"})


def test_every_request_is_recorded_with_its_status(start: Callable[..., ApiClient]) -> None:
    """The record can be searched by the end of a path."""
    client = start()
    client.call("PATCH", "/dags/d?update_mask=is_paused", {"is_paused": True})
    client.call("GET", "/dags/d/dagRuns/a%2Bb")
    patched, polled = client.fake.record
    assert (patched.method, patched.path, patched.status) == (
        "PATCH",
        f"{client.fake.api}/dags/d",
        200,
    )
    assert (patched.query, patched.json) == ({"update_mask": ["is_paused"]}, {"is_paused": True})
    assert patched.headers["authorization"].split()[0] in {"Basic", "Bearer"}
    assert (polled.path, polled.status) == (f"{client.fake.api}/dags/d/dagRuns/a%2Bb", 404)
    assert client.fake.received("GET", "/dagRuns/*") == [polled]
    assert client.fake.received("GET", "/dags/*") == []


def test_gzip_is_used_for_large_responses_and_streams_if_accepted(
    start_3: Callable[..., ApiClient],
) -> None:
    client = start_3()
    client.trigger()
    run, wait = "/dags/d/dagRuns/r", "/dags/d/dagRuns/r/wait?interval=1"
    answers = [client.call("GET", run), client.call("GET", wait)]
    assert [answer.headers["Content-Encoding"] for answer in answers] == ["gzip", "gzip"]
    assert answers[0].json()["state"] == "queued"
    assert [json.loads(line)["state"] for line in answers[1].text.splitlines()] == [
        "running",
        "success",
    ]


def test_only_airflow_3_keeps_connections_open(start: Callable[..., ApiClient]) -> None:
    """It closes them when it fails itself."""
    client = start()
    address = urlsplit(client.fake.url)
    get = f"GET {client.fake.api}/version HTTP/1.1\r\nHost: airflow\r\n\r\n".encode()
    fail = b"POST /auth/token HTTP/1.1\r\nHost: airflow\r\nContent-Length: 1\r\n\r\nx"
    with socket.create_connection((address.hostname, address.port), timeout=SOON) as connection:
        connection.sendall(get + get + fail + get)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 ") == (1 if client.fake.version == "2.11.2" else 3)


def test_a_crash_of_the_scripted_airflow_fails_the_test() -> None:
    def meet_a_bug() -> None:
        with FakeAirflow(dags=[FakeDag("d")]) as fake, fake.session() as session:
            fake._database.paused.clear()
            session.get(f"{fake.url}/api/v2/dags/d", timeout=SOON)

    with pytest.raises(KeyError) as caught:
        meet_a_bug()
    assert isinstance(caught.value.__context__, requests.ConnectionError)
