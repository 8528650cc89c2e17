"""How a stage ends: annotations on the code, one verdict, and the job summary if it is wanted."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from entrypoint.errors import ActionError, ExceptionInfo, StackFrame
from entrypoint.models import Failure, Outcome
from entrypoint.report import publish as publishing
from entrypoint.report.plain_summary import plain_summary
from entrypoint.report.publish import publish
from entrypoint.report.summary import summary
from entrypoint.runners import github as commands
from entrypoint.runners.base import Context
from tests.support.factories import a_context, a_run, a_task, an_outcome
from tests.support.listening import heard, printed_by

FAILED = an_outcome(
    result="failed",
    run=a_run(state="failed"),
    tasks=(a_task("join", state="failed"),),
    failures=(
        Failure(
            a_task("join", state="failed"),
            "KeyError: 'x'",
            (
                ExceptionInfo(
                    "KeyError", "'x'", (StackFrame("/opt/airflow/dags/sales.py", 2, "join"),)
                ),
            ),
        ),
    ),
)


@pytest.mark.parametrize("wanted", [True, False])
# A table's column
def test_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    """The verdict is always told, the summary only if it is wanted."""
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = heard(lambda: publish(an_outcome(), a_context(), commands, write_summary=wanted))

    assert [note.title for note in log.annotations] == ["DAG run succeeded"]
    assert path.exists() is wanted
    if wanted:
        assert path.read_text(encoding="utf-8").startswith("## ✅ DAG run succeeded")


@pytest.mark.parametrize("wanted", [True, False])
def test_code_before_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    """A failure is marked on the checkout's own lines, with a summary or without, and the verdict
    comes last.
    """
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "sales.py").write_text("1\n2\n", encoding="utf-8")
    code, verdict = heard(
        lambda: publish(FAILED, a_context(workspace=tmp_path), commands, write_summary=wanted)
    ).annotations

    assert (code.file, code.line, code.level) == ("dags/sales.py", 2, "error")
    assert (verdict.title, verdict.file, verdict.level) == ("DAG run failed", "", "error")


@pytest.mark.parametrize(
    "outcome", [FAILED, Outcome(result="error", error=ActionError("Title", "detail", "hint"))]
)
def test_without_a_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    """Without a context, as when the runner's variables are missing, there are the verdict and the
    summary all the same.
    """
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = heard(lambda: publish(outcome, None, commands, write_summary=True))

    assert len(log.annotations) == 1
    assert log.annotations[0].title in path.read_text(encoding="utf-8")


def breaks(*_: Any, **__: Any) -> Any:
    """Break as our own code would; what it says is not for everybody's eyes."""
    raise OverflowError("s3cret")


IN_SUMMARY = {  # what breaks, and the line in its place
    "heading": ("_heading", "The heading cannot be shown"),
    "reason": ("reasons", "The reason cannot be shown"),
    "way": ("_way", "The way to the DAG run cannot be shown"),
    "facts": ("facts", "The table of facts cannot be shown"),
    "failures": ("failed_tasks", "What failed cannot be shown"),
    "time line": ("gantt", "The time line cannot be shown"),
    "tasks": ("task_table", "The table of tasks cannot be shown"),
}
TWO = an_outcome(
    tasks=tuple(
        a_task(name, start_date=a_run().start_date, end_date=a_run().start_date)
        for name in ("a", "b")
    ),
    disabled_features=("Left out: something.",),
)


@pytest.mark.parametrize("name", IN_SUMMARY)
def test_a_block_that_breaks_costs_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its place a line says so; every other block is as it would be."""
    broken, said = IN_SUMMARY[name]
    whole = summary(TWO, a_context()).split("\n\n")
    monkeypatch.setattr(f"entrypoint.report.summary.{broken}", breaks)
    left = summary(TWO, a_context()).split("\n\n")
    (line,) = [block for block in left if "cannot be shown" in block]

    assert line.startswith(said)
    assert "OverflowError in test\\_publish.py" in line
    assert "s3cret" not in line
    assert set(left) - {line} <= set(whole)
    assert "Left out: something." in left[-1]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("outcome_message", "The reason"),
        ("facts", "The table of facts"),
        ("by_state", "The table of tasks"),
    ],
)
def test_a_part_of_the_text_that_breaks_costs_itself(
    broken: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the summary that is Markdown."""
    whole = plain_summary(TWO, a_context()).split("\n")
    monkeypatch.setattr(f"entrypoint.report.plain_summary.{broken}", breaks)
    left = plain_summary(TWO, a_context()).split("\n")
    (line,) = set(left) - set(whole)

    assert line.startswith(f"{said} cannot be shown (OverflowError in test_publish.py")
    assert left[-1] == "Left out: something."


@pytest.mark.parametrize("what", ["annotate_code", "annotate", "summary"])
@pytest.mark.parametrize("outcome", [an_outcome(), FAILED])
def test_what_breaks_keeps_nothing_else_back(
    what: str, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Annotations on the code, verdict and summary do not depend on each other, and a verdict is
    told in any case.
    """
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setattr(publishing, what, breaks)
    log = heard(lambda: publish(outcome, a_context(), commands, write_summary=True))
    (verdict,) = [(note.level, note.title) for note in log.annotations]
    level = "notice" if outcome.passes else "error"
    words = "DAG run succeeded" if outcome.passes else "DAG run failed"

    assert verdict == (level, f"Result: {outcome.result}" if what == "annotate" else words)
    assert path.exists() is (what != "summary")


def test_where_it_broke_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """By type and place, and with debugging on with the way there."""
    monkeypatch.setattr(publishing, "annotate", breaks)

    def told() -> str:
        return printed_by(lambda: publish(an_outcome(), None, commands, write_summary=False))

    assert "The reason cannot be shown (OverflowError in test_publish.py, line" in told()
    assert "Traceback" not in told()
    monkeypatch.setenv("RUNNER_DEBUG", "1")
    assert "::debug::Traceback" in told()


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"]
)
@pytest.mark.parametrize("context", [None, a_context()])
def test_a_run_at_either_end_of_time(moment: str, context: Context | None) -> None:
    """Odd dates of the run are shown as they are."""
    date = datetime.fromisoformat(moment)
    tasks = tuple(a_task(name, start_date=date, end_date=None) for name in ("a", "b"))
    outcome = an_outcome(
        run=a_run(start_date=date, end_date=None), tasks=tasks, seconds_in_state=140.0
    )

    for told in (summary(outcome, context), plain_summary(outcome, context)):
        assert "cannot be shown" not in told
        assert f"{moment[:4]}-" in told
