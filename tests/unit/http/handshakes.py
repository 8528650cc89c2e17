"""TLS handshakes of OpenSSL with itself, in memory, and certificates for them. It judges
nothing.
"""

import ssl
from contextlib import suppress

from tests.support.services import certificates

NAME = "airflow.example.com"
OURS, THEIRS = certificates.private(), certificates.stranger()
DEPLOYER = OURS.client("deployer")


def shaken(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after their handshake; raises what either end finds wrong."""
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
