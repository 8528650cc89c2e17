"""TLS handshakes in memory, without a socket, and certificates for them."""

import ssl
from contextlib import suppress

from tests.support.services import certificates

NAME = "airflow.example.com"
OURS, THEIRS = certificates.trusted_ca(), certificates.untrusted_ca()
DEPLOYER = OURS.client("deployer")


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends after their handshake, or raise the error of either end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=NAME),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(5):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends
