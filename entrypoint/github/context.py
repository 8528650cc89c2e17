"""Commit, workflow run, attempt, job and step, as GitHub's runner names them (docs/notes/runner.md#inputs-and-environment)."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint.errors import ActionError
from entrypoint.runner import Context, attempt_in

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    page = f"{environ.get('GITHUB_SERVER_URL') or 'https://github.com'}/{environ['GITHUB_REPOSITORY']}"
    return Context(
        system="github",
        sha=environ["GITHUB_SHA"],
        repository=environ["GITHUB_REPOSITORY"],
        run_id=environ["GITHUB_RUN_ID"],
        attempt=attempt_in(environ.get("GITHUB_RUN_ATTEMPT", "")),
        job=environ["GITHUB_JOB"],
        step=environ["GITHUB_ACTION"],
        actor=environ.get("GITHUB_TRIGGERING_ACTOR") or environ["GITHUB_ACTOR"],
        run_url=f"{page}/actions/runs/{environ['GITHUB_RUN_ID']}",
        commit_url=f"{page}/commit/{environ['GITHUB_SHA']}",
        api_url=environ.get("GITHUB_API_URL") or "https://api.github.com",
        workspace=Path(environ.get("GITHUB_WORKSPACE") or "."),
        event=Path(path) if (path := environ.get("GITHUB_EVENT_PATH")) else None,
        job_path=_job_path(environ),
    )


def _job_path(environ: Mapping[str, str]) -> str:
    """Return what tells the calls of one reusable workflow apart, in every attempt alike.

    Measured: docs/notes/runner.md#calls-of-one-reusable-workflow.

    Everything else that a step sees is the same for two calls. The token is decoded, and never sent or shown.
    """
    plan_and_path = environ.get("ACTIONS_ORCHESTRATION_ID", "")
    if path := plan_and_path.partition(".")[2]:
        return path
    claims = environ.get("ACTIONS_RUNTIME_TOKEN", "").split(".")
    try:
        scopes = json.loads(urlsafe_b64decode(f"{claims[1]}==="))["scp"].split()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    found = (re.fullmatch(r"Actions\.Results:[^:]+:([^:]+)", scope) for scope in scopes)
    return next((match[1] for match in found if match), "")
