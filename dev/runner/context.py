"""The workflow run that a step belongs to: the GITHUB_* and RUNNER_* variables.

Measured: docs/notes/runner.md#inputs-and-environment.
"""

import json
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A port without a server, because the action must not need the runner's own services.
_UNUSED_URL = "http://127.0.0.1:9/"
_PLAN = "1c0b9d6e-5f27-4a0c-9a53-0f4a9d1c7e11"


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """The workflow run as the step sees it; by default each context has a run id of its own.

    `matrix` is the job's matrix combination, None without a matrix.
    """

    repository: str = "octo-org/sales-pipeline"
    sha: str = "0123456789abcdef0123456789abcdef01234567"
    ref: str = "refs/heads/main"
    head_ref: str = ""
    base_ref: str = ""
    event_name: str = "push"
    event: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "octocat"
    workflow: str = "Deploy"
    job: str = "gate"
    step: str = "dag"
    run_id: str = field(default_factory=lambda: str(9_000_000_000 + secrets.randbelow(10**9)))
    run_number: str = "7"
    run_attempt: str = "1"
    server_url: str = "https://github.com"
    api_url: str = "https://api.github.com"
    token: str = "ghs_replayed"  # noqa: S105 - not a real token
    matrix: Mapping[str, Any] | None = None
    debug: bool = False

    def environment(self, *, workspace: Path, temp: Path, event_path: Path) -> dict[str, str]:
        """Return the variables of GitHub and of the runner, with paths as on the host."""
        owner, _, _ = self.repository.partition("/")
        return {
            "GITHUB_ACTION": self.step,
            "GITHUB_ACTION_REF": "v1",
            "GITHUB_ACTION_REPOSITORY": "octo-org/airflow-dag-run",
            "GITHUB_ACTOR": self.actor,
            "GITHUB_ACTOR_ID": "583231",
            "GITHUB_API_URL": self.api_url,
            "GITHUB_BASE_REF": self.base_ref,
            "GITHUB_EVENT_NAME": self.event_name,
            "GITHUB_EVENT_PATH": str(event_path),
            "GITHUB_GRAPHQL_URL": f"{self.api_url}/graphql",
            "GITHUB_HEAD_REF": self.head_ref,
            "GITHUB_JOB": self.job,
            "GITHUB_REF": self.ref,
            "GITHUB_REF_NAME": self.ref.split("/", 2)[-1],
            "GITHUB_REF_PROTECTED": "false",
            "GITHUB_REF_TYPE": "tag" if self.ref.startswith("refs/tags/") else "branch",
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_REPOSITORY_ID": "1296269",
            "GITHUB_REPOSITORY_OWNER": owner,
            "GITHUB_REPOSITORY_OWNER_ID": "9919",
            "GITHUB_RETENTION_DAYS": "90",
            "GITHUB_RUN_ATTEMPT": self.run_attempt,
            "GITHUB_RUN_ID": self.run_id,
            "GITHUB_RUN_NUMBER": self.run_number,
            "GITHUB_SERVER_URL": self.server_url,
            "GITHUB_SHA": self.sha,
            "GITHUB_TRIGGERING_ACTOR": self.actor,
            "GITHUB_WORKFLOW": self.workflow,
            "GITHUB_WORKFLOW_REF": f"{self.repository}/.github/workflows/deploy.yml@{self.ref}",
            "GITHUB_WORKFLOW_SHA": self.sha,
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_ARCH": "ARM64" if platform.machine() in {"aarch64", "arm64"} else "X64",
            "RUNNER_ENVIRONMENT": "github-hosted",
            "RUNNER_NAME": "replay",
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(temp),
            "RUNNER_TOOL_CACHE": "/opt/hostedtoolcache",
            "RUNNER_WORKSPACE": str(workspace.parent),
            "ACTIONS_CACHE_URL": _UNUSED_URL,
            "ACTIONS_RESULTS_URL": _UNUSED_URL,
            "ACTIONS_RUNTIME_URL": _UNUSED_URL,
            "ACTIONS_RUNTIME_TOKEN": "replayed",
            "ACTIONS_ORCHESTRATION_ID": f"{_PLAN}.{self.job}.__default",
            **({"RUNNER_DEBUG": "1"} if self.debug else {}),
        }

    def evaluate(self, expression: str) -> str:
        """Return the value of an expression that action.yml may use as an input's default.

        Raises:
            ValueError: for any other expression
        """
        if expression == "github.token":
            return self.token
        if expression == "toJSON(matrix)":
            return json.dumps(self.matrix, indent=2, ensure_ascii=False)
        raise ValueError(f"The replay cannot evaluate the expression {expression!r}")
