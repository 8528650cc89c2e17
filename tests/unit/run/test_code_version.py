"""Which code a DAG run runs with, as a table: its bundle version and what is known of the history →
how that ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.errors import ActionError, TransientError, UnexpectedResponse, WrongCommit
from entrypoint.models import Ancestry
from entrypoint.run.code_version import ancestry, require_commit
from tests.support.factories import a_run
from tests.support.scripted import Script

if TYPE_CHECKING:
    from entrypoint.models import DagRun

COMMIT, OTHER = "c" * 40, "d" * 40


class History:
    """Who knows the history, asked once at the most; what was asked is noted."""

    def __init__(self, *answers: Ancestry | Exception) -> None:
        self._answer = Script(answers)
        self.asked: list[tuple[str, str]] = []

    def is_known(self, _: str) -> bool | None:
        """It is not asked here."""

    def contains(self, version: str, commit: str) -> Ancestry:
        """Answer."""
        self.asked.append((version, commit))
        found: Ancestry = self._answer()
        return found


def wrong(run: DagRun, history: History) -> WrongCommit:
    """The error for this run."""
    with pytest.raises(WrongCommit) as caught:
        require_commit(run, COMMIT, history)
    return caught.value


def test_the_commit_itself() -> None:
    """A version that is the commit contains it, and nobody is asked."""
    assert ancestry(History(), COMMIT, COMMIT) == Ancestry(True, "")
    require_commit(a_run(bundle_version=COMMIT), COMMIT, History())


@pytest.mark.parametrize(
    "found", [Ancestry(True, "yes"), Ancestry(False, "no"), Ancestry(None, "who knows")]
)
def test_another_commit(found: Ancestry) -> None:
    """Of another version it is asked whether it contains the commit, in this order, and the answer
    is handed on.
    """
    history = History(found)

    assert ancestry(history, OTHER, COMMIT) is found
    assert history.asked == [(OTHER, COMMIT)]


def test_a_run_with_a_later_commit() -> None:
    """A run with a version that contains the commit is right."""
    history = History(Ancestry(True, "GitHub's API says: ahead."))
    require_commit(a_run(bundle_version=OTHER), COMMIT, history)

    assert history.asked == [(OTHER, COMMIT)]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Ancestry(False, "GitHub's API says: behind."),
            f"expect_commit is {COMMIT}. GitHub's API says: behind. This step",
        ),
        (
            Ancestry(None, "GitHub cannot tell."),
            f"expect_commit is {COMMIT}. GitHub cannot tell. This step",
        ),
        (Ancestry(False, ""), f"expect_commit is {COMMIT}. This step"),
    ],
)
@pytest.mark.parametrize("state", ["queued", "success"])
def test_a_run_with_another_commit(found: Ancestry, said: str, state: Any) -> None:
    """A version that does not contain the commit, or of which nobody knows, is an error, however
    well the run goes.
    """
    error = wrong(a_run(bundle_version=OTHER, state=state), History(found))

    assert error.title == "The DAG run runs another commit"
    assert f"The run r1 of nightly_sales runs {OTHER}, {said}" in " ".join(error.detail.split())
    assert error.hint


def test_a_run_without_a_version() -> None:
    """A run that is bound to no version may run any code, which is an error of its own, and nobody
    is asked.
    """
    error = wrong(a_run(bundle_version=None), History())

    assert error.title == "The DAG run is bound to no commit"
    assert "r1" in error.detail
    assert COMMIT in error.detail
    assert "disable_bundle_versioning" in error.hint


@pytest.mark.parametrize(
    "fault", [TransientError("GitHub answers 503", "", ""), UnexpectedResponse("page", "", "")]
)
def test_who_knows_does_not_answer(fault: ActionError) -> None:
    """That the history cannot be read at present says nothing about the run."""
    with pytest.raises(ActionError) as caught:
        require_commit(a_run(bundle_version=OTHER), COMMIT, History(fault))
    assert caught.value is fault


@pytest.mark.parametrize("version", ["main", "v1", "d" * 7, "x/../../../../user?a=b#", ""])
def test_a_version_that_is_no_commit(version: str) -> None:
    """A version that is no whole SHA contains no commit, and nobody is asked about it: a branch may
    be anywhere tomorrow.
    """
    assert ancestry(History(), version, COMMIT).contains is False
    assert "no commit" in wrong(a_run(bundle_version=version), History()).detail
