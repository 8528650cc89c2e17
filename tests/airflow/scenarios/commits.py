"""Commits in a row, pushed to the repository of a git bundle: after each a step is started at once,
which expects it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dev.runner import Context
from tests.airflow.job import PATIENCE, Job
from tests.airflow.repository import DAG_ID
from tests.support.services import GitHubApi
from tests.support.services.github import REPOSITORY

if TYPE_CHECKING:
    from dev.runner import StepResult
    from tests.airflow.repository import GitHubRepository
    from tests.airflow.scenario import Stage

IN_A_ROW = 20
OVERTAKEN = (6, 13)
"""Commits after which another is pushed before their step begins."""
_FOUND = re.compile(r"^ *(\d+):(\d\d)  The DAG's bundle is at", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Deployed:
    """One commit, its number, and the step that expected it, which took so many seconds."""

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


class Commits:
    """The play. `deployed` are the commits in a row, `broken` is one that does not import, `mended`
    the one after it.
    """

    def __init__(self, stage: Stage, repository: GitHubRepository) -> None:
        self._stage = stage
        self._repository = repository
        self.deployed: list[Deployed] = []
        self.broken: Deployed
        self.mended: Deployed
        self.broken_line = 0

    def perform(self) -> Commits:
        """Play, and return itself."""
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
            self.mended = self._next(github, broken=False)
        return self

    def _next(self, github: GitHubApi, *, broken: bool) -> Deployed:
        commit = self._repository.push(broken=broken)
        return Deployed(commit, len(self._repository.commits) - 1, *self._step(github, commit))

    def _step(self, github: GitHubApi, commit: str) -> tuple[StepResult, float]:
        github.history = self._repository.history
        context = Context(repository=REPOSITORY, sha=commit, api_url=github.url, token=github.token)
        job = Job(self._stage.airflow, self._repository.folder, context)
        shape = self._repository.commits.index(commit) // 5
        inputs = {
            "dag_id": DAG_ID,
            "expect_commit": commit,
            "wait_for_dag": "3m",
            "xcom": f"which_{shape}",
        }
        step = job.step("quick_success", **inputs)  # the DAG itself need not be there yet
        began = time.monotonic()
        return step.run(timeout=PATIENCE), time.monotonic() - began
