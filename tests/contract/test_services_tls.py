"""TLS of the stand-ins: certificates, mutual TLS, faults, and concurrent clients."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.contract.services import SOON, ServiceClient, airflow
from tests.support.fake_airflow import FakeAirflow, Fault
from tests.support.services import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.services.certificates import KeyPair

VERSIONS = ("2.11.2", "3.3.2")


@pytest.fixture(params=VERSIONS)
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with airflow(request.param, tls=certificates.trusted_ca().server("127.0.0.1")) as started:
        yield started


def version(fake: FakeAirflow, client: ServiceClient) -> int:
    """Return the status of an anonymous request."""
    return client("GET", f"{fake.url}{fake.api}/version").status_code


def test_a_client_that_trusts_the_ca_is_served(fake: FakeAirflow, tmp_path: Path) -> None:
    assert fake.url.startswith("https://127.0.0.1:")
    assert version(fake, ServiceClient(tmp_path)) == 200
    assert [(one.status, one.client) for one in fake.record] == [(200, "")]


@pytest.mark.parametrize("trusts", ["public", "stranger"])
def test_a_client_that_does_not_trust_the_ca_sends_no_request(
    fake: FakeAirflow, tmp_path: Path, trusts: str
) -> None:
    """The next client is served."""
    options = {"verify": True} if trusts == "public" else {}
    client = ServiceClient(tmp_path, trusts=certificates.untrusted_ca().pem)
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client("GET", f"{fake.url}{fake.api}/version", **options)
    assert fake.record == []
    assert version(fake, ServiceClient(tmp_path)) == 200


def test_a_certificate_with_another_name_is_refused(tmp_path: Path) -> None:
    with (
        airflow("3.3.2", tls=certificates.trusted_ca().server("airflow.example.com")) as fake,
        pytest.raises(requests.exceptions.SSLError, match="mismatch"),
    ):
        version(fake, ServiceClient(tmp_path))


def test_a_ca_without_modern_extensions_fails_the_strict_check_only() -> None:
    """OpenSSL accepts it; the strict check, a default since Python 3.13, does not."""
    authority = certificates.ca_without_key_usage()
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
    """Return a connection after its handshake; raise the reason if that fails."""
    address = urlsplit(fake.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=SOON) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        yield connection


@pytest.mark.parametrize(("whose", "error"), [("none", "required"), ("stranger", "unknown ca")])
@pytest.mark.parametrize("known", VERSIONS)
def test_mutual_tls_refuses_a_missing_or_foreign_certificate_with_an_alert(
    tmp_path: Path, known: str, whose: str, error: str
) -> None:
    private = certificates.trusted_ca()
    pair = None if whose == "none" else certificates.untrusted_ca().client("deployer")
    with airflow(known, tls=private.server(clients=private)) as fake:
        with pytest.raises(requests.exceptions.ConnectionError, match=error):
            version(fake, ServiceClient(tmp_path, pair=pair))
        assert fake.record == []


@pytest.mark.parametrize("known", VERSIONS)
def test_mutual_tls_serves_and_records_a_good_certificate(tmp_path: Path, known: str) -> None:
    private = certificates.trusted_ca()
    with airflow(known, tls=private.server(clients=private)) as fake:
        assert version(fake, ServiceClient(tmp_path, pair=private.client("deployer"))) == 200
        assert [one.client for one in fake.record] == ["deployer"]


def load(folder: Path, pair: KeyPair) -> None:
    """Load the pair into a client's context; raise `ssl.SSLError`."""
    (folder / "cert.pem").write_text(pair.certificate)
    (folder / "key.pem").write_text(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem", password="")


def test_a_certificate_needs_its_own_key_without_a_password(tmp_path: Path) -> None:
    pair, other = certificates.trusted_ca().client("one"), certificates.trusted_ca().client("other")
    load(tmp_path, pair)
    with pytest.raises(ssl.SSLError, match=r"PEM lib|DECRYPT|PASSWORD"):
        load(tmp_path, pair.encrypted("a password"))
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        load(tmp_path, pair.with_key_of(other))


def test_a_client_without_a_handshake_delays_no_other(fake: FakeAirflow, tmp_path: Path) -> None:
    """Nor the stop of the server."""
    address = urlsplit(fake.url)
    with socket.create_connection((address.hostname, address.port), timeout=SOON) as silent:
        assert version(fake, ServiceClient(tmp_path)) == 200
        with fake.down():
            assert silent.recv(1) == b""


@pytest.mark.parametrize(
    "fault", [Fault.RESET, Fault.CLOSE, Fault.TRUNCATED], ids=lambda fault: fault.name
)
def test_faults_work_under_tls_and_end(fake: FakeAirflow, tmp_path: Path, fault: Fault) -> None:
    fake.fault(fault)
    with pytest.raises(requests.RequestException):
        version(fake, ServiceClient(tmp_path))
    assert version(fake, ServiceClient(tmp_path)) == 200
    assert fake.record[0].status == (200 if fault is Fault.TRUNCATED else None)


def test_a_hanging_connection_ends_when_the_client_gives_up(fake: FakeAirflow) -> None:
    fake.fault(Fault.HANG)
    with connected(
        fake, ssl.create_default_context(cadata=certificates.trusted_ca().pem)
    ) as connection:
        connection.sendall(f"GET {fake.api}/version HTTP/1.1\r\nHost: airflow\r\n\r\n".encode())
        until(lambda: [one.status for one in fake.record] == [None])
        assert fake._listener is not None
        assert fake._listener._connections
    listener = fake._listener
    until(lambda: not listener._connections)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.001)
