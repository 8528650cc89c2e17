"""Waits for data as on Windows, where a signal ends no wait in a system call.

On Linux a signal of another thread does not end one either, so it stands for Ctrl-C.
"""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from entrypoint.credentials import Tls
from entrypoint.deadline import Deadline
from entrypoint.errors import Unreachable
from entrypoint.http import limits
from entrypoint.http.client import HttpClient, Request
from entrypoint.signals import Interrupted, Interrupts
from tests.support.fake_airflow import FakeAirflow
from tests.support.services import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 10.0
"""Seconds until a request without a response fails."""


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLICE_SECONDS", 0.05)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    former = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    installed = Interrupts()
    installed.install()
    yield installed
    signal.signal(signal.SIGINT, former[0])
    signal.signal(signal.SIGTERM, former[1])


def request(url: str, seconds: float) -> Request:
    return Request("GET", url, "GET", deadline=Deadline.after(lambda: 0.0, seconds, seconds))


def test_a_signal_interrupts_a_wait_for_a_response(interrupts: Interrupts) -> None:
    """Before the request gives up at its limit, which ends the wait too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gives_up = threading.Timer(LIMIT / 2, lambda: None)
        interrupts.arm()
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        gives_up.start()
        with pytest.raises(Interrupted):
            HttpClient().request(request(url, LIMIT))
        assert gives_up.is_alive()
        gives_up.cancel()


def test_a_response_that_does_not_come_still_fails_at_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match="no answer within"):
            HttpClient().request(request(url, 0.3))


@pytest.mark.parametrize("encrypted", [False, True])
def test_responses_are_read_as_ever(encrypted: bool) -> None:
    """Two on one connection; TLS has data of its own before the socket has any."""
    authority = certificates.trusted_ca()
    tls = authority.server("127.0.0.1") if encrypted else None
    with FakeAirflow("3.3.2", tls=tls) as fake:
        client = HttpClient(tls=Tls(ca=authority.pem))
        for _ in range(2):
            response = client.request(request(f"{fake.url}/api/v2/version", LIMIT))
            assert response.status == 200
