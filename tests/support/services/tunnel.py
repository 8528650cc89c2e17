"""A proxy for the method CONNECT: it leads host names of the world to ports of this machine, and
nowhere else.
"""

from __future__ import annotations

import select
import socket
from functools import partial
from typing import TYPE_CHECKING

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, page
from tests.support.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tunnel(StandIn):
    """Leads "host:port" to the port of the loopback that `to` maps it to; refuses everything else.

    `environment` makes a client use it.
    """

    def __init__(self, to: Mapping[str, int]) -> None:
        super().__init__()
        self._to = dict(to)
        self.environment = {"HTTPS_PROXY": self.url}

    @property
    def targets(self) -> list[str]:
        """Where clients wanted to be led, refused ones included, in order."""
        return [one.path for one in self.record if one.method == "CONNECT"]

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Leads, or refuses: 403 what it must not lead to, 502 where nobody listens, 405 what is no
        CONNECT.
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
    """Carries bytes both ways until one side has ended."""
    other = {target: client, client: target}
    with target:
        while True:
            for readable in select.select(list(other), [], [])[0]:
                if not (piece := readable.recv(65536)):
                    return
                other[readable].sendall(piece)
