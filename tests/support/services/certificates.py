"""Certificates of the tests' own: a private CA, another that nobody trusts, and what they sign.
Made once a process.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (the first of its chain) and its private key, as PEM text."""

    certificate: str
    key: str

    def with_key_of(self, other: Pair) -> Pair:
        """A pair that does not belong together."""
        return Pair(self.certificate, other.key)

    def encrypted(self, password: str) -> Pair:
        """The same pair, its key behind a password."""
        key = load_pem_private_key(self.key.encode(), password=None)
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
        )
        return Pair(self.certificate, locked.decode())


class Authority:
    """A certificate authority. `pem` is its own certificate, which makes who trusts it trust what
    it signs.
    """

    def __init__(self, ca: trustme.CA | None = None) -> None:
        self._ca = ca or trustme.CA()
        self.pem = self._ca.cert_pem.bytes().decode()

    def server(self, *names: str, clients: Authority | None = None) -> ssl.SSLContext:
        """The server's side of TLS for these host names and addresses.

        `clients`: a client, too, has to present a certificate, signed by that authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names or ("127.0.0.1", "localhost")).configure_cert(context)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem)
        return context

    def client(self, name: str = "deployer") -> Pair:
        """A client's certificate with this common name, and its key."""
        issued = self._ca.issue_cert(f"{name}@example.com", common_name=name)
        return Pair(
            issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()
        )


@cache
def private() -> Authority:
    """The authority that a test may tell its client to trust."""
    return Authority()


@cache
def stranger() -> Authority:
    """An authority that nobody trusts."""
    return Authority()


@cache
def old_fashioned() -> Authority:
    """An authority as companies have them: its own certificate does not say that its key may sign
    (RFC 5280, 4.2.1.3).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Corp Root")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = made.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return Authority(
        trustme.CA.from_pem(
            pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    )
