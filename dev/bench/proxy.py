"""A proxy in front of a web server that counts bytes and requests.

It must not know its clients. Connections stay open as long as both sides want, a stream is
forwarded piece by piece, and a client that disconnects is disconnected from the server as well.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

from dev.airflow_settings import LOOPBACK
from dev.bench.counting import RequestFinder

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 65_536  # bytes per read


class CountingProxy:
    """A proxy on a free port of the loopback, as a context manager.

    Attributes:
        kinds: number of requests by kind
        carried: bytes in both directions

    `on_trigger` is called before the server gets the request that triggers a DAG run.
    """

    def __init__(self, port: int, on_trigger: Callable[[], None]) -> None:
        self.kinds: Counter[str] = Counter()
        self.carried = 0
        self._server = port
        self._on_trigger = on_trigger
        self._lock = threading.Lock()
        self._socket = socket.create_server((LOOPBACK, 0), backlog=128)

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which closing does not
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection((LOOPBACK, self._server)) as server,
        ):
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        finder, poll = RequestFinder(), select.poll()
        other = {client.fileno(): (client, server), server.fileno(): (server, client)}
        for number in other:
            poll.register(number, select.POLLIN)
        while True:
            for number, _ in poll.poll():
                source, target = other[number]
                data = source.recv(_PIECE)
                if not data:
                    return
                if source is client:
                    self._note(finder, data)
                with self._lock:
                    self.carried += len(data)
                target.sendall(data)

    def _note(self, finder: RequestFinder, data: bytes) -> None:
        for request in finder.feed(data):
            with self._lock:
                self.kinds[request.kind] += 1
            if request.triggers:
                self._on_trigger()
