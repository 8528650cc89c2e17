"""Whether a DAG run runs with a commit, or with a later one that contains it.

Pure but for who is asked about the history: a later merge may have overtaken this one, and Airflow
knows no history.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from entrypoint.errors import WrongCommit
from entrypoint.models import Ancestry

if TYPE_CHECKING:
    from entrypoint.models import DagRun


_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Commits(Protocol):
    """Who knows the history of the repository."""

    def is_known(self, commit: str) -> bool | None:
        """Return whether the commit exists, None if that cannot be found out."""

    def contains(self, version: str, commit: str) -> Ancestry:
        """Return whether the first contains the second. Raises TransientError,
        UnexpectedResponse.
        """


def ancestry(commits: Commits, version: str, commit: str) -> Ancestry:
    """Return whether a bundle's version contains the commit. Nobody is asked about anything but
    whole SHAs: names move.
    """
    if version == commit:
        return Ancestry(True, "")
    return (
        commits.contains(version, commit)
        if is_commit(version)
        else Ancestry(False, "That is no commit.")
    )


def is_commit(version: str) -> bool:
    """Return whether a bundle's version is a whole commit SHA, as those of Airflow's git bundles
    are.
    """
    return _SHA.fullmatch(version) is not None


def require_commit(run: DagRun, commit: str, commits: Commits) -> None:
    """Raise WrongCommit unless the run itself runs with the commit, or with one that contains it.

    The run's own bundle version counts: those of its DAG versions are rewritten later on
    (docs/notes/airflow-3.md#bundle-versions).

    Raises:
        TransientError, UnexpectedResponse: who knows the history does not answer.
    """
    version = run.bundle_version
    if version is None:
        raise WrongCommit(
            "The DAG run is bound to no commit",
            f"The run {run.run_id} of {run.dag_id} has no bundle version, so each of its "
            "tasks runs the code that is there "
            f"when it starts; expect_commit is {commit}. This step does not stop the run.",
            "Leave expect_commit out, or let the DAG be versioned: it comes from a bundle "
            "without versions, or sets "
            "disable_bundle_versioning.",
        )
    found = ancestry(commits, version, commit)
    if not found.contains:
        raise WrongCommit(
            "The DAG run runs another commit",
            f"The run {run.run_id} of {run.dag_id} runs {version},\nexpect_commit is {commit}.\n"
            f"{found.who} This step does not stop the run.",
            "See whether the bundle's branch was moved back meanwhile. Re-running this job "
            "finds the same DAG run again; a "
            "new commit, or another run_id, gets a run of its own.",
        )
