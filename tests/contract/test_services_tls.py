"""TLS of the stand-ins: who trusts the private CA gets in, who does not does not, and none is kept
waiting by another.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.contract.services import SOON, Client, airflow
from tests.support.fake_airflow import FakeAirflow, Fault
from tests.support.services import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.services.certificates import Pair

VERSIONS = ("2.11.2", "3.3.2")


@pytest.fixture(params=VERSIONS)
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """A scripted Airflow behind the private CA's certificate."""
    with airflow(request.param, tls=certificates.private().server("127.0.0.1")) as started:
        yield started


def version(fake: FakeAirflow, client: Client) -> int:
    """The status of an anonymous request."""
    return client("GET", f"{fake.url}{fake.api}/version").status_code


def test_who_trusts_the_ca_gets_in(fake: FakeAirflow, tmp_path: Path) -> None:
    """The scripted Airflow answers over TLS as it does without."""
    assert fake.url.startswith("https://127.0.0.1:")
    assert version(fake, Client(tmp_path)) == 200
    assert [(one.status, one.client) for one in fake.record] == [(200, "")]


@pytest.mark.parametrize("trusts", ["public", "stranger"])
def test_who_does_not_trust_the_ca_sends_nothing(
    fake: FakeAirflow, tmp_path: Path, trusts: str
) -> None:
    """A client that trusts public CAs only, or another private one, ends at the handshake; the next
    client is served.
    """
    options = {"verify": True} if trusts == "public" else {}
    client = Client(tmp_path, trusts=certificates.stranger().pem)
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client("GET", f"{fake.url}{fake.api}/version", **options)
    assert fake.record == []
    assert version(fake, Client(tmp_path)) == 200


def test_a_certificate_is_for_its_names(tmp_path: Path) -> None:
    """A server whose certificate has another name is not believed."""
    with (
        airflow("3.3.2", tls=certificates.private().server("airflow.example.com")) as fake,
        pytest.raises(requests.exceptions.SSLError, match="mismatch"),
    ):
        version(fake, Client(tmp_path))


def test_a_company_s_authority() -> None:
    """An authority of the old fashion is good enough for OpenSSL, but not for the strict check that
    Python 3.13 began with.
    """
    authority = certificates.old_fashioned()
    context = ssl.create_default_context(cadata=authority.pem)
    with airflow("3.3.2", tls=authority.server("127.0.0.1")) as fake:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        with connected(fake, context) as connection:
            assert connection.version()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with (
            pytest.raises(ssl.SSLCertVerificationError, match="key usage"),
            connected(fake, context),
        ):
            pass


@contextlib.contextmanager
def connected(fake: FakeAirflow, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A connection that got through the handshake; raises why not."""
    address = urlsplit(fake.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=SOON) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        yield connection


@pytest.mark.parametrize(("whose", "error"), [("nobody", "required"), ("stranger", "unknown ca")])
@pytest.mark.parametrize("known", VERSIONS)
def test_mutual_tls_refuses(tmp_path: Path, known: str, whose: str, error: str) -> None:
    """Who presents no certificate, or one of another CA, gets an alert that says so and no
    answer.
    """
    private = certificates.private()
    pair = None if whose == "nobody" else certificates.stranger().client("deployer")
    with airflow(known, tls=private.server(clients=private)) as fake:
        with pytest.raises(requests.exceptions.ConnectionError, match=error):
            version(fake, Client(tmp_path, pair=pair))
        assert fake.record == []


@pytest.mark.parametrize("known", VERSIONS)
def test_mutual_tls_admits(tmp_path: Path, known: str) -> None:
    """Whose certificate is good is served, and is on record by name."""
    private = certificates.private()
    with airflow(known, tls=private.server(clients=private)) as fake:
        assert version(fake, Client(tmp_path, pair=private.client("deployer"))) == 200
        assert [one.client for one in fake.record] == ["deployer"]


def load(folder: Path, pair: Pair) -> None:
    """Gives a client's context this pair; raises `ssl.SSLError`."""
    (folder / "cert.pem").write_text(pair.certificate)
    (folder / "key.pem").write_text(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem", password="")


def test_pairs(tmp_path: Path) -> None:
    """A certificate and its key fit, unless the key is behind a password that nobody gives, or
    another's.
    """
    pair, other = certificates.private().client("one"), certificates.private().client("other")
    load(tmp_path, pair)
    with pytest.raises(ssl.SSLError, match=r"PEM lib|DECRYPT|PASSWORD"):
        load(tmp_path, pair.encrypted("a password"))
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        load(tmp_path, pair.with_key_of(other))


def test_a_silent_client_keeps_nobody_waiting(fake: FakeAirflow, tmp_path: Path) -> None:
    """While a client never begins its handshake another is served, and the server stops in spite of
    the first.
    """
    address = urlsplit(fake.url)
    with socket.create_connection((address.hostname, address.port), timeout=SOON) as silent:
        assert version(fake, Client(tmp_path)) == 200
        with fake.down():
            assert silent.recv(1) == b""


@pytest.mark.parametrize(
    "fault", [Fault.RESET, Fault.CLOSE, Fault.TRUNCATED], ids=lambda fault: fault.name
)
def test_faults_on_the_wire(fake: FakeAirflow, tmp_path: Path, fault: Fault) -> None:
    """What goes wrong on a plain connection goes wrong under TLS, and the next request is
    answered.
    """
    fake.fault(fault)
    with pytest.raises(requests.RequestException):
        version(fake, Client(tmp_path))
    assert version(fake, Client(tmp_path)) == 200
    assert fake.record[0].status == (200 if fault is Fault.TRUNCATED else None)


def test_a_hanging_connection_ends_when_the_client_gives_up(fake: FakeAirflow) -> None:
    """A request may hang, and once the client gives up nothing of it is left."""
    fake.fault(Fault.HANG)
    with connected(
        fake, ssl.create_default_context(cadata=certificates.private().pem)
    ) as connection:
        connection.sendall(f"GET {fake.api}/version HTTP/1.1\r\nHost: airflow\r\n\r\n".encode())
        until(lambda: [one.status for one in fake.record] == [None])
        assert fake._listener is not None
        assert fake._listener._connections
    listener = fake._listener
    until(lambda: not listener._connections)


def until(holds: Callable[[], bool]) -> None:
    """Returns once this holds."""
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.001)
