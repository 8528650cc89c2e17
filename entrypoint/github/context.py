"""Commit, workflow run, attempt, job and step, as the runner names them (runner.md 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Context:
    """The step that this process is. `step` is GITHUB_ACTION: the step's id, or a name made by the runner."""

    sha: str
    repository: str
    run_id: str
    attempt: int
    job: str
    step: str
    actor: str
    server_url: str
    api_url: str
    workspace: Path

    @property
    def run_url(self) -> str:
        """The workflow run's page."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"

    @property
    def commit_url(self) -> str:
        """The commit's page."""
        return f"{self.server_url}/{self.repository}/commit/{self.sha}"


def read_context(environ: Mapping[str, str]) -> Context:
    """Read the context from the runner's environment.

    Raises:
        ActionError: naming every variable that is missing: without them the run id would not be that of a commit.
    """
    needed = ("GITHUB_SHA", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_JOB", "GITHUB_ACTION", "GITHUB_ACTOR")
    if missing := [name for name in needed if not environ.get(name)]:
        raise ActionError(
            "Not started by a GitHub runner",
            f"The environment lacks {', '.join(missing)}.",
            "Use this image as an action: `uses: OWNER/airflow-dag-run@…` in a workflow's step.",
        )
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "1")
    return Context(
        sha=environ["GITHUB_SHA"],
        repository=environ["GITHUB_REPOSITORY"],
        run_id=environ["GITHUB_RUN_ID"],
        attempt=int(attempt) if attempt.isdecimal() else 1,
        job=environ["GITHUB_JOB"],
        step=environ["GITHUB_ACTION"],
        actor=environ.get("GITHUB_TRIGGERING_ACTOR") or environ["GITHUB_ACTOR"],
        server_url=environ.get("GITHUB_SERVER_URL") or "https://github.com",
        api_url=environ.get("GITHUB_API_URL") or "https://api.github.com",
        workspace=Path(environ.get("GITHUB_WORKSPACE") or "."),
    )
