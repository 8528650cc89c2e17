"""Read the PEM inputs: additional trusted CAs, and a client certificate with its key.

This module reads files of the workspace and sends no requests. Error messages never quote a key.
"""

from __future__ import annotations

import re
import ssl
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.credentials import Secret, Tls
from entrypoint.http.tls import add_ca, add_client_certificate, create_context
from entrypoint.inputs import parsers as parse

if TYPE_CHECKING:
    from pathlib import Path

    from entrypoint.inputs.reader import Reader

_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's reasons if the key is of another certificate; the last if the key's type differs."""
_CERTIFICATE = r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"
_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----"


def read_tls(reader: Reader, workspace: Path) -> Tls:
    """Read the CAs and the client certificate. Add errors to the reader."""
    reader.pair("client_certificate", "client_key")
    ca = reader.read("ca_certificate", partial(_authorities, workspace=workspace), "")
    certificate = reader.read(
        "client_certificate", partial(_pem, workspace=workspace, blocks=_CERTIFICATE), ""
    )
    key = Secret(reader.read("client_key", partial(_private_key, workspace=workspace), ""))
    if certificate and key.reveal():
        try:
            add_client_certificate(
                create_context(Tls(), send_client_certificate=False), certificate, key
            )
        except ssl.SSLError as error:
            if error.reason in _MISMATCHES:
                reader.add_error(
                    "client_key",
                    "it does not belong to client_certificate.",
                    "Give the key of this certificate.",
                )
            else:
                reader.add_error(
                    "client_certificate",
                    "it or client_key cannot be read.",
                    "Give both complete, as they were issued.",
                )
    return Tls(ca, certificate, key)


def _authorities(text: str, workspace: Path) -> str:
    """Parse CAs that OpenSSL can read."""
    ca = _pem(text, workspace, _CERTIFICATE)
    try:
        add_ca(create_context(Tls(), send_client_certificate=False), ca)
    except ssl.SSLError:
        raise parse.ParseError(
            "its certificate cannot be read.", "Give it complete, as it was issued."
        ) from None
    return ca


def _private_key(text: str, workspace: Path) -> str:
    """Parse a private key without a passphrase."""
    key = _pem(text, workspace, _KEY)
    if "ENCRYPTED" in key:
        raise parse.ParseError(
            "it is encrypted.", "Store the key without a passphrase, as a secret."
        )
    return key


def _pem(text: str, workspace: Path, blocks: str) -> str:
    """Return the PEM blocks of the text, or of a workspace file with this path."""
    if "-----BEGIN" not in text:
        # Not a path, and possibly a secret.
        if "\n" in text or len(text) > 400:
            raise parse.ParseError(
                "it is neither PEM text nor a path.",
                "Give the text from -----BEGIN on, or a file's path.",
            )
        try:
            text = parse.file_text(text, workspace)
        except parse.ParseError:
            if blocks != _KEY:
                raise
            raise parse.ParseError(
                "it is neither PEM text nor the path of a readable file.",
                "Give the text from -----BEGIN on, or the path of a file of the checkout.",
            ) from None
    what = "private key" if blocks == _KEY else "certificate"
    found = re.findall(blocks, text, re.DOTALL)
    if not found:
        raise parse.ParseError(
            f"it contains no PEM {what}.",
            "Give the text from -----BEGIN to -----END, line breaks included.",
        )
    try:
        return "\n".join(found).encode("ascii").decode() + "\n"
    except UnicodeEncodeError:
        raise parse.ParseError(
            f"its PEM {what} has characters outside ASCII.", "Give it as it was issued."
        ) from None
