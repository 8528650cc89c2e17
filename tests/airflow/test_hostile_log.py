"""A task that prints and raises commands and markup, and a very long log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.job import fenced, first_screen, verdict
from tests.airflow.scenarios import LINES
from tests.support.markdown import read

if TYPE_CHECKING:
    import pytest

    from tests.airflow.scenario import ScenarioRunner

COMMANDS = ("::error::x", "::set-output name=a::b", "::add-mask::e", "::stop-commands::x")
MOST_MEMORY = 80
"""MiB for the step's process; the log of Airflow 2 alone has 6 MB."""


def test_no_command_in_a_tasks_log_or_exception_takes_effect(scenarios: ScenarioRunner) -> None:
    result = scenarios["hostile"]

    assert (result.exit_code, result.conclusion, result.outputs["result"]) == (
        1,
        "failure",
        "failed",
    ), result.log[-5000:]
    assert result.unexpected_commands == ()
    assert "a" not in result.outputs
    assert not {"e", "x"} & result.masks
    assert verdict(result).startswith("DAG run failed: shout failed: RuntimeError")
    assert len(result.annotations) == 2, (
        result.annotations
    )  # the result, and the warning about http


def test_the_log_shows_commands_unchanged_between_stop_commands(scenarios: ScenarioRunner) -> None:
    """Without terminal codes."""
    result = scenarios["hostile"]

    relayed = fenced(result)
    assert [command for command in COMMANDS if not any(command in line for line in relayed)] == []
    assert any("## [error]x" in line for line in relayed)
    assert "##[error]" not in result.raw
    assert "\x1b" not in result.raw
    assert "::error::x" in first_screen(result)


def test_markup_in_a_log_or_exception_stays_text_in_the_summary(scenarios: ScenarioRunner) -> None:
    result = scenarios["hostile"]

    page = read(result.summary)
    assert set(page.markup) <= {"html_block"}
    for auth_services in ("<script>", "</details><", "<!--", "![x]", "@everyone", "(javascript:"):
        assert (
            result.summary.count(auth_services)
            == sum(block.count(auth_services) for block in page.blocks)
            > 0
        ), auth_services
    assert {url.partition("/dags/")[0] for _, url in page.links} <= {
        scenarios.airflow.url,
        *commits(page.links),
    }
    assert page.headings[-1] == "Tasks: 0 of 1 succeeded"
    assert [row[0] for row in page.tables[-1]] == ["Task", "shout"]
    assert "\x1b" not in result.summary


def commits(links: list[tuple[str, str]]) -> set[str]:
    """Return the links to GitHub among these."""
    return {url for _, url in links if url.startswith("https://github.com/")}


def test_only_the_tail_of_a_long_log_is_kept_in_memory(
    scenarios: ScenarioRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    result, peak, lines = (
        scenarios["hostile"],
        scenarios.measured["hostile"].mebibytes,
        LINES[scenarios.airflow.api],
    )

    with capsys.disabled():
        print(f"\nAirflow {scenarios.airflow.version}, log of {lines:,} lines: {peak:.1f} MiB")
    assert len(fenced(result)) < 500
    assert "earlier lines are left out" in result.log
    assert peak < MOST_MEMORY
