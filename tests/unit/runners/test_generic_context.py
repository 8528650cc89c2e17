"""Which step this is, as GitLab CI, Jenkins and Azure Pipelines say it, and what a shell has to say
itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from entrypoint.errors import ActionError
from entrypoint.run.request import derive_note, derive_run_id
from entrypoint.runners.base import Context
from entrypoint.runners.generic import read_context
from tests.support.factories import SHA

GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": SHA,
    "CI_PROJECT_PATH": "octo/sales",
    "CI_PROJECT_URL": "https://gitlab.example.com/octo/sales",
    "CI_PIPELINE_ID": "4711",
    "CI_PIPELINE_URL": "https://gitlab.example.com/octo/sales/-/pipelines/4711",
    "CI_JOB_NAME": "gate: [eu, 1]",
    "GITLAB_USER_LOGIN": "octocat",
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_SOURCEVERSION": SHA,
    "BUILD_REPOSITORY_NAME": "sales",
    "BUILD_BUILDID": "815",
    "SYSTEM_JOBNAME": "gate",
    "SYSTEM_JOBATTEMPT": "2",
    "BUILD_REQUESTEDFOR": "Octo Cat",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/octo/",
    "SYSTEM_TEAMPROJECTID": "0a1b",
}
JENKINS = {
    "BUILD_TAG": "jenkins-sales-42",
    "GIT_COMMIT": SHA,
    "GIT_URL": "https://git.example.com/octo/sales.git",
    "JOB_NAME": "sales/main",
    "BUILD_ID": "42",
    "BUILD_URL": "https://jenkins.example.com/job/sales/42/",
}
SYSTEMS = {"gitlab": GITLAB, "azure": AZURE, "jenkins": JENKINS}


def test_gitlab() -> None:
    """Pipeline, job and commit are GitLab's, and both have their pages."""
    assert read_context(GITLAB, run_id="") == Context(
        system="gitlab",
        sha=SHA,
        repository="octo/sales",
        run_id="4711",
        attempt=1,
        job="gate: [eu, 1]",
        step="",
        actor="octocat",
        run_url="https://gitlab.example.com/octo/sales/-/pipelines/4711",
        commit_url=f"https://gitlab.example.com/octo/sales/-/commit/{SHA}",
        api_url="",
        workspace=Path(),
    )


def test_azure() -> None:
    """Build, job and attempt are those of Azure Pipelines, and the build has its page."""
    context = read_context(AZURE, run_id="")

    assert (context.system, context.sha, context.repository, context.run_id) == (
        "azure",
        SHA,
        "sales",
        "815",
    )
    assert (context.job, context.attempt, context.actor) == ("gate", 2, "Octo Cat")
    assert context.run_url == "https://dev.azure.com/octo/0a1b/_build/results?buildId=815"


def test_jenkins() -> None:
    """Build and job are those of Jenkins, which says who began it only with a plugin."""
    context = read_context(JENKINS, run_id="")

    assert (context.system, context.sha, context.run_id, context.job) == (
        "jenkins",
        SHA,
        "42",
        "sales/main",
    )
    assert (context.repository, context.actor) == ("https://git.example.com/octo/sales.git", "")
    assert context.run_url == "https://jenkins.example.com/job/sales/42/"
    assert read_context(JENKINS | {"BUILD_USER_ID": "octocat"}, run_id="").actor == "octocat"
    assert read_context({**JENKINS, "GIT_URL": ""}, run_id="").repository == "sales/main"


@pytest.mark.parametrize("system", SYSTEMS)
def test_run_id(system: str) -> None:
    """The run id begins with the system and the commit, is the same at the next attempt, and
    another in the next build.
    """
    environ = SYSTEMS[system]
    build = {"gitlab": "CI_PIPELINE_ID", "azure": "BUILD_BUILDID", "jenkins": "BUILD_ID"}[system]
    first, again, other = (
        derive_run_id(read_context(one, run_id=""), None, {})
        for one in (environ, environ | {"SYSTEM_JOBATTEMPT": "3"}, environ | {build: "99"})
    )

    assert first.startswith(f"{system}__{SHA[:12]}__{environ[build]}__")
    assert first == again != other


@pytest.mark.parametrize("system", SYSTEMS)
def test_jobs_have_runs_of_their_own(system: str) -> None:
    """Two jobs of one build never share a DAG run by accident."""
    job = {"gitlab": "CI_JOB_NAME", "azure": "SYSTEM_JOBNAME", "jenkins": "JOB_NAME"}[system]
    ids = {
        derive_run_id(read_context(SYSTEMS[system] | {job: name}, run_id=""), None, {})
        for name in ("a", "b")
    }

    assert len(ids) == 2


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("lacks", ["sha", "build"])
def test_missing(system: str, lacks: str) -> None:
    """A variable without which the run id would not be that of a commit is named, unless the user
    names the run.
    """
    names = {
        "gitlab": ("CI_COMMIT_SHA", "CI_PIPELINE_ID"),
        "azure": ("BUILD_SOURCEVERSION", "BUILD_BUILDID"),
        "jenkins": ("GIT_COMMIT", "BUILD_ID"),
    }
    name = names[system][lacks == "build"]
    environ = {key: value for key, value in SYSTEMS[system].items() if key != name}
    with pytest.raises(ActionError, match=rf"lacks {name}\.") as caught:
        read_context(environ, run_id="")

    assert "INPUT_RUN_ID" in caught.value.hint
    assert read_context(environ, run_id="mine").system == system


def test_a_shell() -> None:
    """A shell names the run; then nothing else has to be known, and the note claims nothing."""
    with pytest.raises(ActionError) as caught:
        read_context({"USER": "me"}, run_id="")
    context = read_context({"USER": "me"}, run_id="mine")

    assert all(
        name in caught.value.detail
        for name in ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "BUILD_TAG", "run_id")
    )
    assert (context.system, context.sha, context.run_url) == ("shell", "", "")
    assert derive_note(context) == "Triggered by me"
    assert derive_note(read_context({}, run_id="mine")) == "Triggered by somebody"


def test_note() -> None:
    """The note says who, which commit, and where to look."""
    assert derive_note(read_context(GITLAB, run_id="")) == (
        f"Triggered by octocat for commit {SHA[:12]} of octo/sales: "
        "https://gitlab.example.com/octo/sales/-/pipelines/4711"
    )


@pytest.mark.parametrize("attempt", ["", "x", "²"])
def test_attempt(attempt: str) -> None:
    """An attempt that is no number counts as the first."""
    assert read_context(AZURE | {"SYSTEM_JOBATTEMPT": attempt}, run_id="").attempt == 1
