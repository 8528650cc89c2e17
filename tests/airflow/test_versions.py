"""The merged commit is the code that ran: twenty commits to a git bundle of Airflow 3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.airflow.job import first_screen, verdict
from tests.airflow.repository import DAG_ID
from tests.airflow.scenarios.commits import IN_A_ROW, OVERTAKEN

if TYPE_CHECKING:
    import pytest

    from dev.airflow import LocalAirflow
    from tests.airflow.repository import GitRepository
    from tests.airflow.scenarios.commits import CommitScenario


def test_each_step_ran_its_commit_or_a_later_one(
    commits: CommitScenario, repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_each_run_is_bound_to_the_bundle_version_in_the_output(
    commits: CommitScenario, airflow_3: LocalAirflow
) -> None:
    runs = {run["dag_run_id"]: run["bundle_version"] for run in airflow_3.runs(DAG_ID)}
    steps = [*commits.deployed, commits.fixed]

    assert runs == {
        one.result.outputs["run_id"]: one.result.outputs["bundle_version"] for one in steps
    }
    assert len(runs) == IN_A_ROW + 1


def test_the_log_has_githubs_comparison_where_a_later_commit_ran(commits: CommitScenario) -> None:
    compared = ["GitHub's API says: ahead." in one.result.log for one in commits.deployed]

    assert [place for place, asked in enumerate(compared) if asked] == list(OVERTAKEN)


def test_a_commit_that_does_not_import_fails_its_step_without_a_run(
    commits: CommitScenario, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an annotation on the line of the checkout."""
    result = commits.broken.result

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert "run_id" not in result.outputs
    for text in (verdict(result), first_screen(result)):
        assert "The DAG's file fails to import" in text
        assert "SyntaxError" in text
    marked = [(note.level, note.file, note.line) for note in result.annotations if note.file]
    assert marked == [("error", f"dags/{DAG_ID}.py", commits.broken_line)]
    with capsys.disabled():
        # the number
        print(f"\na broken commit: the step failed after {commits.broken.seconds:.1f} s")


def test_the_commit_that_fixes_the_import_runs(commits: CommitScenario) -> None:
    """Airflow still has the import error when the step starts."""
    result = commits.fixed.result

    assert (result.exit_code, result.outputs["bundle_version"]) == (0, commits.fixed.commit), (
        result.log
    )
