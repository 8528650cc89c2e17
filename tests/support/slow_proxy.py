"""A proxy that makes Airflow slow, or unreachable for a while.

Must not know more than `proxy.py` does.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.support.fake_airflow.connection import ConnectionPolicy, SocketServer
from tests.support.fake_airflow.messages import matches
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest


class SlowProxy(Proxy):
    """Forward like `Proxy`, with a delay, even after the client has disconnected.

    `slowed` is set when the first delayed request arrives.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._delay = 0.0
        self._slow: tuple[str, str] | None = None
        self._never = threading.Event()
        self.slowed = threading.Event()

    def slow(self, seconds: float, *, on: tuple[str, str] | None = None) -> None:
        """Delay each request from now on.

        Args:
            seconds: delay in seconds
            on: method and end of the path; without it all requests are delayed
        """
        self._delay, self._slow = seconds, on
        self.slowed.clear()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections inside this context, and drop the open ones."""
        port = self.port
        self._listener.close()
        try:
            yield
        finally:
            policy = ConnectionPolicy(server="slow-proxy", keep_alive=True, gzip=False)
            self._listener = SocketServer(port, policy, self._serve)

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        if self._slow is None or (
            request.method == self._slow[0] and matches(self._slow[1], request.path)
        ):
            self.slowed.set()
            self._never.wait(self._delay)
        return super().answer(request)
