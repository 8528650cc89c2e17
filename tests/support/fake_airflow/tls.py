"""The server's side of TLS on one connection. Which certificates there are is the business of
`support/doors`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any


def shake_hands(connection: ssl.SSLSocket) -> None:
    """Gets through the handshake; if it fails, waits until the client has gone before raising why.

    To close while the client still sends would be a reset, which eats the alert that tells the
    client why.
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
    """Whose certificate the client presented; empty if it presented none."""
    certificate: Any = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    names = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    return next((value for name, value in names if name == "commonName"), "")


def shut(connection: socket.socket, how: int) -> None:
    """Shuts down the connection itself: TLS's own shutdown would pull the rug from under a thread
    that reads from it.
    """
    socket.socket.shutdown(connection, how)
