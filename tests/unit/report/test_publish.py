"""The end of a stage: annotations and job summary."""

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
from tests.support.factories import a_context, a_run, a_step, a_task, an_outcome
from tests.support.runner_log import printed_by, runner_log

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


@pytest.mark.parametrize("summary_wanted", [True, False])
def test_result_is_always_annotated_and_summary_optional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, summary_wanted: bool
) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = runner_log(
        lambda: publish(a_step(an_outcome()), a_context(), commands, write_summary=summary_wanted)
    )

    assert [note.title for note in log.annotations] == ["DAG run succeeded"]
    assert path.exists() is summary_wanted
    if summary_wanted:
        assert path.read_text(encoding="utf-8").startswith("## ✅ DAG run succeeded")


@pytest.mark.parametrize("summary_wanted", [True, False])
def test_code_annotations_come_before_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, summary_wanted: bool
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "sales.py").write_text("1\n2\n", encoding="utf-8")
    code_notes, annotation = runner_log(
        lambda: publish(
            a_step(FAILED), a_context(workspace=tmp_path), commands, write_summary=summary_wanted
        )
    ).annotations

    assert (code_notes.file, code_notes.line, code_notes.level) == ("dags/sales.py", 2, "error")
    assert (annotation.title, annotation.file, annotation.level) == ("DAG run failed", "", "error")


@pytest.mark.parametrize(
    "outcome", [FAILED, Outcome(result="error", error=ActionError("Title", "detail", "hint"))]
)
def test_missing_context_still_gives_result_and_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = runner_log(lambda: publish(a_step(outcome), None, commands, write_summary=True))

    assert len(log.annotations) == 1
    assert log.annotations[0].title in path.read_text(encoding="utf-8")


def break_down(*_: Any, **__: Any) -> Any:
    """Raise an exception whose text must not be shown."""
    raise OverflowError("s3cret")


IN_SUMMARY = {  # the failing function and the line that replaces its output
    "heading": ("_heading", "The heading cannot be shown"),
    "reason": ("reasons", "The reason cannot be shown"),
    "way": ("_run_link", "The link to the DAG run cannot be shown"),
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
def test_failing_summary_block_is_replaced_by_a_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, line_start = IN_SUMMARY[name]
    whole = summary(TWO, a_context()).split("\n\n")
    monkeypatch.setattr(f"entrypoint.report.summary.{broken}", break_down)
    left = summary(TWO, a_context()).split("\n\n")
    (line,) = [block for block in left if "cannot be shown" in block]

    assert line.startswith(line_start)
    assert "OverflowError in test\\_publish.py" in line
    assert "s3cret" not in line
    assert set(left) - {line} <= set(whole)
    assert "Left out: something." in left[-1]


@pytest.mark.parametrize(
    ("broken", "line_start"),
    [
        ("outcome_message", "The reason"),
        ("facts", "The table of facts"),
        ("by_state", "The table of tasks"),
    ],
)
def test_failing_plain_text_part_is_replaced_by_a_line(
    broken: str, line_start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plain_summary(TWO, a_context()).split("\n")
    monkeypatch.setattr(f"entrypoint.report.plain_summary.{broken}", break_down)
    left = plain_summary(TWO, a_context()).split("\n")
    (line,) = set(left) - set(whole)

    assert line.startswith(f"{line_start} cannot be shown (OverflowError in test_publish.py")
    assert left[-1] == "Left out: something."


@pytest.mark.parametrize("what", ["annotate_code", "annotate", "summary"])
@pytest.mark.parametrize("outcome", [an_outcome(), FAILED])
def test_failing_part_does_not_prevent_the_others(
    what: str, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setattr(publishing, what, break_down)
    log = runner_log(lambda: publish(a_step(outcome), a_context(), commands, write_summary=True))
    (annotation,) = [(note.level, note.title) for note in log.annotations]
    level = "notice" if outcome.passes else "error"
    words = "DAG run succeeded" if outcome.passes else "DAG run failed"

    assert annotation == (level, f"Result: {outcome.result}" if what == "annotate" else words)
    assert path.exists() is (what != "summary")


def test_failure_is_logged_by_type_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debug logging adds the traceback."""
    monkeypatch.setattr(publishing, "annotate", break_down)

    def printed() -> str:
        return printed_by(
            lambda: publish(a_step(an_outcome()), None, commands, write_summary=False)
        )

    assert "The reason cannot be shown (OverflowError in test_publish.py, line" in printed()
    assert "Traceback" not in printed()
    monkeypatch.setenv("RUNNER_DEBUG", "1")
    assert "::debug::Traceback" in printed()


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"]
)
@pytest.mark.parametrize("context", [None, a_context()])
def test_extreme_dates_of_a_run_are_shown_unchanged(moment: str, context: Context | None) -> None:
    date = datetime.fromisoformat(moment)
    tasks = tuple(a_task(name, start_date=date, end_date=None) for name in ("a", "b"))
    outcome = an_outcome(
        run=a_run(start_date=date, end_date=None), tasks=tasks, seconds_in_state=140.0
    )

    for printed in (summary(outcome, context), plain_summary(outcome, context)):
        assert "cannot be shown" not in printed
        assert f"{moment[:4]}-" in printed
