"""Limit an HTTP exchange: its total duration and the size of its body.

A socket timeout applies to one read. A server that sends one byte a second never exceeds it,
neither in a header line nor in a body. So every read of a response gets the time that is left for
the whole exchange.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from entrypoint import form

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    import requests

MAX_BODY_BYTES = 33_554_432
"""Maximum size of a body, decompressed, in bytes.

40,000 task instances of an Airflow 2 fit, which returns all of them in one response.
"""
MAX_JSON_MARKS = 2_000_000
"""Maximum number of braces, brackets and commas in a body.

They determine the memory that the parsed JSON takes: 32 MiB of `{},` become 800 MiB of objects, and
2,000,000 marks at most 362 MiB. 40,000 task instances have 1.5 million marks.
"""
_MARKS = (b"{", b"[", b",")
_CHUNK = 65_536
SLICE_SECONDS = 0.25 if form.ON_WINDOWS else None
"""Maximum seconds of one wait for data; None: no limit.

On Windows a signal does not end a wait in a system call, so a cancel would have to wait too.
"""


class TooManyValues(ValueError):
    """A body has more JSON values than MAX_JSON_MARKS allows."""


class ExchangeDeadline:
    """Deadline and read timeout of the current exchange on one client's connections.

    A connection keeps this object for its lifetime, because it is reused for later exchanges. Each
    exchange calls `begin` to set its own limits.
    """

    def __init__(self) -> None:
        self.until, self._read_timeout = 0.0, 0.0
        self._stream: io.RawIOBase | None = None

    def begin(self, seconds: float, read_timeout: float) -> None:
        """Start an exchange.

        Args:
            seconds: maximum duration of the exchange in seconds.
            read_timeout: maximum seconds without a byte.
        """
        self.until, self._read_timeout = time.monotonic() + seconds, read_timeout

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Allow another exchange inside this context, which may happen while a stream is read."""
        saved = self.until, self._read_timeout, self._stream
        try:
            yield
        finally:
            self.until, self._read_timeout, self._stream = saved

    def set_stream(self, stream: io.RawIOBase) -> None:
        """Remember the stream of the current response."""
        self._stream = stream

    def abandon(self) -> None:
        """Close the stream of the current response, and with it its connection.

        After a malformed response no other code holds a reference to that connection.
        """
        if self._stream is not None:
            self._stream.close()

    def seconds_left(self) -> float:
        """Return the seconds for which the next read may wait.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(left, self._read_timeout)


class LimitedAdapter(HTTPAdapter):
    """A requests adapter that enforces the deadline, also through a proxy.

    Args:
        deadline: deadline of the current exchange.
        tls: TLS context; None: the default one.
    """

    def __init__(self, deadline: ExchangeDeadline, tls: ssl.SSLContext | None = None) -> None:
        self._tls = {} if tls is None else {"ssl_context": tls}
        self._has_cas = form.FROM_FILE
        self._pools = _pools(deadline)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create direct connections with the deadline."""
        super().init_poolmanager(*args, **(kwargs | self._tls))
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Require a valid certificate, and add requests' CAs unless the context has the machine's.

        Without CAs every certificate is refused.
        """
        if self._has_cas:
            conn.cert_reqs = "CERT_REQUIRED"
        else:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Create connections through a proxy with the deadline."""
        manager = super().proxy_manager_for(*args, **(kwargs | self._tls))
        manager.pool_classes_by_scheme = self._pools
        return manager


def read_body(raw: requests.Response) -> bytes | None:
    """Return the body, or None if it is larger than MAX_BODY_BYTES.

    Raises:
        TooManyValues: the body has more than MAX_JSON_MARKS marks.
        Exception: any error of the HTTP stack.
    """
    parts, size, marks = [], 0, 0
    for part in raw.iter_content(_CHUNK):
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        marks += sum(map(part.count, _MARKS))
        if marks > MAX_JSON_MARKS:
            raise TooManyValues
        parts.append(part)
    return b"".join(parts)


def _pools(deadline: ExchangeDeadline) -> dict[str, type[HTTPConnectionPool]]:
    # http.client creates the response object, so the deadline goes into the response class.
    response_class = staticmethod(partial(_LimitedResponse, deadline))
    plain = type("_Plain", (HTTPConnection,), {"response_class": response_class})
    secure = type("_Secure", (HTTPSConnection,), {"response_class": response_class})
    return {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


class _LimitedResponse(http.client.HTTPResponse):
    def __init__(
        self, deadline: ExchangeDeadline, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(_LimitedSocket(sock, deadline), *args, **kwargs)  # type: ignore[arg-type]


class _LimitedSocket:
    """The part of a socket that `http.client.HTTPResponse` uses."""

    def __init__(self, sock: socket.socket, deadline: ExchangeDeadline) -> None:
        self._sock, self._deadline = sock, deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a stream of the received bytes. `mode` is always "rb"."""
        del mode
        return io.BufferedReader(_LimitedStream(self._sock, self._deadline))


class _LimitedStream(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: ExchangeDeadline) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw: io.RawIOBase = sock.makefile("rb", buffering=0)
        deadline.set_stream(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if SLICE_SECONDS is not None:
            _wait_for_data(self._sock, self._deadline, SLICE_SECONDS)
        self._sock.settimeout(self._deadline.seconds_left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _wait_for_data(sock: socket.socket, deadline: ExchangeDeadline, seconds: float) -> None:
    """Return once the socket has data; run Python code at least once in so many seconds.

    Raises:
        TimeoutError: the deadline has passed.
    """
    # A connection through an https proxy is not a socket, and has a buffer of its own.
    if not isinstance(sock, socket.socket) or getattr(sock, "pending", int)():  # type: ignore[redundant-expr]
        return
    while not select.select([sock], [], [], min(seconds, deadline.seconds_left()))[0]:
        pass
