"""The commit statuses and deployments in a fake GitHub, in GitHub's format.

It must not know permissions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Record = dict[str, Any]
MAX_STATUSES = 1000
"""Maximum number of statuses with one context on a commit."""
_CREATOR = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot", "site_admin": False}


class ReportStore:
    """Statuses and deployments by repository. The caller holds a lock. `url` is the API's."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ids = count(30_000_000_001)
        self._statuses: list[tuple[str, str, Record]] = []
        self._deployments: list[tuple[str, Record]] = []
        self._states: list[tuple[int, Record]] = []

    def statuses(self, sha: str, repository: str | None = None) -> list[Record]:
        """Return the statuses of a commit, oldest first."""
        return [one for name, of, one in self._statuses if of == sha and repository in (None, name)]

    def deployments(self, repository: str | None = None) -> list[Record]:
        """Return all deployments, oldest first."""
        return [one for name, one in self._deployments if repository in (None, name)]

    def states(self, number: int) -> list[Record]:
        """Return the statuses of a deployment, oldest first."""
        return [one for of, one in self._states if of == number]

    def add_status(self, repository: str, sha: str, body: Record) -> Record:
        record = self._new_record(f"/repos/{repository}/statuses/{sha}") | {
            "avatar_url": "https://avatars.githubusercontent.com/in/15368?v=4",
            "state": body["state"],
            "description": body.get("description"),
            "target_url": body.get("target_url"),
            "context": body.get("context", "default"),
        }
        self._statuses.append((repository, sha, record))
        return record

    def unsettled(self, sha: str, contexts: Iterable[str] | None) -> list[str]:
        """Return the contexts, of these or of all, that have not succeeded on a commit."""
        last = {one["context"]: one["state"] for one in self.statuses(sha)}
        return [
            name for name in (last if contexts is None else contexts) if last.get(name) != "success"
        ]

    def deploy(self, repository: str, sha: str, body: Record) -> Record:
        environment = body.get("environment", "production")
        page = f"/repos/{repository}/deployments/"
        record = self._new_record(page, with_id=True) | {
            "sha": sha,
            "ref": body["ref"],
            "task": body.get("task", "deploy"),
            "payload": body.get("payload", {}),
            "original_environment": environment,
            "environment": environment,
            "description": body.get("description"),
            "repository_url": f"{self._url}/repos/{repository}",
            "transient_environment": body.get("transient_environment", False),
            "production_environment": body.get(
                "production_environment", environment == "production"
            ),
            "performed_via_github_app": None,
        }
        record["statuses_url"] = f"{record['url']}/statuses"
        self._deployments.append((repository, record))
        return record

    def add_state(self, repository: str, number: int, body: Record) -> Record:
        """Add a status to a deployment.

        A success makes older deployments of the same environment inactive.
        """
        deployment = next(one for one in self.deployments(repository) if one["id"] == number)
        log = body.get("log_url", body.get("target_url", ""))
        record = self._new_record(
            f"/repos/{repository}/deployments/{number}/statuses/", with_id=True
        ) | {
            "state": body["state"],
            "description": body.get("description", ""),
            "environment": body.get("environment", deployment["environment"]),
            "target_url": log,
            "log_url": log,
            "environment_url": body.get("environment_url", ""),
            "deployment_url": deployment["url"],
            "repository_url": deployment["repository_url"],
            "performed_via_github_app": None,
        }
        self._states.append((number, record))
        if body["state"] == "success" and body.get("auto_inactive", True):
            self._retire(repository, deployment)
        return record

    def _retire(self, repository: str, by: Record) -> None:
        for old in self.deployments(repository):
            if old["id"] >= by["id"] or old["environment"] != by["environment"]:
                continue
            last = [one["state"] for one in self.states(old["id"])][-1:]
            if last == ["success"] and not (
                old["transient_environment"] or old["production_environment"]
            ):
                self.add_state(repository, old["id"], {"state": "inactive"})

    def _new_record(self, page: str, *, with_id: bool = False) -> Record:
        number = next(self._ids)
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {
            "url": f"{self._url}{page}{number if with_id else ''}",
            "id": number,
            "node_id": f"SC_{number}",
            "creator": _CREATOR,
            "created_at": now,
            "updated_at": now,
        }
