"""One client's talk with a scripted Airflow, for the tests of what can be scripted."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow import FakeAirflow, FakeDag, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

SOON = 10.0  # seconds; a bound, never waited for


class Talk:
    """An admin's talk with a scripted Airflow about the DAG "d" and its run "r"."""

    def __init__(self, fake: FakeAirflow) -> None:
        self.fake = fake
        self.session = fake.session()

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request below /api/v1 or /api/v2."""
        return self.session.request(
            method, f"{self.fake.url}{self.fake.api}{path}", json=body, timeout=SOON
        )

    def trigger(self) -> requests.Response:
        """Makes the run."""
        nothing = {} if self.fake.version == "2.11.2" else {"logical_date": None}
        return self.call("POST", "/dags/d/dagRuns", nothing | {"dag_run_id": "r"})

    def look(self) -> str:
        """The state that a GET of the run shows."""
        return str(self.call("GET", "/dags/d/dagRuns/r").json()["state"])

    def looks(self, count: int) -> list[str]:
        """The states that so many GETs of the run show."""
        return [self.look() for _ in range(count)]

    def tasks(self) -> dict[str, str | None]:
        """The states of the task instances."""
        found = self.call("GET", "/dags/d/dagRuns/r/taskInstances").json()["task_instances"]
        return {one["task_id"]: one["state"] for one in found}

    def clear(self) -> None:
        """Clears the whole run."""
        assert self.call("POST", "/dags/d/dagRuns/r/clear", {"dry_run": False}).status_code == 200


@contextlib.contextmanager
def starter(version: Version) -> Iterator[Callable[..., Talk]]:
    """Starts scripted Airflows of a version with the DAG that is handed in, and the options of
    `FakeAirflow`.
    """
    with contextlib.ExitStack() as stack:

        def start(dag: FakeDag | None = None, **options: Any) -> Talk:
            fake = stack.enter_context(FakeAirflow(version, dags=[dag or FakeDag("d")], **options))
            talk = Talk(fake)
            stack.enter_context(talk.session)
            return talk

        yield start
