"""The scenarios of an Airflow 3 about commits, each with a git bundle of its own.

Airflow fetches a bundle when a client asks it to parse a file again, as the step does while it
waits.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from dev.runner import RunnerContext
from tests.airflow.job import REQUEST, get, until, verdict
from tests.support.proxy import Proxy
from tests.support.services import GitHubApi
from tests.support.services.github import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.runner import StepResult
    from tests.airflow.job import Job
    from tests.airflow.repository import GitRepository
    from tests.versions.airflow import VersionRun

TRIGGER = ("POST", "/dagRuns")
SOON = 120.0
"""Seconds within which a broken commit is reported, on a busy machine too; the step would wait
twice as long.
"""
WAIT = "4m"


def pushed_before_trigger(on: VersionRun) -> None:
    """A push between check and trigger: from 3.4 on the run has the commit that was checked.

    If the push leaves the DAG's structure as it is, Airflow no longer has the version that was
    checked. Then the step checks the new one, which contains the commit.
    """
    if not on.has(3):
        on.leave_out()
        return
    repository = on.repositories["pinned"]
    with GitHubApi(repository.history) as github:
        # Airflow replaces a structure that no run has used.
        used = repository.commits[-1]
        first = _step(on, github, repository, used)
        checked = repository.push(shape=0)
        push = partial(repository.push, shape=0)
        same = _step(on, github, repository, checked, before=push)
        if on.has(3, 4):
            _pinned(on, github, repository)

    number = repository.commits.index(checked)
    assert _ran(first) == (used, number - 1), first.log
    assert _ran(same) == (repository.commits[number + 1], number + 1), same.log
    assert same.statuses == ([404, 200] if on.has(3, 4) else [200])
    assert ("GitHub's API says: ahead." in same.log) is on.has(3, 4)


def _pinned(on: VersionRun, github: GitHubApi, repository: GitRepository) -> None:
    """Push another structure between check and trigger."""
    checked = repository.push(shape=0)
    step = _step(on, github, repository, checked, before=partial(repository.push, shape=1))

    assert _ran(step) == (checked, repository.commits.index(checked)), step.log
    assert step.statuses == [200]


def broken_commit(on: VersionRun) -> None:
    """A commit that does not import fails the step, also if Airflow had fetched it before."""
    if not on.has(3):
        on.leave_out()
        return
    repository, unknown = on.repositories["broken"], on.repositories["never_parsed"]
    # Only an admin sees the import errors of a file without any DAG.
    admin: dict[str, Any] = {"username": "admin", "password": on.airflow.users["admin"]}
    if len(repository.commits) > 1:  # the first try has left a broken commit
        with GitHubApi(repository.history) as github:
            _ran(_step(on, github, repository, repository.push(shape=0)))
    on.airflow.wait_for_dag(repository.dag_id)
    commit = repository.push(broken=True)
    if not on.has(3, 1):
        with GitHubApi(repository.history) as github:
            lost = _step(on, github, repository, commit, wait_for_dag="20s")
        sentence = "Airflow has lost this DAG"
        assert verdict(lost.result).startswith(f"{sentence}: "), lost.log
        assert lost.statuses == []
        on.cannot("import errors of a git bundle", sentence)
        return
    with GitHubApi(repository.history) as github:
        steps = [_step(on, github, repository, commit)]
        # Only from 3.4 on does Airflow say that it has fetched the commit.
        if on.has(3, 4):
            steps += [
                _step(on, github, repository, commit),
                _step(on, github, unknown, unknown.commits[0], **admin),
            ]

    for step in steps:
        assert step.result.outputs["result"] == "error", step.log
        assert verdict(step.result).startswith("The DAG's file fails to import: ")
        assert "SyntaxError" in verdict(step.result)
        assert step.seconds < SOON, step.log
        assert step.statuses == []
    print(f"{on.airflow.version}: a broken commit after {[round(one.seconds) for one in steps]} s")


def cleared_with_latest(on: VersionRun) -> None:
    """A run that is resumed or restarted with `expect_commit` has the latest code (3.1 and later).

    On 3.0 a run keeps its code: it is not cleared if that does not have the commit.
    """
    if not on.has(3):
        on.leave_out()
        return
    repository = on.repositories["cleared"]
    wrong = repository.push(fails=True, shape=0)
    with GitHubApi(repository.history) as github:
        jobs = [_job(on, github, wrong) for _ in range(3)]
        for job in jobs:
            failed = _step(on, github, repository, wrong, job)
            assert failed.result.outputs["result"] == "failed", failed.result.log
        fixed = repository.push(shape=0)
        resumed = _step(on, github, repository, fixed, jobs[0])
        restarted = _step(on, github, repository, fixed, jobs[1], if_run_exists="restart")
        plain = _step(on, github, repository, None, jobs[2])

    assert "run_on_latest_version" not in plain.clear, plain.clear
    if not on.has(3, 1):
        for step in (resumed, restarted):
            assert verdict(step.result).startswith("The DAG run runs another commit: ")
            assert step.clear == {}
        return
    for step in (resumed, restarted):
        assert _ran(step) == (fixed, repository.commits.index(fixed)), step.log
        assert step.clear["run_on_latest_version"] is True
        assert f"It runs with the code of bundle version {fixed}" in step.log


SCENARIOS = (cleared_with_latest, pushed_before_trigger, broken_commit)


class Step:
    """A finished step, with what it sent to Airflow and how many seconds it took."""

    def __init__(self, result: StepResult, proxy: Proxy, seconds: float) -> None:
        self.result = result
        self.log = result.log
        self.seconds = seconds
        self.statuses = proxy.received(*TRIGGER)
        clears = [
            one.json
            for one in proxy.record
            if one.method == "POST" and one.path.endswith(("/clear", "/clearTaskInstances"))
        ]
        self.clear: dict[str, Any] = next((body for body in clears if not body["dry_run"]), {})


def _job(on: VersionRun, github: GitHubApi, commit: str) -> Job:
    return on.job(
        RunnerContext(repository=REPOSITORY, sha=commit, api_url=github.url, token=github.token)
    )


def _step(
    on: VersionRun,
    github: GitHubApi,
    repository: GitRepository,
    commit: str | None,
    job: Job | None = None,
    *,
    before: Callable[[], str] | None = None,
    **inputs: str,
) -> Step:
    """Run a step that expects the commit.

    Args:
        on: the Airflow.
        github: GitHub with the repository.
        repository: repository with the DAG.
        commit: `expect_commit`.
        job: job of an earlier attempt.
        before: function that pushes a commit, which Airflow has before it gets the trigger.
        inputs: further inputs.
    """
    github.history.update(repository.history)
    if commit is not None:
        inputs = {"expect_commit": commit, "wait_for_dag": WAIT} | inputs

    def push() -> None:
        assert before is not None
        pushed = before()
        github.history.update(repository.history)
        _have_fetched(on, repository, pushed)

    inputs = {"xcom": "which_0", "dag_id": repository.dag_id} | inputs
    with Proxy(on.airflow.url) as proxy:
        if before is not None:
            proxy.call_before(push, on=TRIGGER)
        began = time.monotonic()
        # Airflow may not know the DAG.
        job = job or _job(on, github, commit or "")
        result = job.run("plain_success", airflow_url=proxy.url, **inputs)
        return Step(result, proxy, time.monotonic() - began)


def _have_fetched(on: VersionRun, repository: GitRepository, commit: str) -> None:
    """Let Airflow fetch a commit and parse its DAG."""
    path = f"/dags/{repository.dag_id}"

    def fetched() -> bool:
        details = get(on.airflow, f"{path}/details")
        versions = {details["bundle_version"]}
        if on.has(3, 3):  # docs/notes/airflow-3.md#bundle-versions
            versions.add(details["latest_dag_version"]["bundle_version"])
        if versions == {commit}:
            return True
        with on.airflow.session() as session:
            url = f"{on.airflow.url}{on.airflow.api}/parseDagFile/{details['file_token']}"
            session.put(url, timeout=REQUEST)
        return False

    until(fetched, f"at {commit}")


def _ran(step: Step) -> tuple[str, int]:
    """Return the bundle version of a successful run, and the number that its code has returned."""
    outputs = step.result.outputs
    assert outputs["result"] == "success", step.log
    (number,) = json.loads(outputs["xcom"]).values()
    return outputs["bundle_version"], number
