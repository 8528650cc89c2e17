"""A task that prints and raises whatever might act as a command or as markup, and a very long log,
on real Airflows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.job import fenced, first_screen, verdict
from tests.airflow.scenarios import LINES
from tests.support.markdown import read

if TYPE_CHECKING:
    import pytest

    from tests.airflow.scenario import Stage

COMMANDS = ("::error::x", "::set-output name=a::b", "::add-mask::e", "::stop-commands::x")
MOST_MEMORY = 80
"""MiB that the step's process may take; Airflow 2's log alone has 6 MB."""


def test_nothing_is_obeyed(stage: Stage) -> None:
    """Commands in a task's log and in its exception set no output, hide nothing, annotate nothing,
    and end no fence.
    """
    result = stage["hostile"]

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
    )  # the verdict, and that the connection is not encrypted


def test_it_is_shown_all_the_same(stage: Stage) -> None:
    """What was printed can be read, commands as they are, in the step's log behind a fence;
    terminal codes are taken out.
    """
    result = stage["hostile"]

    relayed = fenced(result)
    assert [command for command in COMMANDS if not any(command in line for line in relayed)] == []
    assert any("## [error]x" in line for line in relayed)
    assert "##[error]" not in result.raw
    assert "\x1b" not in result.raw
    assert "::error::x" in first_screen(result)


def test_the_summary_stays_whole(stage: Stage) -> None:
    """Markup in a task's log and in its exception stays text in fenced blocks, and all that follows
    is there.
    """
    result = stage["hostile"]

    page = read(result.summary)
    assert set(page.markup) <= {"html_block"}
    for opened in ("<script>", "</details><", "<!--", "![x]", "@everyone", "(javascript:"):
        assert (
            result.summary.count(opened) == sum(block.count(opened) for block in page.blocks) > 0
        ), opened
    assert {url.partition("/dags/")[0] for _, url in page.links} <= {
        stage.airflow.url,
        *commits(page.links),
    }
    assert page.headings[-1] == "Tasks: 0 of 1 succeeded"
    assert [row[0] for row in page.tables[-1]] == ["Task", "shout"]
    assert "\x1b" not in result.summary


def commits(links: list[tuple[str, str]]) -> set[str]:
    """The links to GitHub among these."""
    return {url for _, url in links if url.startswith("https://github.com/")}


def test_the_memory_stays_flat(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """However long the log, only its tail is kept."""
    result, peak, lines = (
        stage["hostile"],
        stage.measured["hostile"].mebibytes,
        LINES[stage.airflow.api],
    )

    with capsys.disabled():
        print(
            f"\nAirflow {stage.airflow.version}, a log of {lines:,} lines: {peak:.1f} MiB at most"
        )
    assert len(fenced(result)) < 500
    assert "lines before these are left out" in result.log
    assert peak < MOST_MEMORY
