"""A DAG run with 300 task instances on real Airflows."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.airflow.job import first_screen, verdict
from tests.support.markdown import read

if TYPE_CHECKING:
    import pytest

    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner

FAILED = ["check[2]", "check[5]", "check[8]"]
LARGEST = 1024 * 1024
"""Maximum size of a job summary in bytes, set by GitHub."""
MOST_ASKED = 6
"""Requests for unmet dependencies; only a busy machine needs them."""
MOST_MEMORY = 80
"""MiB for the step's process."""


def requests(result: StepResult) -> Counter[str]:
    """Count the step's requests by kind, from its debug log."""
    paths = re.findall(r"^##\[debug\](?:GET|POST|PATCH) (\S+) answered", result.log, re.MULTILINE)
    return Counter(kind(path) for path in paths)


def kind(path: str) -> str:
    if path.endswith("/taskInstances"):
        return "pages of task instances"
    if path.endswith("/dependencies"):
        return "why one waits"
    if "/taskInstances/" in path:
        return "one task instance"
    return "the run" if "/dagRuns/" in path else "anything else"


def test_all_failed_tasks_are_named_with_their_reasons(scenarios: ScenarioRunner) -> None:
    """All 300 task instances are counted."""
    result = scenarios["wide"]

    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert json.loads(result.outputs["failed_tasks"]) == FAILED
    for text in (verdict(result), first_screen(result)):
        assert [name for name in FAILED if name not in text] == []
        assert [
            number for number in (2, 5, 8) if f"ValueError: Number {number} is wrong" not in text
        ] == []
    assert "Tasks: 297 of 300 succeeded" in result.summary
    assert "Failed: 3 of 300 task instances" in read(result.summary).headings


def test_summary_requests_and_memory_stay_small(
    scenarios: ScenarioRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only failed task instances are requested alone, for their logs."""
    result, peak = scenarios["wide"], scenarios.measured["wide"].mebibytes
    size, sent = len(result.summary.encode()), requests(result)

    with capsys.disabled():
        counts = ", ".join(f"{count} for {what}" for what, count in sorted(sent.items()))
        print(
            f"\nAirflow {scenarios.airflow.version}, 300 task instances: {sent.total()} "
            f"requests ({counts}), "
            f"summary of {size:,} bytes, {peak:.1f} MiB at most"
        )
    assert size < LARGEST
    assert sent["one task instance"] == len(FAILED)
    assert sent["why one waits"] <= MOST_ASKED
    assert 0 < sent["pages of task instances"] <= 4 * sent["the run"]
    assert peak < MOST_MEMORY
