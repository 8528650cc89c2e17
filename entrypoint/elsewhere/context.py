"""Commit, build and job as GitLab CI, Jenkins and Azure Pipelines name them; a shell says nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from entrypoint.errors import ActionError
from entrypoint.runner import Context, attempt_in

if TYPE_CHECKING:
    from collections.abc import Mapping


class _System(NamedTuple):
    """One system's names of variables: `sign` is that by which it is known; of several the first that is set counts."""

    name: str
    sign: str
    sha: str
    repository: tuple[str, ...]
    run_id: str
    job: tuple[str, ...]
    actor: tuple[str, ...]
    run_url: str = ""
    attempt: str = ""
    step: str = ""


_SYSTEMS = (
    _System(
        "gitlab", "GITLAB_CI", "CI_COMMIT_SHA", ("CI_PROJECT_PATH",), "CI_PIPELINE_ID", ("CI_JOB_NAME",),
        ("GITLAB_USER_LOGIN",), "CI_PIPELINE_URL",
    ),
    _System(
        "azure", "TF_BUILD", "BUILD_SOURCEVERSION", ("BUILD_REPOSITORY_NAME",), "BUILD_BUILDID",
        ("SYSTEM_JOBNAME", "AGENT_JOBNAME"), ("BUILD_REQUESTEDFOR",), attempt="SYSTEM_JOBATTEMPT",
    ),
    _System(
        "jenkins", "BUILD_TAG", "GIT_COMMIT", ("GIT_URL", "JOB_NAME"), "BUILD_ID", ("JOB_NAME",), ("BUILD_USER_ID",),
        "BUILD_URL", step="STAGE_NAME",
    ),
)  # fmt: skip
NOBODY = "shell"


def read_context(environ: Mapping[str, str], *, run_id: str) -> Context:
    """Read the context from the environment of the system that started this process.

    Args:
        environ: the process's.
        run_id: the input: with it a shell need not say of which commit and build this is.

    Raises:
        ActionError: naming what is missing: without it the run id would not be that of a commit.
    """
    system = next((one for one in _SYSTEMS if environ.get(one.sign)), None)
    if system is None:
        if not run_id:
            raise _unknown()
        return Context(NOBODY, "", "", "", 1, "", "", environ.get("USER", ""), "", "", "", Path())
    missing = [name for name in (system.sha, system.run_id) if not environ.get(name)]
    if missing and not run_id:
        raise _lacking(system, missing)
    return Context(
        system=system.name,
        sha=environ.get(system.sha, ""),
        repository=_first(environ, system.repository),
        run_id=environ.get(system.run_id, ""),
        attempt=attempt_in(environ.get(system.attempt, "")),
        job=_first(environ, system.job),
        step=environ.get(system.step, ""),
        actor=_first(environ, system.actor),
        run_url=_azure_url(environ) if system.name == "azure" else environ.get(system.run_url, ""),
        commit_url=_gitlab_commit(environ) if system.name == "gitlab" else "",
        api_url="",
        # Not the system's own variable: in a container the checkout may be mounted elsewhere.
        workspace=Path(),
    )


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environ.get(name, ""))), "")


def _azure_url(environ: Mapping[str, str]) -> str:
    server, project, build = (
        environ.get(name, "") for name in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID", "BUILD_BUILDID")
    )
    return f"{server.rstrip('/')}/{project}/_build/results?buildId={build}" if server and project else ""


def _gitlab_commit(environ: Mapping[str, str]) -> str:
    project, sha = environ.get("CI_PROJECT_URL", ""), environ.get("CI_COMMIT_SHA", "")
    return f"{project}/-/commit/{sha}" if project and sha else ""


def _unknown() -> ActionError:
    known = ", ".join(f"{one.sign} ({one.name})" for one in _SYSTEMS)
    return ActionError(
        "Nothing says for which commit this is",
        f"The environment has neither GITHUB_ACTIONS (github) nor one of {known}, and run_id is empty.",
        "In a container hand over the variables of your CI system (docker run --env NAME …); from a shell give the run id "
        "yourself, as INPUT_RUN_ID.",
    )


def _lacking(system: _System, missing: list[str]) -> ActionError:
    return ActionError(
        "Nothing says for which commit this is",
        f"{system.sign} is there ({system.name}), but the environment lacks {', '.join(missing)}.",
        f"Hand over {system.sha} and {system.run_id} (docker run --env NAME …), or give the run id yourself, as INPUT_RUN_ID.",
    )
