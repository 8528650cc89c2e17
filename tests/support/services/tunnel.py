"""A CONNECT proxy that maps public host names to ports of this machine only."""

from __future__ import annotations

import select
import socket
from functools import partial
from typing import TYPE_CHECKING

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, page
from tests.support.stub_server import StubServer

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tunnel(StubServer):
    """Connect clients to the loopback port that `to` has for "host:port", and nowhere else.

    `environment` makes a client use this proxy.
    """

    def __init__(self, to: Mapping[str, int]) -> None:
        super().__init__()
        self._to = dict(to)
        self.environment = {"HTTPS_PROXY": self.url}

    @property
    def targets(self) -> list[str]:
        """The targets that clients requested, refused ones included, in order."""
        return [one.path for one in self.record if one.method == "CONNECT"]

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Connect, or refuse.

        403 for an unknown target, 502 if nothing listens there, 405 for other methods.
        """
        if request.method != "CONNECT":
            return page(405, "Method Not Allowed")
        if request.path not in self._to:
            return page(403, "Forbidden")
        try:
            target = socket.create_connection(("127.0.0.1", self._to[request.path]))
        except ConnectionRefusedError:
            return page(502, "Bad Gateway")
        return FakeResponse(200, takeover=partial(_relay, target))


def _relay(target: socket.socket, client: socket.socket) -> None:
    """Copy bytes in both directions until one side ends."""
    other = {target: client, client: target}
    with target:
        while True:
            for readable in select.select(list(other), [], [])[0]:
                if not (piece := readable.recv(65536)):
                    return
                other[readable].sendall(piece)
