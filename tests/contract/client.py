"""A client of a scripted Airflow, for the tests of scripted behaviour."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow import FakeAirflow, FakeDag, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

SOON = 10.0  # seconds; an upper bound


class ApiClient:
    """An admin's client for the DAG "d" and its run "r"."""

    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.session = fake.session()

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Send a request below /api/v1 or /api/v2."""
        return self.session.request(
            method, f"{self.fake.url}{self.fake.api}{path}", json=body, timeout=SOON
        )

    def trigger(self) -> requests.Response:
        nothing = {} if self.fake.version == "2.11.2" else {"logical_date": None}
        return self.call("POST", "/dags/d/dagRuns", nothing | {"dag_run_id": "r"})

    def poll(self) -> str:
        """Return the state that a GET of the run shows."""
        return str(self.call("GET", "/dags/d/dagRuns/r").json()["state"])

    def polls(self, count: int) -> list[str]:
        """Return the states of so many polls."""
        return [self.poll() for _ in range(count)]

    def tasks(self) -> dict[str, str | None]:
        """Return the states of the task instances."""
        found = self.call("GET", "/dags/d/dagRuns/r/taskInstances").json()["task_instances"]
        return {one["task_id"]: one["state"] for one in found}

    def clear(self) -> None:
        assert self.call("POST", "/dags/d/dagRuns/r/clear", {"dry_run": False}).status_code == 200


@contextlib.contextmanager
def starter(version: Version) -> Iterator[Callable[..., ApiClient]]:
    """Yield a function that starts a scripted Airflow of a version with a DAG."""
    with contextlib.ExitStack() as stack:

        def start(dag: FakeDag | None = None, **options: Any) -> ApiClient:
            fake = stack.enter_context(FakeAirflow(version, dags=[dag or FakeDag("d")], **options))
            client = ApiClient(fake)
            stack.enter_context(client.session)
            return client

        yield start
