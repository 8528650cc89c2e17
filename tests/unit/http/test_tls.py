"""PEM texts become TLS, judged by handshakes of OpenSSL with itself, in memory."""

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
from tests.unit.http.handshakes import DEPLOYER, NAME, OURS, THEIRS, shaken


def failure(tls: Tls, server: ssl.SSLContext) -> ssl.SSLError:
    """What OpenSSL itself says of a handshake that fails."""
    with pytest.raises(ssl.SSLError) as caught:
        shaken(create_context(tls, present=True), server)
    return caught.value


def as_requests_raises(error: ssl.SSLError) -> requests.exceptions.SSLError:
    """The same inside of what the HTTP libraries make of it, with a secret in each of their
    texts.
    """
    nested = NestedError("s3cret", error)
    outer = MaxRetryError(None, "/?token=s3cret", nested)  # type: ignore[arg-type]  # the pool is not looked at
    return requests.exceptions.SSLError(outer, "s3cret")


def test_a_private_ca() -> None:
    """A server whose certificate a given CA signed is trusted, and no other."""
    tls = Tls(ca=OURS.pem)

    shaken(create_context(tls, present=False), OURS.server(NAME))
    for certificate in (THEIRS.server(NAME), OURS.server("other.example.com")):
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(create_context(tls, present=False), certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(create_context(Tls(), present=False), OURS.server(NAME))


def test_several_cas() -> None:
    """Each of the certificates in the text is trusted."""
    made = create_context(Tls(ca=f"{THEIRS.pem}{OURS.pem}"), present=False)

    for authority in (OURS, THEIRS):
        shaken(made, authority.server(NAME))


def test_a_client_certificate() -> None:
    """The certificate is presented to whom it is for, and to nobody else."""
    tls = Tls(OURS.pem, DEPLOYER.certificate, Secret(DEPLOYER.key))
    asking = OURS.server(NAME, clients=OURS)
    asking.verify_mode = ssl.CERT_OPTIONAL

    for present in (True, False):
        _, server = shaken(create_context(tls, present=present), asking)
        parts: Any = (server.getpeercert() or {}).get("subject", ())
        subject = dict(pair for part in parts for pair in part)
        assert subject.get("commonName") == ("deployer" if present else None)


def test_no_client_certificate() -> None:
    """Where none is given, none is presented, wanted or not."""
    shaken(create_context(Tls(ca=OURS.pem), present=True), OURS.server(NAME))
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        shaken(create_context(Tls(ca=OURS.pem), present=True), OURS.server(NAME, clients=OURS))


def test_nothing_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is gone from the disk as soon as it has been read, usable or not."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    add_client_certificate(
        create_context(Tls(), present=False), DEPLOYER.certificate, Secret(DEPLOYER.key)
    )
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ssl.SSLError):
        add_client_certificate(
            create_context(Tls(), present=False), DEPLOYER.certificate, Secret("no key")
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "key",
    ["", "no key", OURS.client("other").key, DEPLOYER.encrypted("pass").key],
    ids=["none", "text", "other", "locked"],
)
def test_a_key_that_does_not_fit(key: str) -> None:
    """A key that is none, of another certificate, or behind a password is an error at once, and
    asks nobody.
    """
    with pytest.raises(ssl.SSLError):
        add_client_certificate(
            create_context(Tls(), present=False), DEPLOYER.certificate, Secret(key)
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
def test_a_ca_that_is_none(ca: str) -> None:
    """A CA that cannot be read is an error at once."""
    with pytest.raises(ssl.SSLError):
        add_ca(create_context(Tls(), present=False), ca)


def test_what_companies_certificates_lack() -> None:
    """With a CA of one's own its form is not judged, as Python 3.13 began to; without one it is
    left as it is.
    """
    strict = create_urllib3_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    add_ca(strict, OURS.pem)

    assert not strict.verify_flags & ssl.VERIFY_X509_STRICT
    assert (
        create_context(Tls(), present=False).verify_flags == create_urllib3_context().verify_flags
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
def test_what_failed(ca: str, server: ssl.SSLContext, words: str) -> None:
    """OpenSSL's own words are found however deep the HTTP libraries bury them, and theirs are left
    out.
    """
    error = failure(Tls(ca=ca), server)

    assert openssl_reason(error) == words
    assert openssl_reason(as_requests_raises(error)) == words


def test_what_failed_behind_causes() -> None:
    """What an exception was raised from, or raised in the course of, is looked at too."""
    told = failure(Tls(), OURS.server(NAME))
    from_it, meanwhile = RuntimeError("s3cret"), RuntimeError("s3cret")
    from_it.__cause__ = told
    meanwhile.__context__ = from_it

    assert openssl_reason(meanwhile) == "unable to get local issuer certificate"


def test_nobody_says_what_failed() -> None:
    """Where OpenSSL has said nothing, nothing of the HTTP libraries' texts is quoted, and no circle
    is walked for ever.
    """
    one, other = RuntimeError("s3cret"), requests.exceptions.SSLError("s3cret", {"token": "s3cret"})
    one.__context__, other.__context__ = other, one
    endless = RuntimeError("s3cret")
    for _ in range(100):
        outer = RuntimeError("s3cret")
        outer.__cause__ = endless
        endless = outer

    for error in (one, other, endless, ssl.SSLError("s3cret"), ssl.SSLError(1, "s3cret")):
        assert openssl_reason(error) == "the connection was refused on this side or on the other"
