"""PEM texts become the context in which a TLS connection is made. A key is on disk no longer than
OpenSSL needs to read it.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from urllib3.util import create_urllib3_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.credentials import Secret, Tls


def create_context(tls: Tls, *, present: bool) -> ssl.SSLContext:
    """Return the context for connections, without the public CAs, which requests adds to each.

    Args:
        tls: CAs and client certificate, which must have been checked.
        present: whether to present the client certificate.
    """
    made = create_urllib3_context()
    if tls.ca:
        add_ca(made, tls.ca)
    if present and tls.certificate:
        add_client_certificate(made, tls.certificate, tls.key)
    return made


def add_ca(made: ssl.SSLContext, ca: str) -> None:
    """Trust these CAs too. Raises ssl.SSLError if they are none."""
    made.load_verify_locations(cadata=ca)
    # Python 3.13 began to demand of a CA what companies' own seldom have: a key identifier, key
    # usage (RFC 5280).
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT


def add_client_certificate(made: ssl.SSLContext, certificate: str, key: Secret) -> None:
    """Present this certificate. Raises ssl.SSLError if the two are unreadable, or do not belong
    together.
    """
    with TemporaryDirectory(prefix="tls-") as folder:  # 0700, and OpenSSL reads only files
        certificate_file, key_file = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        certificate_file.write_text(certificate, encoding="ascii")
        key_file.write_text(key.reveal(), encoding="ascii")
        made.load_cert_chain(
            certificate_file, key_file, password=""
        )  # so that it never asks at a terminal


def is_certificate_error(error: BaseException) -> bool:
    """Return whether a certificate is not trusted, or is of another name: then asking again cannot
    help.
    """
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def openssl_reason(error: BaseException) -> str:
    """Return why a TLS connection failed, in OpenSSL's own words as far as they can hold nothing of
    ours.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            # Those that Python raises itself have neither.
            reason = str(getattr(cause, "reason", None) or "").replace("_", " ").lower()
            if words := str(getattr(cause, "verify_message", "")) or reason:
                return words
    return "the connection was refused on this side or on the other"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk through an exception, what it was raised from, and what it carries, as HTTP libraries
    nest them.
    """
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < 20:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            with suppress(AttributeError):
                waiting += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]
