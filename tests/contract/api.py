"""A client of the Airflow API, for real and scripted Airflows."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

AT_MOST = 240.0  # seconds for a real run that takes a few


class Server(Protocol):
    """The common interface of `FakeAirflow` and `LocalAirflow`."""

    url: str
    api: str
    version: str

    def session(self, user: str = "admin") -> requests.Session: ...


class Api:
    """The API as one user sees it. Paths are below /api/v1 or /api/v2."""

    def __init__(self, server: Server, session: requests.Session) -> None:
        self.server = server
        self.version = server.version
        self._session = session

    def get(self, path: str, **query: Any) -> requests.Response:
        return self._send("GET", path, params=query)

    def read(self, path: str, accept: str) -> requests.Response:
        """GET with an Accept header."""
        return self._send("GET", path, headers={"Accept": accept})

    def get_json(self, path: str, **query: Any) -> Any:
        """GET, and only JSON."""
        headers = {"Accept": "application/json"}
        return self._send("GET", path, params=query, headers=headers).json()

    def post(self, path: str, body: Any) -> requests.Response:
        return self._send("POST", path, json=body)

    def patch(self, path: str, body: Any) -> requests.Response:
        return self._send("PATCH", path, json=body)

    def put(self, path: str) -> requests.Response:
        return self._send("PUT", path)

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request; retry if SQLite was locked, because nothing was done then.

        Measured: docs/notes/airflow-3.md#sqlite-and-parallel-requests.
        """
        url = f"{self.server.url}{self.server.api}{path}"
        send = partial(self._session.request, method, url, timeout=60, **options)
        return self.until(
            send,
            lambda answer: answer.status_code != 500 or b'"Database error"' not in answer.content,
        )

    def anonymous(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request without a credential; `path` is the whole path."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"{self.server.url}{path}", timeout=60, **options)

    def clear_failed(self, dag_id: str, run_id: str) -> requests.Response:
        if self.version == "3.3.2":
            return self.post(
                f"/dags/{dag_id}/dagRuns/{run_id}/clear", {"dry_run": False, "only_failed": True}
            )
        wish = {"dag_run_id": run_id, "dry_run": False, "only_failed": True, "reset_dag_runs": True}
        return self.post(f"/dags/{dag_id}/clearTaskInstances", wish)

    def trigger(self, dag_id: str, **body: Any) -> requests.Response:
        """Trigger a run.

        Airflow 3 requires a logical date, which may be null; Airflow 2 refuses null.
        """
        nothing = {} if self.version == "2.11.2" else {"logical_date": None}
        return self.post(f"/dags/{dag_id}/dagRuns", nothing | body)

    def wait(self, dag_id: str, run_id: str, *states: str) -> dict[str, Any]:
        """Return the run once it is in one of these states (default: ended)."""
        wanted = states or ("success", "failed")
        return self.until(
            lambda: self.get(f"/dags/{dag_id}/dagRuns/{run_id}").json(),
            lambda run: run["state"] in wanted,
        )

    def task(self, dag_id: str, run_id: str, *states: str) -> dict[str, Any]:
        """Poll the run, and return its only task instance once it is in one of these states."""

        def poll() -> dict[str, Any]:
            self.get(f"/dags/{dag_id}/dagRuns/{run_id}")
            instance: dict[str, Any]
            (instance,) = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances").json()[
                "task_instances"
            ]
            return instance

        return self.until(poll, lambda instance: instance["state"] in states)

    def at_work(self, dag_id: str, run_id: str) -> None:
        """Return once the only task of a run has its own process.

        Before that, a stop may be undone (`run/stop.py`).
        """
        self.until(
            lambda: self.task(dag_id, run_id, "running"),
            lambda instance: instance["pid"] is not None,
        )

    def until(self, poll: Callable[[], T], good: Callable[[T], bool]) -> T:
        """Poll until the result is good, and return it."""
        deadline, pause = time.monotonic() + AT_MOST, 0.01
        while not good(found := poll()):
            assert time.monotonic() < deadline, f"still {found}"
            time.sleep(pause)
            pause = min(pause * 2, 0.5)
        return found

    def ended(self, dag_id: str) -> str:
        """Return the id of a new run that has ended."""
        run_id = new_id()
        assert self.trigger(dag_id, dag_run_id=run_id).status_code == 200
        self.wait(dag_id, run_id)
        return run_id


def new_id() -> str:
    return f"contract-{uuid.uuid4()}"


def reason(answer: requests.Response) -> str:
    """Return the message of an error in either version's shape, which is checked."""
    body = answer.json()
    if answer.headers["Content-Type"] == "application/problem+json":
        assert set(body) == {"detail", "status", "title", "type"}
        assert body["status"] == answer.status_code
        return f"{body['title']}: {body['detail']}"
    assert answer.headers["Content-Type"] == "application/json"
    (text,) = body.values()
    return str(text)
