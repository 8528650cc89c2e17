"""Decide whether a DAG run uses a commit, or a later commit that contains it.

Airflow does not know the repository's history, so `Commits` asks GitHub.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from entrypoint.errors import WrongCommit
from entrypoint.models import Ancestry

if TYPE_CHECKING:
    from entrypoint.deadline import Deadline
    from entrypoint.models import DagRun


_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Commits(Protocol):
    """The history of the repository."""

    def is_known(self, commit: str, deadline: Deadline) -> bool | None:
        """Return whether the commit exists, None if that is unknown."""

    def contains(self, version: str, commit: str, deadline: Deadline) -> Ancestry:
        """Return whether `version` contains `commit`.

        Raises:
            TransientError, UnexpectedResponse: GitHub gives no usable answer.
        """


def ancestry(commits: Commits, version: str, commit: str, deadline: Deadline) -> Ancestry:
    """Return whether a bundle version contains the commit.

    Only full SHAs are compared, because a branch or tag may move.
    """
    if version == commit:
        return Ancestry(True, "")
    return (
        commits.contains(version, commit, deadline)
        if is_commit(version)
        else Ancestry(False, "That is not a commit.")
    )


def is_commit(version: str) -> bool:
    """Return whether a bundle version is a full commit SHA, as in Airflow's git bundles."""
    return _SHA.fullmatch(version) is not None


def require_commit(run: DagRun, commit: str, commits: Commits, deadline: Deadline) -> None:
    """Raise WrongCommit unless the run uses the commit, or one that contains it.

    Only the run's own bundle version counts, because Airflow may later change the bundle version of
    the DAG versions that the run lists (docs/notes/airflow-3.md#bundle-versions).

    Raises:
        TransientError, UnexpectedResponse: GitHub gives no usable answer.
    """
    version = run.bundle_version
    if version is None:
        raise WrongCommit(
            "The DAG run is not bound to a commit",
            f"The run {run.run_id} of {run.dag_id} has no bundle version, so each of its tasks "
            f"runs the code that Airflow has when the task starts; expect_commit is {commit}. "
            "This step does not stop the run.",
            "Remove expect_commit, or let Airflow version the DAG: its bundle has no versions, or "
            "the DAG sets disable_bundle_versioning.",
        )
    found = ancestry(commits, version, commit, deadline)
    if not found.contains:
        raise WrongCommit(
            "The DAG run runs another commit",
            f"The run {run.run_id} of {run.dag_id} runs {version},\nexpect_commit is {commit}.\n"
            f"{found.source} This step does not stop the run.",
            "Check whether the bundle's branch was moved back. Re-running this job finds the same "
            "DAG run again; a new commit, or another run_id, gets a new run.",
        )
