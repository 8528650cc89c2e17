"""The scripted Airflow as a server: its record, its base path, its connections, and its own end."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.contract.client import SOON, Talk
from tests.support.fake_airflow import FakeAirflow, FakeDag

if TYPE_CHECKING:
    from collections.abc import Callable


def test_down_refuses_and_up_is_the_same_port(start: Callable[..., Talk]) -> None:
    """While the server is down connections are refused, those that were open included, and then the
    same URL answers.
    """
    talk = start()
    assert talk.call("GET", "/dags/d").status_code == 200
    for _ in range(2):
        with talk.fake.down():
            for _ in range(2):
                with pytest.raises(requests.ConnectionError, match="refused"):
                    talk.call("GET", "/dags/d")
        assert talk.call("GET", "/dags/d").status_code == 200


def test_a_base_path(start: Callable[..., Talk]) -> None:
    """With a prefix everything is below it; what is outside is another matter in either version."""
    talk = start(prefix="/air/flow")
    assert talk.fake.url.endswith("/air/flow")
    assert talk.trigger().status_code == 200
    assert talk.look() == "queued"
    root = talk.fake.url.removesuffix("/air/flow")
    outside = requests.get(f"{root}{talk.fake.api}/version", timeout=SOON)
    if talk.fake.version == "2.11.2":
        assert (outside.status_code, outside.text) == (
            404,
            "Apache Airflow is not at this location",
        )
    else:
        assert outside.status_code == 200
        login = requests.post(f"{root}/auth/token", json={}, timeout=SOON)
        assert (login.status_code, login.json()) == (405, {"detail": "Method Not Allowed"})


def test_the_record(start: Callable[..., Talk]) -> None:
    """Every request is on record as it was sent, with the status it got, and can be searched by the
    end of its path.
    """
    talk = start()
    talk.call("PATCH", "/dags/d?update_mask=is_paused", {"is_paused": True})
    talk.call("GET", "/dags/d/dagRuns/a%2Bb")
    patched, looked = talk.fake.record
    assert (patched.method, patched.path, patched.status) == (
        "PATCH",
        f"{talk.fake.api}/dags/d",
        200,
    )
    assert (patched.query, patched.json) == ({"update_mask": ["is_paused"]}, {"is_paused": True})
    assert patched.headers["authorization"].split()[0] in {"Basic", "Bearer"}
    assert (looked.path, looked.status) == (f"{talk.fake.api}/dags/d/dagRuns/a%2Bb", 404)
    assert talk.fake.received("GET", "/dagRuns/*") == [looked]
    assert talk.fake.received("GET", "/dags/*") == []


def test_a_stream_can_be_compressed(start_3: Callable[..., Talk]) -> None:
    """Who accepts gzip gets it, in large answers and in streams, and reads the same."""
    talk = start_3()
    talk.trigger()
    run, wait = "/dags/d/dagRuns/r", "/dags/d/dagRuns/r/wait?interval=1"
    answers = [talk.call("GET", run), talk.call("GET", wait)]
    assert [answer.headers["Content-Encoding"] for answer in answers] == ["gzip", "gzip"]
    assert answers[0].json()["state"] == "queued"
    assert [json.loads(line)["state"] for line in answers[1].text.splitlines()] == [
        "running",
        "success",
    ]


def test_connections_are_kept_by_airflow_3_only(start: Callable[..., Talk]) -> None:
    """Airflow 3 serves many requests on one connection until it fails itself; Airflow 2 serves
    one.
    """
    talk = start()
    address = urlsplit(talk.fake.url)
    get = f"GET {talk.fake.api}/version HTTP/1.1\r\nHost: airflow\r\n\r\n".encode()
    fail = b"POST /auth/token HTTP/1.1\r\nHost: airflow\r\nContent-Length: 1\r\n\r\nx"
    with socket.create_connection((address.hostname, address.port), timeout=SOON) as connection:
        connection.sendall(get + get + fail + get)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 ") == (1 if talk.fake.version == "2.11.2" else 3)


def test_a_bug_of_the_fake_is_not_hidden() -> None:
    """If the scripted Airflow itself crashes, the client gets no answer and the test fails with the
    reason.
    """

    def meet_a_bug() -> None:
        with FakeAirflow(dags=[FakeDag("d")]) as fake, fake.session() as session:
            fake._world.paused.clear()
            session.get(f"{fake.url}/api/v2/dags/d", timeout=SOON)

    with pytest.raises(KeyError) as caught:
        meet_a_bug()
    assert isinstance(caught.value.__context__, requests.ConnectionError)
