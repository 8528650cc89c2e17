"""The deployment that stands on GitHub for one DAG run: whether there is one, and its next
state.
"""

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
"""The deployment's task, by which workflows on `deployment` events tell it from others."""
_DEPLOYMENT_STATES: Mapping[State, str] = {
    "pending": "in_progress",
    "success": "success",
    "failure": "failure",
}


class GitHubDeployment:
    """A deployment to an environment. `number` is its id, once it was seen or made. Arguments as of
    `CommitStatus`.
    """

    permission = "deployments: write"

    def __init__(
        self, repository: GitHubRepository, commit: str, environment: str, subject: DagRunRef
    ) -> None:
        self.name = environment
        self.number: int | None = None
        self._repository, self._commit = repository, commit
        self._payload = {
            "airflow": subject.airflow,
            "dag_id": subject.dag_id,
            "run_id": subject.run_id,
        }
        self._run_url = subject.url

    def can_write(self) -> bool:
        """See `Target`."""
        return write_allowed(
            self._repository.post("/deployments", self._body(NULL_SHA)), self.permission
        )

    def last(self) -> LatestStatus | None:
        """See `Target`. One without any state is none yet: its maker was cut short."""
        if self.number is None:
            self.number = next(self._found(), None)
        if self.number is None:
            return None
        answer = self._repository.get(f"/deployments/{self.number}/statuses", per_page=PAGE)
        newest = max(require_list(answer, self.permission), key=id_of, default=None)
        if newest is None:
            return None
        state = STATES.get(str(newest.get("state")), "failure")
        return LatestStatus(id_of(newest), state, ours=True, about=self._run_url)

    def conflicting_run(self, since: int) -> str | None:  # noqa: ARG002 - as of every target
        """Return None: each DAG run has a deployment of its own."""
        return None

    def add(self, state: State, description: str) -> None:
        """See `Target`."""
        if self.number is None:
            made = require_created(
                self._repository.post("/deployments", self._body(self._commit)), self.permission
            )
            self.number = int(made["id"])
        body = {
            "state": _DEPLOYMENT_STATES[state],
            "log_url": self._run_url,
            "description": truncate_description(description),
        }
        require_created(
            self._repository.post(f"/deployments/{self.number}/statuses", body), self.permission
        )

    def _found(self) -> Iterator[int]:
        """Yield the ids of the deployments that stand for this DAG run."""
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
            # Neither is the branch to be changed, nor is this to wait for the very gates that wait
            # for it.
            "auto_merge": False,
            "required_contexts": [],
        }


def _payload(payload: Any) -> Any:
    """GitHub shows a payload as an object, or as the text of one."""
    if not isinstance(payload, str):
        return payload
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None
