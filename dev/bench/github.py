"""A fake of the part of GitHub's API that the listener uses, with scripted failures.

Each commit has one pending status; its SHA is the DAG run's id. It checks nothing; the tests have a
stricter fake.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Mode = Literal["normally", "503", "401", "403 rate limit", "404", "422"]

AIRFLOW = "https://airflow.example.com"
"""The Airflow that the statuses link to."""
_STATUSES = re.compile(
    r"/repos/octo-org/sales/(?:commits/([0-9a-f]{40})/statuses|statuses/([0-9a-f]{40}))(?:\?.*)?"
)


class BenchGitHub:
    """A server on the loopback, as a context manager.

    `mode` is its behaviour. `reported` counts the reports by commit.
    """

    def __init__(self, dag_id: str) -> None:
        self.dag_id = dag_id
        self.mode: Mode = "normally"
        self.reported: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """Return the status code and the JSON body."""
        match = _STATUSES.fullmatch(path)
        if self.mode != "normally" or match is None:
            code = 404 if self.mode == "normally" else int(self.mode.partition(" ")[0])
            return code, {"message": "API rate limit exceeded" if "limit" in self.mode else "No"}
        commit = match[1] or match[2]
        if method == "POST":
            self.reported[commit] += 1
        page = f"{AIRFLOW}/dags/{self.dag_id}/runs/{commit}"
        state = "success" if self.reported[commit] else "pending"
        status = {
            "id": 1,
            "context": f"airflow / {self.dag_id}",
            "state": state,
            "target_url": page,
        }
        return (201, status) if method == "POST" else (200, [status])


def _handler(github: BenchGitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = github.answer(self.command, self.path)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _reply  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
