"""Certificates for the tests: authorities, trusted and untrusted, made once per process."""

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
class KeyPair:
    """A certificate (the first of its chain) and its private key, as PEM text."""

    certificate: str
    key: str

    def with_key_of(self, other: KeyPair) -> KeyPair:
        """Return a pair whose key does not match its certificate."""
        return KeyPair(self.certificate, other.key)

    def encrypted(self, password: str) -> KeyPair:
        """Return the pair with its key encrypted by a password."""
        key = load_pem_private_key(self.key.encode(), password=None)
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
        )
        return KeyPair(self.certificate, locked.decode())


class CertificateAuthority:
    """A certificate authority. `pem` is its own certificate, for clients that trust it."""

    def __init__(self, ca: trustme.CA | None = None) -> None:
        self._ca = ca or trustme.CA()
        self.pem = self._ca.cert_pem.bytes().decode()

    def server(self, *names: str, clients: CertificateAuthority | None = None) -> ssl.SSLContext:
        """Return a server's TLS context for these host names and addresses.

        Args:
            names: host names and addresses; by default the loopback's
            clients: authority of the certificate that a client must present
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names or ("127.0.0.1", "localhost")).configure_cert(context)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem)
        return context

    def client(self, name: str = "deployer") -> KeyPair:
        """Return a client certificate with this common name, and its key."""
        issued = self._ca.issue_cert(f"{name}@example.com", common_name=name)
        return KeyPair(
            issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()
        )


@cache
def trusted_ca() -> CertificateAuthority:
    """Return the authority that a test may configure its client to trust."""
    return CertificateAuthority()


@cache
def untrusted_ca() -> CertificateAuthority:
    """Return an authority that no client trusts."""
    return CertificateAuthority()


@cache
def ca_without_key_usage() -> CertificateAuthority:
    """Return an authority whose certificate lacks the key usage extension (RFC 5280, 4.2.1.3).

    Many companies have such authorities.
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
    return CertificateAuthority(
        trustme.CA.from_pem(
            pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    )
