"""The verdicts and the table of `make why`, and its part of docs/why.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import ROOT
from dev.why.cases import CASES, TOOLS, Outcome
from dev.why.page import BEGIN, END, Measurement, describe, lines, load, save, write
from tests.support.doc_pages import sections

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "why.md"


@pytest.mark.parametrize(
    ("case", "right", "wrong"),
    [
        (
            "failed",
            [Outcome(1, 5, ("failed",))],
            [Outcome(0, 5, ("failed",)), Outcome(1, 5, ("running",))],
        ),
        (
            "bad-gateway",
            [Outcome(0, 5, ("success",))],
            [Outcome(22, 5, ("success",)), Outcome(0, 5, ("running",)), Outcome(0, 5, ())],
        ),
        (
            "lost-response",
            [Outcome(0, 5, ("success",)), Outcome(1, 5, ("success",), rerun=0)],
            [Outcome(0, 5, ("success", "success")), Outcome(1, 5, ("success",), rerun=1)],
        ),
        ("cancel", [Outcome(1, 5, ("failed",))], [Outcome(143, 5, ("running",))]),
        ("timeout", [Outcome(1, 5, ("running",))], [Outcome(0, 5, ("running",))]),
        (
            "paused",
            [Outcome(1, 5, ()), Outcome(0, 5, ("success",), unpaused=True)],
            [Outcome(None, 60, ("queued",)), Outcome(1, 5, ("queued",))],
        ),
        ("wrong-id", [Outcome(22, 5, ())], [Outcome(0, 5, ())]),
    ],
)
def test_an_outcome_is_judged_by_its_exit_code_and_its_runs(
    case: str, right: list[Outcome], wrong: list[Outcome]
) -> None:
    assert [CASES[case].right(one) for one in right] == [True] * len(right)
    assert [CASES[case].right(one) for one in wrong] == [False] * len(wrong)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(0, 5, ("success",)), "exit 0; 1 run succeeded"),
        (
            Outcome(52, 5, ("running", "success"), rerun=0),
            "exit 52, re-run exit 0; 1 run still running, 1 run succeeded",
        ),
        (Outcome(1, 5, ()), "exit 1; no run"),
        (
            Outcome(0, 5, ("success", "success"), unpaused=True),
            "exit 0; 2 runs succeeded; DAG left unpaused",
        ),
        (Outcome(None, 60.2, ("queued",)), "still waiting after 60 s; 1 run still queued"),
    ],
)
def test_an_outcome_is_described(outcome: Outcome, text: str) -> None:
    assert describe(outcome) == text


def test_saved_outcomes_become_the_part_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "why.md"
    page.write_text(f"Above\n{BEGIN}\nearlier table\n{END}\nBelow\n")
    outcome = Outcome(0, 5.0, ("failed",))
    save(tmp_path, "failed", "af", Measurement("2026-11-29", "0.9.1", "3.3.2", outcome))

    write(page, load(tmp_path))

    text = page.read_text()
    assert "earlier table" not in text
    assert text.startswith(f"Above\n{BEGIN}\n")
    assert text.endswith(f"{END}\nBelow\n")
    assert "Measured 2026-11-29 on Airflow 3.3.2" in text
    assert "| - | **exit 0; 1 run failed** | - |" in text
    with pytest.raises(ValueError, match="marks"):
        write(tmp_path / "failed.af.json", load(tmp_path))


def test_the_page_has_every_case_and_every_tool_and_this_action_is_right() -> None:
    """A case without a section, or an unmeasured one, is a gap in the page."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    titles = [case.title for case in CASES.values()]
    explained = [one.title for one in sections(PAGE) if one.level == 3]

    assert [row[0].partition("]")[0].lstrip("[") for row in rows[1:]] == titles == explained
    assert {len(row) for row in rows} == {len(TOOLS) + 1}
    assert [row for row in rows if "-" in row] == []
    assert [row[-1] for row in rows if "**" in row[-1]] == []


def test_a_missing_measurement_is_a_dash() -> None:
    outcome = Outcome(1, 5.0, ("failed",))
    measured = {("failed", "curl"): Measurement("2026-11-29", "8.0", "3.3.2", outcome)}

    (row,) = [line for line in lines(measured) if "Exit 0 although" in line]

    assert row.endswith("| exit 1; 1 run failed | - | - | - | - |")
