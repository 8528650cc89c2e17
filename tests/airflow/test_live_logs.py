"""`logs: live` with a real Airflow: a steady task, three tries, ten tasks at once, many lines."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner

LINE = re.compile(
    r"^\u2060?([^|\n]+) \| \[.*? - (?:steady|retried \d|many \d|large) line (\d+)\b", re.MULTILINE
)
LINES = {
    "steady": 20,
    **dict.fromkeys(("retried", "retried (try 2)", "retried (try 3)"), 4),
    **{f"many[{index}]": 4 for index in range(10)},
    "large": 2000,
}
REQUEST = re.compile(r"GET (\S+/logs/\d+|\S+/taskInstances) answered")


def test_every_line_is_shown_once_behind_the_name_of_its_task(scenarios: ScenarioRunner) -> None:
    result = scenarios["live"]
    assert result.exit_code == 0, result.log
    shown: dict[str, list[int]] = defaultdict(list)
    for name, number in LINE.findall(result.log):
        shown[name].append(int(number))
    # Python rounds a time stamp up to a second too late now and then, and Airflow 2 sorts by it.
    shown["large"].sort()
    assert shown == {name: list(range(count)) for name, count in LINES.items()}
    assert [note.title for note in result.annotations if "not a command" in note.message] == []


def test_the_end_of_a_try_is_shown_before_the_next(scenarios: ScenarioRunner) -> None:
    log = scenarios["live"].log
    for end, beginning in (
        ("retried | ValueError: try 1", "retried (try 2) |"),
        ("retried (try 2) | ValueError: try 2", "retried (try 3) |"),
    ):
        assert 0 < log.rindex(end) < log.index(beginning)


def test_live_logs_take_few_requests_and_little_memory(scenarios: ScenarioRunner) -> None:
    """Each of the 15 tries takes one request at least, most of them after the run."""
    log = scenarios["live"].log
    assert len(REQUEST.findall(log)) <= 45
    assert scenarios.measured["live"].mebibytes < 48
