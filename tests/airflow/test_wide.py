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
    from tests.airflow.scenario import Stage

FAILED = ["check[2]", "check[5]", "check[8]"]
LARGEST = 1024 * 1024
"""Bytes that GitHub takes of a job summary."""
MOST_ASKED = 6
"""Task instances of which Airflow is asked why they do not start, if none does for a while: on a
busy machine only.
"""
MOST_MEMORY = 80
"""MiB that the step's process may take."""


def requests(result: StepResult) -> Counter[str]:
    """How many requests the step sent, by what they asked for, as its debug log says."""
    paths = re.findall(r"^##\[debug\](?:GET|POST|PATCH) (\S+) answered", result.log, re.MULTILINE)
    return Counter(kind(path) for path in paths)


def kind(path: str) -> str:
    """What a request asks for."""
    if path.endswith("/taskInstances"):
        return "pages of task instances"
    if path.endswith("/dependencies"):
        return "why one waits"
    if "/taskInstances/" in path:
        return "one task instance"
    return "the run" if "/dagRuns/" in path else "anything else"


def test_all_failures_are_named(stage: Stage) -> None:
    """Of 300 task instances the three that failed are named with their reasons, and all are
    counted.
    """
    result = stage["wide"]

    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert json.loads(result.outputs["failed_tasks"]) == FAILED
    for told in (verdict(result), first_screen(result)):
        assert [name for name in FAILED if name not in told] == []
        assert [
            number for number in (2, 5, 8) if f"ValueError: Number {number} is wrong" not in told
        ] == []
    assert "Tasks: 297 of 300 succeeded" in result.summary
    assert "Failed: 3 of 300 task instances" in read(result.summary).headings


def test_it_stays_small(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Summary, requests and memory stay small: no task instance is asked for alone but for the log
    of a failed one.
    """
    result, peak = stage["wide"], stage.measured["wide"].mebibytes
    size, sent = len(result.summary.encode()), requests(result)

    with capsys.disabled():
        counts = ", ".join(f"{count} for {what}" for what, count in sorted(sent.items()))
        print(
            f"\nAirflow {stage.airflow.version}, 300 task instances: {sent.total()} "
            f"requests ({counts}), "
            f"summary of {size:,} bytes, {peak:.1f} MiB at most"
        )
    assert size < LARGEST
    assert sent["one task instance"] == len(FAILED)
    assert sent["why one waits"] <= MOST_ASKED
    assert 0 < sent["pages of task instances"] <= 4 * sent["the run"]
    assert peak < MOST_MEMORY
