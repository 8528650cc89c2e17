"""A GitHub, the DAG runs of an Airflow, and Airflow's listener between them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from entrypoint.github_api.marker import Marker, note_with_marker
from entrypoint.inputs.urls import canonical_url
from tests.support.factories import SHA
from tests.support.listener import Connection
from tests.support.services import GitHubApi
from tests.support.services.github import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

CONTEXT = "airflow / sales"
AIRFLOW = "https://airflow.example.com"
PAGE = f"{AIRFLOW}/dags/sales/runs/{{}}"


class ReportingScenario:
    """A GitHub, an Airflow's runs and its connection, and the listener between them."""

    def __init__(self, listener: Any, github: GitHubApi) -> None:
        self.listener, self.github = listener, github
        self.runs: dict[str, Any] = {}
        self.api = listener.GitHub()
        self.set_connection(password=github.token)

    def set_connection(self, **fields: Any) -> None:
        extra = {"repositories": ["other/one", REPOSITORY.upper()], **fields.pop("extra", {})}
        Connection.known["airflow_dag_run_github"] = {
            "host": self.github.url,
            "extra": extra,
            **fields,
        }

    def begin_run(
        self, run_id: str = "r1", environment: str | None = None, airflow: str = AIRFLOW
    ) -> None:
        """Let a step trigger a run of the Airflow at this address and report it to GitHub."""
        self.set_run(run_id, "running", environment=environment, airflow=airflow)
        page = f"{airflow}/dags/sales/runs/{run_id}"
        if environment is None:
            self.github.report(SHA, "pending", CONTEXT, page)
            return
        payload = {"airflow": canonical_url(airflow), "dag_id": "sales", "run_id": run_id}
        body = {
            "ref": SHA,
            "task": "airflow",
            "environment": environment,
            "payload": payload,
            "required_contexts": [],
        }
        access = self.listener.read_access()
        number = self.api.request(access, "POST", f"/repos/{REPOSITORY}/deployments", body)["id"]
        state = {"state": "in_progress", "log_url": page}
        self.api.request(
            access, "POST", f"/repos/{REPOSITORY}/deployments/{number}/statuses", state
        )

    def set_run(
        self,
        run_id: str,
        state: str,
        text: str = "",
        environment: str | None = None,
        airflow: str = AIRFLOW,
        **changes: Any,
    ) -> None:
        """Set the state of an Airflow run whose note names the Airflow at this address."""
        note = (
            note_with_marker(
                "Deployed",
                Marker(canonical_url(airflow), self.github.url, REPOSITORY, SHA, environment),
            )
            + text
        )
        run = self.listener.Run("sales", run_id, state, note, 3.2)
        self.runs[run_id] = run._replace(**changes)

    def report(self, run_id: str = "r1", announced: str | None = None) -> bool:
        """Let the listener report one run. Return whether it sent a request to GitHub."""
        sent: bool = self.listener.report("sales", run_id, announced, self.api)
        return sent

    def end_run(self, run_id: str, state: str, **changes: Any) -> None:
        self.set_run(run_id, state, **changes)
        self.report(run_id, state)

    @property
    def states(self) -> list[str]:
        """The states of the commit status, oldest first."""
        return [one["state"] for one in self.github.statuses_of(SHA, CONTEXT)]

    @property
    def deployment_states(self) -> list[list[str]]:
        """The states of each deployment, oldest first."""
        return [self.github.deployment_states(one["id"]) for one in self.github.deployments]

    @property
    def last_status(self) -> dict[str, Any]:
        return self.github.statuses_of(SHA, CONTEXT)[-1]

    @property
    def posts(self) -> int:
        """How many POST requests GitHub received."""
        return sum(one.method == "POST" for one in self.github.record)


@contextmanager
def reporting(
    listener: Any, monkeypatch: pytest.MonkeyPatch, **github: Any
) -> Iterator[ReportingScenario]:
    """Build the scenario, with a GitHub that has one commit."""
    with GitHubApi({SHA: None}, **github) as api:
        scenario = ReportingScenario(listener, api)
        monkeypatch.setattr(
            listener,
            "read_run",
            lambda dag_id, run_id: scenario.runs.get(run_id) if dag_id == "sales" else None,
        )
        yield scenario
