"""The server's side of TLS on one connection. `support/services` has the certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any


def do_handshake(connection: ssl.SSLSocket) -> None:
    """Do the handshake; if it fails, wait until the client has disconnected, and raise.

    Closing while the client still sends would cause a reset, which removes the alert with the
    reason.
    """
    try:
        connection.do_handshake()
    except OSError:
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            shut(connection, socket.SHUT_WR)
            while socket.socket.recv(connection, 65536):
                pass
        raise


def common_name(connection: socket.socket) -> str:
    """Return the common name of the client's certificate; empty without one."""
    certificate: Any = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    names = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    return next((value for name, value in names if name == "commonName"), "")


def shut(connection: socket.socket, how: int) -> None:
    """Shut down the TCP connection.

    TLS's own shutdown would break a thread that reads from it.
    """
    socket.socket.shutdown(connection, how)
