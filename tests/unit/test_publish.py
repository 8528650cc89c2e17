"""How a stage ends: annotations on the code, one verdict, and the job summary if it is wanted."""

from pathlib import Path

import pytest

from entrypoint.errors import ActionError
from entrypoint.evidence import Frame, Raised
from entrypoint.github import commands
from entrypoint.models import Failure, Outcome
from entrypoint.report.publish import publish
from tests.support.listening import heard
from tests.support.nouns import a_context, a_run, a_task, an_outcome

FAILED = an_outcome(
    result="failed",
    run=a_run(state="failed"),
    tasks=(a_task("join", state="failed"),),
    failures=(
        Failure(
            a_task("join", state="failed"),
            "KeyError: 'x'",
            (Raised("KeyError", "'x'", (Frame("/opt/airflow/dags/sales.py", 2, "join"),)),),
        ),
    ),
)


@pytest.mark.parametrize("wanted", [True, False])
def test_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:  # noqa: FBT001 - a table's column
    """The verdict is always told, the summary only if it is wanted."""
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = heard(lambda: publish(an_outcome(), a_context(), commands, write_summary=wanted))

    assert [note.title for note in log.annotations] == ["DAG run succeeded"]
    assert path.exists() is wanted
    if wanted:
        assert path.read_text(encoding="utf-8").startswith("## ✅ DAG run succeeded")


@pytest.mark.parametrize("wanted", [True, False])
def test_code_before_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:  # noqa: FBT001 - a table's column
    """A failure is marked on the checkout's own lines, with a summary or without, and the verdict comes last."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "sales.py").write_text("1\n2\n", encoding="utf-8")
    code, verdict = heard(
        lambda: publish(FAILED, a_context(workspace=tmp_path), commands, write_summary=wanted)
    ).annotations

    assert (code.file, code.line, code.level) == ("dags/sales.py", 2, "error")
    assert (verdict.title, verdict.file, verdict.level) == ("DAG run failed", "", "error")


@pytest.mark.parametrize("outcome", [FAILED, Outcome(result="error", error=ActionError("Title", "detail", "hint"))])
def test_without_a_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    """Without a context, as when the runner's variables are missing, there are the verdict and the summary all the same."""
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = heard(lambda: publish(outcome, None, commands, write_summary=True))

    assert len(log.annotations) == 1
    assert log.annotations[0].title in path.read_text(encoding="utf-8")
