"""An exchange that ends at its deadline, however slowly the bytes of its answer come; and a body
that has a size.

The timeout of a socket is about one read, and a server that sends a byte a second never meets it:
not in a header line, not in a body, not in a stream without a line break. So the reads of an answer
get what is left of the whole exchange.
"""

from __future__ import annotations

import http.client
import io
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    import socket
    import ssl

    import requests

MAX_BODY_BYTES = 33_554_432
"""Bytes of an answer that are read, decompressed: 40,000 task instances of an Airflow 2, which
gives them in one answer.
"""
MAX_JSON_MARKS = 2_000_000
"""Braces, brackets and commas of an answer: 40,000 task instances have 1.5 million. It is these
that cost memory once JSON is
read: 32 MiB of `{},` become 800 MiB of objects, and as many marks as this 362 MiB of the costliest
kind."""
_MARKS = (b"{", b"[", b",")
_CHUNK = 65_536


class TooManyValues(ValueError):
    """What came has more parts than any answer."""


class ExchangeDeadline:
    """When the exchange that is under way has to be over, and for how long no byte need come.

    A connection has one for its life, since it is kept for the next exchange: `begin` says what
    that one may take.
    """

    def __init__(self) -> None:
        self.until, self._silence = 0.0, 0.0
        self._reads: io.RawIOBase | None = None

    def begin(self, seconds: float, silence: float) -> None:
        """Start an exchange that may take `seconds` in all, and `silence` without a byte."""
        self.until, self._silence = time.monotonic() + seconds, silence

    def reads(self, stream: io.RawIOBase) -> None:
        """Take note of the stream from which the answer is read."""
        self._reads = stream

    def abandon(self) -> None:
        """Close that stream, and with it a connection that nobody else has in hand after an answer
        that made no sense.
        """
        if self._reads is not None:
            self._reads.close()

    def seconds_left(self) -> float:
        """Return for how many seconds the next read may wait. Raises TimeoutError."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(left, self._silence)


class LimitedAdapter(HTTPAdapter):
    """Connects, through a proxy as well, such that no exchange outlasts the deadline; in a TLS
    context if one is given.
    """

    def __init__(self, deadline: ExchangeDeadline, tls: ssl.SSLContext | None = None) -> None:
        self._tls = {} if tls is None else {"ssl_context": tls}
        self._pools = _pools(deadline)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connections that know the deadline."""
        super().init_poolmanager(*args, **(kwargs | self._tls))
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make those through a proxy, which know it too."""
        manager = super().proxy_manager_for(*args, **(kwargs | self._tls))
        manager.pool_classes_by_scheme = self._pools
        return manager


def read_body(response: requests.Response) -> bytes | None:
    """Return the body, None if it is larger than what is read of any. Raises what the HTTP stack
    raises, and TooManyValues.
    """
    parts, size, marks = [], 0, 0
    for part in response.iter_content(_CHUNK):
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        marks += sum(map(part.count, _MARKS))
        if marks > MAX_JSON_MARKS:
            raise TooManyValues
        parts.append(part)
    return b"".join(parts)


def _pools(deadline: ExchangeDeadline) -> dict[str, type[HTTPConnectionPool]]:
    # http.client makes the response itself; so the class is what can be given the deadline.
    made = staticmethod(partial(_Response, deadline))
    plain = type("_Plain", (HTTPConnection,), {"response_class": made})
    secure = type("_Secure", (HTTPSConnection,), {"response_class": made})
    return {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


class _Response(http.client.HTTPResponse):
    def __init__(
        self, deadline: ExchangeDeadline, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(_Socket(sock, deadline), *args, **kwargs)  # type: ignore[arg-type]


class _Socket:
    """The part of a socket that a response uses."""

    def __init__(self, sock: socket.socket, deadline: ExchangeDeadline) -> None:
        self._sock, self._deadline = sock, deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the stream of what is received; `mode` is always to read bytes."""
        del mode
        return io.BufferedReader(_Reads(self._sock, self._deadline))


class _Reads(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: ExchangeDeadline) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw: io.RawIOBase = sock.makefile("rb", buffering=0)
        deadline.reads(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.seconds_left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
