"""Whether a DAG run's bundle version contains the expected commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entrypoint.errors import ActionError, TransientError, UnexpectedResponse, WrongCommit
from entrypoint.http.client import NO_DEADLINE
from entrypoint.models import Ancestry
from entrypoint.run.code_version import ancestry, require_commit
from tests.support.factories import a_run
from tests.support.scripted import ScriptedCall

if TYPE_CHECKING:
    from entrypoint.deadline import Deadline
    from entrypoint.models import DagRun

COMMIT, OTHER = "c" * 40, "d" * 40


class ScriptedHistory:
    """A commit history with one response; it records the comparison."""

    def __init__(self, *answers: Ancestry | Exception) -> None:
        self._answer = ScriptedCall(answers)
        self.comparisons: list[tuple[str, str]] = []

    def is_known(self, _: str, __: Deadline) -> bool | None:
        """Return nothing, since no test needs it."""

    def contains(self, version: str, commit: str, _: Deadline) -> Ancestry:
        self.comparisons.append((version, commit))
        found: Ancestry = self._answer()
        return found


def code_error(run: DagRun, history: ScriptedHistory) -> WrongCommit:
    with pytest.raises(WrongCommit) as caught:
        require_commit(run, COMMIT, history, NO_DEADLINE)
    return caught.value


def test_version_equal_to_the_commit_needs_no_comparison() -> None:
    assert ancestry(ScriptedHistory(), COMMIT, COMMIT, NO_DEADLINE) == Ancestry(True, "")
    require_commit(a_run(bundle_version=COMMIT), COMMIT, ScriptedHistory(), NO_DEADLINE)


@pytest.mark.parametrize(
    "found", [Ancestry(True, "yes"), Ancestry(False, "no"), Ancestry(None, "unknown")]
)
def test_other_version_is_compared_with_the_commit(found: Ancestry) -> None:
    history = ScriptedHistory(found)

    assert ancestry(history, OTHER, COMMIT, NO_DEADLINE) is found
    assert history.comparisons == [(OTHER, COMMIT)]


def test_version_that_contains_the_commit_is_accepted() -> None:
    history = ScriptedHistory(Ancestry(True, "GitHub's API says: ahead."))
    require_commit(a_run(bundle_version=OTHER), COMMIT, history, NO_DEADLINE)

    assert history.comparisons == [(OTHER, COMMIT)]


@pytest.mark.parametrize(
    ("found", "message"),
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
def test_version_that_lacks_the_commit_is_an_error(
    found: Ancestry, message: str, state: Any
) -> None:
    """An unknown ancestry is an error, too."""
    error = code_error(a_run(bundle_version=OTHER, state=state), ScriptedHistory(found))

    assert error.title == "The DAG run runs another commit"
    assert f"The run r1 of nightly_sales runs {OTHER}, {message}" in " ".join(error.detail.split())
    assert error.hint


def test_run_without_a_version_is_an_error_without_a_comparison() -> None:
    error = code_error(a_run(bundle_version=None), ScriptedHistory())

    assert error.title == "The DAG run is not bound to a commit"
    assert "r1" in error.detail
    assert COMMIT in error.detail
    assert "disable_bundle_versioning" in error.hint


@pytest.mark.parametrize(
    "fault", [TransientError("GitHub answers 503", "", ""), UnexpectedResponse("page", "", "")]
)
def test_transient_error_of_the_comparison_is_raised(fault: ActionError) -> None:
    with pytest.raises(ActionError) as caught:
        require_commit(a_run(bundle_version=OTHER), COMMIT, ScriptedHistory(fault), NO_DEADLINE)
    assert caught.value is fault


@pytest.mark.parametrize("version", ["main", "v1", "d" * 7, "x/../../../../user?a=b#", ""])
def test_version_that_is_no_whole_sha_is_not_compared(version: str) -> None:
    """A branch may be anywhere tomorrow."""
    assert ancestry(ScriptedHistory(), version, COMMIT, NO_DEADLINE).contains is False
    assert "not a commit" in code_error(a_run(bundle_version=version), ScriptedHistory()).detail
