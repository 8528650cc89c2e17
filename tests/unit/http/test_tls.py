"""TLS contexts from PEM texts, checked by OpenSSL handshakes in memory."""

import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import SSLError as NestedError
from urllib3.util import create_urllib3_context

from entrypoint.credentials import Secret, Tls
from entrypoint.http.tls import add_ca, add_client_certificate, create_context, openssl_reason
from tests.unit.http.handshakes import DEPLOYER, NAME, OURS, THEIRS, handshake


def handshake_failure(tls: Tls, server: ssl.SSLContext) -> ssl.SSLError:
    with pytest.raises(ssl.SSLError) as caught:
        handshake(create_context(tls, send_client_certificate=True), server)
    return caught.value


def as_requests_raises(error: ssl.SSLError) -> requests.exceptions.SSLError:
    """Return the same error nested as the HTTP libraries do, with a secret in each text."""
    nested = NestedError("s3cret", error)
    unused_pool: Any = None
    outer = MaxRetryError(unused_pool, "/?token=s3cret", nested)
    return requests.exceptions.SSLError(outer, "s3cret")


def test_only_certificates_of_the_given_ca_are_trusted() -> None:
    tls = Tls(ca=OURS.pem)

    handshake(create_context(tls, send_client_certificate=False), OURS.server(NAME))
    for certificate in (THEIRS.server(NAME), OURS.server("other.example.com")):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(create_context(tls, send_client_certificate=False), certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(create_context(Tls(), send_client_certificate=False), OURS.server(NAME))


def test_every_ca_of_the_text_is_trusted() -> None:
    context = create_context(Tls(ca=f"{THEIRS.pem}{OURS.pem}"), send_client_certificate=False)

    for authority in (OURS, THEIRS):
        handshake(context, authority.server(NAME))


def test_client_certificate_is_presented_only_to_its_service() -> None:
    tls = Tls(OURS.pem, DEPLOYER.certificate, Secret(DEPLOYER.key))
    asking = OURS.server(NAME, clients=OURS)
    asking.verify_mode = ssl.CERT_OPTIONAL

    for send_client_certificate in (True, False):
        _, server = handshake(
            create_context(tls, send_client_certificate=send_client_certificate), asking
        )
        parts: Any = (server.getpeercert() or {}).get("subject", ())
        subject = dict(pair for part in parts for pair in part)
        assert subject.get("commonName") == ("deployer" if send_client_certificate else None)


def test_without_a_client_certificate_none_is_presented() -> None:
    handshake(create_context(Tls(ca=OURS.pem), send_client_certificate=True), OURS.server(NAME))
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        handshake(
            create_context(Tls(ca=OURS.pem), send_client_certificate=True),
            OURS.server(NAME, clients=OURS),
        )


def test_key_file_is_removed_after_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    add_client_certificate(
        create_context(Tls(), send_client_certificate=False),
        DEPLOYER.certificate,
        Secret(DEPLOYER.key),
    )
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ssl.SSLError):
        add_client_certificate(
            create_context(Tls(), send_client_certificate=False),
            DEPLOYER.certificate,
            Secret("no key"),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "key",
    ["", "no key", OURS.client("other").key, DEPLOYER.encrypted("pass").key],
    ids=["none", "text", "other", "locked"],
)
def test_invalid_mismatched_or_encrypted_key_is_an_error(key: str) -> None:
    with pytest.raises(ssl.SSLError):
        add_client_certificate(
            create_context(Tls(), send_client_certificate=False), DEPLOYER.certificate, Secret(key)
        )


@pytest.mark.parametrize(
    "ca",
    [
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        OURS.pem.replace("\n", " "),
        f"{OURS.pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        OURS.pem[: len(OURS.pem) // 2],
    ],
    ids=["text", "short", "one line", "the second", "cut"],
)
def test_invalid_ca_is_an_error(ca: str) -> None:
    with pytest.raises(ssl.SSLError):
        add_ca(create_context(Tls(), send_client_certificate=False), ca)


def test_private_ca_disables_strict_x509_checks() -> None:
    """Python 3.13 enables these checks by default."""
    strict = create_urllib3_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    add_ca(strict, OURS.pem)

    assert not strict.verify_flags & ssl.VERIFY_X509_STRICT
    assert (
        create_context(Tls(), send_client_certificate=False).verify_flags
        == create_urllib3_context().verify_flags
    )


@pytest.mark.parametrize(
    ("ca", "server", "words"),
    [
        ("", OURS.server(NAME), "unable to get local issuer certificate"),
        (THEIRS.pem, OURS.server(NAME), "unable to get local issuer certificate"),
        (
            OURS.pem,
            OURS.server("other.example.com"),
            f"Hostname mismatch, certificate is not valid for '{NAME}'.",
        ),
        (OURS.pem, OURS.server(NAME, clients=OURS), "peer did not return a certificate"),
    ],
    ids=["unknown", "another CA", "another name", "no client certificate"],
)
def test_openssl_error_is_found_inside_library_exceptions(
    ca: str, server: ssl.SSLContext, words: str
) -> None:
    error = handshake_failure(Tls(ca=ca), server)

    assert openssl_reason(error) == words
    assert openssl_reason(as_requests_raises(error)) == words


def test_openssl_error_is_found_in_causes_and_contexts() -> None:
    cause = handshake_failure(Tls(), OURS.server(NAME))
    from_cause, from_context = RuntimeError("s3cret"), RuntimeError("s3cret")
    from_cause.__cause__ = cause
    from_context.__context__ = from_cause

    assert openssl_reason(from_context) == "unable to get local issuer certificate"


def test_without_an_openssl_error_nothing_is_quoted() -> None:
    """Circular causes end the search."""
    one, other = RuntimeError("s3cret"), requests.exceptions.SSLError("s3cret", {"token": "s3cret"})
    one.__context__, other.__context__ = other, one
    endless = RuntimeError("s3cret")
    for _ in range(100):
        outer = RuntimeError("s3cret")
        outer.__cause__ = endless
        endless = outer

    for error in (one, other, endless, ssl.SSLError("s3cret"), ssl.SSLError(1, "s3cret")):
        assert openssl_reason(error) == "the connection was refused on this side or on the other"
