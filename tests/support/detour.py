"""The proxy of `proxy.py`, grown slow, or gone for a while: an Airflow on a bad day. It knows no
more than that one.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.support.fake_airflow.connection import Listener, Manners
from tests.support.fake_airflow.messages import matches
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest


class Detour(Proxy):
    """Forwards as `Proxy` does, and every request even if the client has given up by then, as a
    busy server does.

    `slowed` is set when the first request has come that is kept waiting.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._delay = 0.0
        self._slow: tuple[str, str] | None = None
        self._never = threading.Event()
        self.slowed = threading.Event()

    def slow(self, seconds: float, *, on: tuple[str, str] | None = None) -> None:
        """From now on each request, or each with this method and end of the path, reaches Airflow
        so much later.
        """
        self._delay, self._slow = seconds, on
        self.slowed.clear()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Within the block connections are refused; those that were open are dropped."""
        port = self.port
        self._listener.close()
        try:
            yield
        finally:
            self._listener = Listener(
                port, Manners(server="detour", keep_alive=True, gzip=False), self._serve
            )

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """What Airflow answers, late if it is told to."""
        if self._slow is None or (
            request.method == self._slow[0] and matches(self._slow[1], request.path)
        ):
            self.slowed.set()
            self._never.wait(self._delay)
        return super().answer(request)
