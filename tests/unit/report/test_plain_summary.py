"""The job summary as plain text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from entrypoint.errors import ActionError
from entrypoint.models import Failure, Outcome
from entrypoint.report.plain_summary import plain_summary
from tests.support.factories import RUN_URL, SHA, START, a_context, a_run, a_task, an_outcome

LOAD = a_task("load", state="failed", map_index=3, duration=62.0, try_number=2)
FAILED = an_outcome(
    result="failed",
    run=a_run(state="failed", start_date=START, end_date=START + timedelta(seconds=70)),
    tasks=(a_task("extract"), LOAD, a_task("join", state="upstream_failed")),
    failures=(Failure(LOAD, "KeyError: 'x'"),),
)


def test_success_lists_result_facts_and_tasks() -> None:
    lines = plain_summary(an_outcome(), a_context()).split("\n")

    assert lines[:2] == ["DAG run succeeded: nightly_sales", "=" * 32]
    assert f"DAG run: {RUN_URL}" in lines
    assert {
        "DAG               nightly_sales",
        f"Commit            {SHA[:12]}",
        "State in Airflow  success",
    } <= set(lines)
    assert lines[-2:] == ["Tasks: 1 of 1 succeeded", "  extract  success          4.2 s"]


def test_failure_begins_with_reason_and_hint() -> None:
    lines = plain_summary(FAILED, a_context()).split("\n")

    assert lines[2].startswith("load[3] failed")
    assert "KeyError" in lines[2]
    assert any(line.startswith("What to do next: ") for line in lines[:6])
    assert lines[-4] == "Tasks: 1 of 3 succeeded"
    assert lines[-3].split() == ["load[3]", "failed", "1", "m", "02", "s", "try", "2"]
    assert lines[-2].startswith("  join     not started")


@pytest.mark.parametrize("word", ["`", "|", "<", "**", "[load", "mermaid"])
def test_plain_summary_has_no_markdown(word: str) -> None:
    assert word not in plain_summary(FAILED, a_context())


def test_error_before_any_run_has_title_evidence_and_hint_only() -> None:
    outcome = Outcome(
        result="error",
        error=ActionError("Inputs are wrong", "dag_id: it is empty.\nconf: no JSON.", "Fix it."),
    )

    assert plain_summary(outcome, None).split("\n") == [
        "Inputs are wrong",
        "================",
        "dag_id: it is empty.",
        "conf: no JSON.",
        "What to do next: Fix it.",
    ]


def test_long_task_list_is_bounded_with_all_failures_named() -> None:
    tasks = tuple(
        a_task("load", map_index=n, state="failed" if n < 150 else "success") for n in range(500)
    )
    seen = plain_summary(an_outcome(tasks=tasks, unread=4500, unread_succeeded=4500), None)

    assert "Tasks: 4850 of 5000 succeeded" in seen
    assert "All that failed: load[0-149]" in seen
    assert "4900 more task instances are not shown here" in seen
    assert sum(line.startswith("  load[") for line in seen.split("\n")) == 100


def test_disabled_features_are_named() -> None:
    assert plain_summary(an_outcome(disabled_features=("Left out: logs.",)), None).endswith(
        "\n\nLeft out: logs."
    )


def test_unknown_commit_has_no_line() -> None:
    assert "Commit" not in plain_summary(an_outcome(), a_context(sha="", commit_url=""))
