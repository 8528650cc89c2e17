"""The workflows of docs/detached.md, lived through: the inputs that are copied, and the script that
finds what is pending.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from dev.airflow_settings import password_of
from tests.support.fake_airflow import FakeAirflow, FakeDag, Version
from tests.support.missing import missing
from tests.support.services import GitHubApi
from tests.support.step import CONTEXT, run_gate
from tests.support.workflows import HEAD, SHA, VALUES, filled, gates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

FOLDER = Path(__file__).parents[2] / "examples" / "workflows"
NAME = "airflow / nightly_sales"
RUN_ID = VALUES["matrix.run.run_id"]
GH = """#!/bin/sh
# gh api PATH --jq FILTER, by what lies in the folder of answers
case "$2" in
  */commits\\?*) answer=commits ;;
  */pulls\\?*) answer=pulls ;;
  */commits/*/status\\?*) answer=$(echo "$2" | cut -d/ -f5) ;;
esac
jq --raw-output --compact-output "$4" "$ANSWERS/$answer.json"
"""


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """A scripted Airflow of each version, whose runs go on for long."""
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("nightly_sales", looks=200)]) as started:
        yield started


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """GitHub, with the commits of the workflows."""
    with GitHubApi({SHA: None, HEAD: SHA}) as api:
        yield api


def live(fake: FakeAirflow, github: GitHubApi, name: str, sha: str) -> Outcome:
    """The outcome of the one step of a workflow, its own inputs but for the way to this Airflow and
    the token.
    """
    (step,) = gates((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    ours = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "github_token": github.token,
    }
    context = CONTEXT._replace(api_url=github.url, sha=sha)
    given: dict[str, Any] = filled(step) | ours
    return run_gate(fake, context=context, **given)


def test_a_status(fake: FakeAirflow, github: GitHubApi) -> None:
    """The one that triggers leaves the status pending, and the sweep settles it after the end, from
    another commit.
    """
    assert live(fake, github, "detached-status", HEAD).result == "triggered"
    assert live(fake, github, "detached-sweep", SHA).result == "triggered"
    fake.set_run_state("nightly_sales", RUN_ID, "success")
    assert live(fake, github, "detached-sweep", SHA).result == "success"

    assert [status["state"] for status in github.statuses_of(HEAD, NAME)] == ["pending", "success"]


def test_a_deployment(fake: FakeAirflow, github: GitHubApi) -> None:
    """The one that triggers leaves a deployment in progress, of the task and to the environment
    that the other waits for.
    """
    assert live(fake, github, "detached-deployment", SHA).result == "triggered"

    (deployment,) = github.deployments
    assert github.deployment_states(deployment["id"]) == ["in_progress"]
    condition = job_of("detached-after-deployment")["if"]
    for field in ("task", "environment"):
        assert f"github.event.deployment.{field} == '{deployment[field]}'" in condition


def test_what_waits_for_a_status(fake: FakeAirflow, github: GitHubApi) -> None:
    """The workflow that begins on a status waits for the very name that the step gives it."""
    live(fake, github, "detached-status", HEAD)
    (status,) = github.statuses_of(HEAD)

    assert f"github.event.context == '{status['context']}'" in job_of("detached-after-status")["if"]


def job_of(name: str) -> dict[str, Any]:
    """The one job of a workflow."""
    (job,) = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert isinstance(job, dict)
    return job


def test_what_is_pending_is_found(tmp_path: Path) -> None:
    """The sweep's script finds the runs of pending statuses of ours, each once, in the forms of
    both Airflows.
    """
    if shutil.which("jq") is None:
        missing("There is no jq", "Install it (on Debian: apt-get install jq)")
    pages = {
        "aaa": "https://airflow.example.com/dags/nightly_sales/runs/github__0123__8__ab",
        "bbb": "https://airflow.example.com/a/dags/nightly_sales/grid?dag_run_id=manual%3A2026%2B1",
    }
    answers: dict[str, Any] = {
        "commits": [{"sha": "aaa"}, {"sha": "bbb"}],
        "pulls": [{"head": {"sha": "bbb"}}],
    }
    for sha, page in pages.items():
        ours = {"state": "pending", "context": NAME, "target_url": page}
        others = (
            {"state": "success", "context": "airflow / b", "target_url": page},
            {"state": "pending", "context": "ci"},
        )
        answers[sha] = {"statuses": [ours, *others]}
    for name, answer in answers.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(answer))
    gh = tmp_path / "gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    jobs = yaml.safe_load((FOLDER / "detached-sweep.yml").read_text(encoding="utf-8"))["jobs"]
    (step,) = jobs["find"]["steps"]
    told = tmp_path / "output"
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REPOSITORY": "octo-org/sales",
        "ANSWERS": str(tmp_path),
    }
    env["GITHUB_OUTPUT"] = str(told)
    # Ours
    subprocess.run(["bash", "-e", "-c", step["run"]], check=True, env=env, timeout=60)  # noqa: S607

    runs = [
        {"dag_id": "nightly_sales", "run_id": one}
        for one in ("github__0123__8__ab", "manual:2026+1")
    ]
    assert json.loads(told.read_text().removeprefix("runs=")) == runs
