"""Commits pushed to a git bundle; after each, a step expects it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dev.runner import RunnerContext
from tests.airflow.job import TIMEOUT, Job
from tests.airflow.repository import DAG_ID
from tests.support.services import GitHubApi
from tests.support.services.github import REPOSITORY

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.repository import GitRepository
    from tests.airflow.scenario import ScenarioRunner

IN_A_ROW = 20
OVERTAKEN = (6, 13)
"""Commits that are followed by another before their step starts."""
_FOUND = re.compile(r"^ *(\d+):(\d\d)  The DAG's bundle is at", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A commit, its number, and the step that expected it with its duration in seconds."""

    commit: str
    number: int
    result: StepResult
    seconds: float

    @property
    def waited(self) -> int:
        """Seconds from the step's first line until Airflow had the code."""
        found = _FOUND.search(self.result.log)
        assert found, self.result.log
        return 60 * int(found[1]) + int(found[2])


class CommitScenario:
    """`deployed` are the commits in order, `broken` does not import, `fixed` follows it."""

    def __init__(self, scenarios: ScenarioRunner, repository: GitRepository) -> None:
        self._scenarios = scenarios
        self._repository = repository
        self.deployed: list[Deployed] = []
        self.broken: Deployed
        self.fixed: Deployed
        self.broken_line = 0

    def run(self) -> CommitScenario:
        with GitHubApi(self._repository.history) as github:
            for place in range(IN_A_ROW):
                commit = self._repository.push()
                number = len(self._repository.commits) - 1
                if place in OVERTAKEN:
                    self._repository.push()
                self.deployed.append(Deployed(commit, number, *self._step(github, commit)))
            self.broken = self._next(github, broken=True)
            lines = self._repository.file.read_text().splitlines()
            self.broken_line = lines.index("        return (NUMBER") + 1
            self.fixed = self._next(github, broken=False)
        return self

    def _next(self, github: GitHubApi, *, broken: bool) -> Deployed:
        commit = self._repository.push(broken=broken)
        return Deployed(commit, len(self._repository.commits) - 1, *self._step(github, commit))

    def _step(self, github: GitHubApi, commit: str) -> tuple[StepResult, float]:
        github.history.update(self._repository.history)
        context = RunnerContext(
            repository=REPOSITORY, sha=commit, api_url=github.url, token=github.token
        )
        job = Job(self._scenarios.airflow, self._repository.folder, context)
        shape = self._repository.commits.index(commit) // 5
        inputs = {
            "dag_id": DAG_ID,
            "expect_commit": commit,
            "wait_for_dag": "3m",
            "xcom": f"which_{shape}",
        }
        step = job.step("quick_success", **inputs)  # Airflow may not know the DAG yet
        began = time.monotonic()
        return step.run(timeout=TIMEOUT), time.monotonic() - began
