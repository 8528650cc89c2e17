"""Count the requests in a client's byte stream, in pieces of any size. Pure.

It knows HTTP/1.1 requests whose bodies have a length, and the paths of Airflow's API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:\s*(\d+)\s*$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)
_KINDS = (
    (r"POST .*/dagRuns$", "trigger"),
    (r"PATCH .*", "changes"),
    (r".*/auth/token(/cli)?$", "token"),
    (r".*/(version|health)$", "version"),
    (r".*/dagRuns/[^/]+$", "the run"),
    (r".*/dagRuns/[^/]+/wait$", "/wait"),
    (r".*/dagRuns$", "the last runs"),
    (r".*/taskInstances$", "task instances"),
    (r".*/taskInstances/.*/logs/.*", "logs"),
    (r".*/taskInstances/.*", "one task instance"),
    (r".*/dags/[^/]+(/details)?$", "the DAG"),
)


@dataclass(frozen=True, slots=True)
class CountedRequest:
    """The first line of a request; `path` is without the query."""

    method: str
    path: str

    @property
    def kind(self) -> str:
        """The kind of request, in a word or two."""
        text = f"{self.method} {self.path}"
        return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, text)), "others")

    @property
    def triggers(self) -> bool:
        """Whether it creates a DAG run."""
        return self.kind == "trigger"


class RequestFinder:
    """Finds the requests of one connection."""

    def __init__(self) -> None:
        self._head = b""
        self._body_left = 0

    def feed(self, data: bytes) -> list[CountedRequest]:
        """Return the requests whose headers are complete with these bytes.

        Raises:
            ValueError: if a client cannot have sent these bytes
        """
        found = []
        while data:
            if self._body_left:
                taken = min(self._body_left, len(data))
                self._body_left -= taken
                data = data[taken:]
                continue
            head, end, rest = (self._head + data).partition(_END_OF_HEAD)
            if not end:
                self._head = head
                break
            self._head, data = b"", rest
            found.append(self._begin(head + b"\r\n"))
        return found

    def _begin(self, head: bytes) -> CountedRequest:
        line = head.partition(b"\r\n")[0].decode("ascii", errors="replace")
        method, _, rest = line.partition(" ")
        target, _, protocol = rest.partition(" ")
        if not protocol.startswith("HTTP/1.") or _CHUNKED.search(head):
            raise ValueError(f"Not a request that can be counted: {line[:80]}")
        length = _LENGTH.search(head.replace(b"\r\n", b"\n"))
        self._body_left = int(length[1]) if length else 0
        return CountedRequest(method, target.partition("?")[0])
