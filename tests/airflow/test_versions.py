"""The commit that was merged is the code that ran: twenty in a row to the git bundle of a real
Airflow 3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import first_screen, verdict
from tests.airflow.repository import DAG_ID
from tests.airflow.scenarios.commits import IN_A_ROW, OVERTAKEN

if TYPE_CHECKING:
    import pytest

    from dev.airflow import LocalAirflow
    from tests.airflow.repository import GitHubRepository
    from tests.airflow.scenarios.commits import Commits


def test_commits_in_a_row(
    commits: Commits, repository: GitHubRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    """After each of twenty commits its step ran that one, or a later one that contains it, and
    nothing older.
    """
    for one in commits.deployed:
        assert one.result.outputs["result"] == "success", one.result.log
        ran = repository.commits.index(one.result.outputs["bundle_version"])
        (number,) = json.loads(one.result.outputs["xcom"]).values()
        assert ran == number >= one.number
    overtaken = [
        place
        for place, one in enumerate(commits.deployed)
        if one.result.outputs["bundle_version"] != one.commit
    ]
    with capsys.disabled():
        longest = max(one.waited for one in commits.deployed)
        print(
            f"\ncommits: {len(commits.deployed)}, longest wait: {longest} s, overtaken: "
            f"{len(overtaken)}"
        )

    assert len(commits.deployed) == IN_A_ROW
    assert set(overtaken) == set(OVERTAKEN)


def test_the_record_says_the_same(commits: Commits, airflow_3: LocalAirflow) -> None:
    """By Airflow's own record each commit has one run, and it is bound to the version that the step
    gave as its output.
    """
    runs = {run["dag_run_id"]: run["bundle_version"] for run in airflow_3.runs(DAG_ID)}
    steps = [*commits.deployed, commits.mended]

    assert runs == {
        one.result.outputs["run_id"]: one.result.outputs["bundle_version"] for one in steps
    }
    assert len(runs) == IN_A_ROW + 1


def test_who_said_so(commits: Commits) -> None:
    """Where a later commit was taken, the log says that GitHub was asked, and what it answered."""
    said = ["GitHub's API says: ahead." in one.result.log for one in commits.deployed]

    assert [place for place, told in enumerate(said) if told] == list(OVERTAKEN)


def test_a_commit_that_breaks_the_import(
    commits: Commits, capsys: pytest.CaptureFixture[str]
) -> None:
    """A commit that does not import fails its step with Airflow's error, annotated on the line of
    the checkout, and no run.
    """
    result = commits.broken.result

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "run_id" not in result.outputs
    for told in (verdict(result), first_screen(result)):
        assert "The DAG's file fails to import" in told
        assert "SyntaxError" in told
    marked = [(note.level, note.file, note.line) for note in result.annotations if note.file]
    assert marked == [("error", f"dags/{DAG_ID}.py", commits.broken_line)]
    with capsys.disabled():
        # The figure
        print(f"\na broken commit: the step failed after {commits.broken.seconds:.1f} s")


def test_a_commit_that_mends_it(commits: Commits) -> None:
    """The next commit, which mends the file, runs, although Airflow still had the import error when
    its step began.
    """
    result = commits.mended.result

    assert (result.exit_code, result.outputs["bundle_version"]) == (0, commits.mended.commit), (
        result.log
    )
