"""Find or create the GitHub deployment that represents one DAG run, and add states to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from entrypoint.github_api.statuses import (
    NULL_SHA,
    PAGE,
    STATES,
    LatestStatus,
    id_of,
    paginate,
    require_created,
    require_list,
    truncate_description,
    write_allowed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from entrypoint.github_api.client import GitHubRepository
    from entrypoint.github_api.statuses import DagRunRef, State

_TASK = "airflow"
"""The deployment's `task`, so that workflows on `deployment` events can filter for it."""
_DEPLOYMENT_STATES: Mapping[State, str] = {
    "pending": "in_progress",
    "success": "success",
    "failure": "failure",
}


class GitHubDeployment:
    """A deployment to an environment, as a report target. See also `CommitStatus`.

    Attributes:
        deployment_id: GitHub's id, None until the deployment is found or created.
    """

    permission = "deployments: write"

    def __init__(
        self, repository: GitHubRepository, commit: str, environment: str, dag_run: DagRunRef
    ) -> None:
        self.name = environment
        self.deployment_id: int | None = None
        self._repository, self._commit = repository, commit
        self._payload = {
            "airflow": dag_run.airflow,
            "dag_id": dag_run.dag_id,
            "run_id": dag_run.run_id,
        }
        self._run_url = dag_run.url

    def can_write(self) -> bool:
        """See `ReportTarget`."""
        return write_allowed(
            self._repository.post("/deployments", self._body(NULL_SHA)), self.permission
        )

    def latest(self) -> LatestStatus | None:
        """See `ReportTarget`. A deployment without a state counts as missing.

        The step that created it was interrupted, so its first state is still to be added.
        """
        if self.deployment_id is None:
            self.deployment_id = next(self._deployment_ids(), None)
        if self.deployment_id is None:
            return None
        response = self._repository.get(
            f"/deployments/{self.deployment_id}/statuses", per_page=PAGE
        )
        newest = max(require_list(response, self.permission), key=id_of, default=None)
        if newest is None:
            return None
        state = STATES.get(str(newest.get("state")), "failure")
        return LatestStatus(id_of(newest), state, ours=True, target_url=self._run_url)

    def conflicting_run(self, since: int) -> str | None:  # noqa: ARG002 - part of the protocol
        """Return None, because each DAG run has its own deployment."""
        return None

    def add(self, state: State, description: str) -> None:
        """See `ReportTarget`."""
        if self.deployment_id is None:
            created = require_created(
                self._repository.post("/deployments", self._body(self._commit)), self.permission
            )
            self.deployment_id = int(created["id"])
        body = {
            "state": _DEPLOYMENT_STATES[state],
            "log_url": self._run_url,
            "description": truncate_description(description),
        }
        require_created(
            self._repository.post(f"/deployments/{self.deployment_id}/statuses", body),
            self.permission,
        )

    def _deployment_ids(self) -> Iterator[int]:
        """Yield the ids of the deployments that represent this DAG run."""
        filters = {"sha": self._commit, "environment": self.name, "task": _TASK}
        for deployment in paginate(self._repository, "/deployments", self.permission, **filters):
            if _payload(deployment.get("payload")) == self._payload:
                yield int(deployment["id"])

    def _body(self, ref: str) -> dict[str, Any]:
        return {
            "ref": ref,
            "task": _TASK,
            "environment": self.name,
            "description": truncate_description(
                f"DAG run {self._payload['run_id']} of {self._payload['dag_id']}"
            ),
            "payload": self._payload,
            # Do not merge the default branch, and do not wait for the commit's status checks: they
            # may wait for this deployment.
            "auto_merge": False,
            "required_contexts": [],
        }


def _payload(payload: Any) -> Any:
    """Return the payload as an object. GitHub sends it as an object or as JSON text."""
    if not isinstance(payload, str):
        return payload
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None
