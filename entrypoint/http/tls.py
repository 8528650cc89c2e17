"""Create TLS contexts from PEM texts.

A private key is on disk only while OpenSSL reads it. In the image the public CAs are those of
requests; the file airflow-dag-run.pyz trusts the CAs of the machine.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from urllib3.util import create_urllib3_context

from entrypoint import form

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.credentials import Secret, Tls


def create_context(tls: Tls, *, send_client_certificate: bool) -> ssl.SSLContext:
    """Return a TLS context: with the CAs of the machine, or without any, and requests adds its own.

    Args:
        tls: validated CAs and client certificate.
        send_client_certificate: whether to add the client certificate.
    """
    context = _system_context() if form.FROM_FILE else create_urllib3_context()
    if tls.ca:
        add_ca(context, tls.ca)
    if send_client_certificate and tls.certificate:
        add_client_certificate(context, tls.certificate, tls.key)
    return context


def _system_context() -> ssl.SSLContext:
    """Return a TLS context that verifies as the operating system does: with a company's CA too."""
    import truststore  # noqa: PLC0415 - the image does not have it

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def add_ca(context: ssl.SSLContext, ca: str) -> None:
    """Trust these CAs too.

    Raises:
        ssl.SSLError: the text contains no valid CA.
    """
    context.load_verify_locations(cadata=ca)
    # Python 3.13 requires a key identifier and key usage of a CA (RFC 5280), which company CAs
    # rarely have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT


def add_client_certificate(context: ssl.SSLContext, certificate: str, key: Secret) -> None:
    """Use this client certificate.

    Raises:
        ssl.SSLError: certificate or key is unreadable, or they do not match.
    """
    with TemporaryDirectory(prefix="tls-") as folder:  # 0700, and OpenSSL reads only files
        certificate_file, key_file = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        certificate_file.write_text(certificate, encoding="ascii")
        key_file.write_text(key.reveal(), encoding="ascii")
        # The empty password keeps OpenSSL from a prompt at the terminal.
        context.load_cert_chain(certificate_file, key_file, password="")


def is_certificate_error(error: BaseException) -> bool:
    """Return whether the certificate is not trusted or has another name.

    A retry cannot help then.
    """
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def openssl_reason(error: BaseException) -> str:
    """Return OpenSSL's reason for a failed TLS connection.

    Only the fields of the exception that cannot contain our data are used.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            # Exceptions that Python itself raises have neither attribute.
            reason = str(getattr(cause, "reason", None) or "").replace("_", " ").lower()
            if text := str(getattr(cause, "verify_message", "")) or reason:
                return text
    return "the connection was refused on this side or on the other"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Iterate over an exception and its causes: context, `reason` and arguments.

    HTTP libraries nest exceptions in all of these.
    """
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < 20:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            with suppress(AttributeError):
                waiting += [
                    getattr(cause, "reason", None),
                    cause.__cause__,
                    cause.__context__,
                    *cause.args,
                ]
