"""The workflows of docs/detached.md, run with the inputs and the script that users copy."""

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
from tests.support.step import CONTEXT, run_against
from tests.support.workflows import HEAD, SHA, VALUES, action_inputs, filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

FOLDER = Path(__file__).parents[2] / "examples" / "workflows"
NAME = "airflow / nightly_sales"
RUN_ID = VALUES["matrix.run.run_id"]
GH = """#!/bin/sh
# gh api PATH --jq FILTER, with responses from a folder
case "$2" in
  */commits\\?*) response=commits ;;
  */pulls\\?*) response=pulls ;;
  */commits/*/status\\?*) response=$(echo "$2" | cut -d/ -f5) ;;
esac
jq --raw-output --compact-output "$4" "$RESPONSES/$response.json"
"""


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("nightly_sales", polls=200)]) as started:
        yield started


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    with GitHubApi({SHA: None, HEAD: SHA}) as api:
        yield api


def run_workflow_step(fake: FakeAirflow, github: GitHubApi, name: str, sha: str) -> Outcome:
    """Run the one step of a workflow with its own inputs, for this Airflow and GitHub."""
    (step,) = action_inputs((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    ours = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "github_token": github.token,
    }
    context = CONTEXT._replace(api_url=github.url, sha=sha)
    inputs: dict[str, Any] = filled(step) | ours
    return run_against(fake, context=context, **inputs)


def test_the_sweep_workflow_settles_the_status_of_the_trigger_workflow(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    """The sweep runs for another commit."""
    assert run_workflow_step(fake, github, "detached-status", HEAD).result == "triggered"
    assert run_workflow_step(fake, github, "detached-sweep", SHA).result == "triggered"
    fake.set_run_state("nightly_sales", RUN_ID, "success")
    assert run_workflow_step(fake, github, "detached-sweep", SHA).result == "success"

    assert [status["state"] for status in github.statuses_of(HEAD, NAME)] == ["pending", "success"]


def test_the_deployment_workflow_matches_the_condition_of_its_follow_up(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    assert run_workflow_step(fake, github, "detached-deployment", SHA).result == "triggered"

    (deployment,) = github.deployments
    assert github.deployment_states(deployment["id"]) == ["in_progress"]
    condition = only_job("detached-after-deployment")["if"]
    for field in ("task", "environment"):
        assert f"github.event.deployment.{field} == '{deployment[field]}'" in condition


def test_the_status_context_matches_the_condition_of_its_follow_up(
    fake: FakeAirflow, github: GitHubApi
) -> None:
    run_workflow_step(fake, github, "detached-status", HEAD)
    (status,) = github.statuses_of(HEAD)

    assert (
        f"github.event.context == '{status['context']}'" in only_job("detached-after-status")["if"]
    )


def only_job(name: str) -> dict[str, Any]:
    (job,) = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert isinstance(job, dict)
    return job


def test_the_sweep_script_finds_each_pending_run_once(tmp_path: Path) -> None:
    """The URLs have the forms of both Airflow versions."""
    if shutil.which("jq") is None:
        missing("There is no jq", "Install it (on Debian: apt-get install jq)")
    pages = {
        "aaa": "https://airflow.example.com/dags/nightly_sales/runs/github__0123__8__ab",
        "bbb": "https://airflow.example.com/a/dags/nightly_sales/grid?dag_run_id=manual%3A2026%2B1",
    }
    responses: dict[str, Any] = {
        "commits": [{"sha": "aaa"}, {"sha": "bbb"}],
        "pulls": [{"head": {"sha": "bbb"}}],
    }
    for sha, page in pages.items():
        ours = {"state": "pending", "context": NAME, "target_url": page}
        others = (
            {"state": "success", "context": "airflow / b", "target_url": page},
            {"state": "pending", "context": "ci"},
        )
        responses[sha] = {"statuses": [ours, *others]}
    for name, response in responses.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(response))
    gh = tmp_path / "gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    jobs = yaml.safe_load((FOLDER / "detached-sweep.yml").read_text(encoding="utf-8"))["jobs"]
    (step,) = jobs["find"]["steps"]
    output = tmp_path / "output"
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REPOSITORY": "octo-org/sales",
        "RESPONSES": str(tmp_path),
    }
    env["GITHUB_OUTPUT"] = str(output)
    subprocess.run(["bash", "-e", "-c", step["run"]], check=True, env=env, timeout=60)  # noqa: S607

    runs = [
        {"dag_id": "nightly_sales", "run_id": one}
        for one in ("github__0123__8__ab", "manual:2026+1")
    ]
    assert json.loads(output.read_text().removeprefix("runs=")) == runs
