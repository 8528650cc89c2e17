"""The tables of the benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.bench.report import MARK, ratio, sections, spread, write
from dev.bench.results import Result, Row, load
from dev.bench.scenes_runs import offsets

if TYPE_CHECKING:
    from pathlib import Path


def result_with_one_failure(scene: str = "30s") -> Result:
    rows = {
        "this action": Row(
            {"cpu": [0.3, 0.2, 0.4], "requests": [9]}, kinds=[{"token": 1}, {"token": 2}]
        ),
        "script": Row({"cpu": [0.1], "requests": [10]}, faults=["exit code 1\nlast `words`"]),
    }
    return Result(
        scene,
        "A run",
        "2026-11-28",
        3.2,
        {"Airflow": "3.3.2"},
        ["How it was done."],
        rows,
        "script",
    )


@pytest.mark.parametrize(
    ("values", "digits", "text"),
    [
        ([], 1, "-"),
        ([2.0], 0, "2"),
        ([1.0, 3.0, 2.0], 1, "2.0 (1.0 to 3.0)"),
        ([1.01, 1.04], 1, "1.0"),
        ([4321.0], 0, "4,321"),
    ],
)
def test_cell_shows_the_median_and_the_range(values: list[float], digits: int, text: str) -> None:
    assert spread(values, digits) == text


def test_ratio_is_that_of_the_medians() -> None:
    assert ratio([1.0, 3.0, 2.0], [4.0]) == "0.50"
    assert ratio([], [4.0]) == ratio([1.0], []) == ratio([1.0], [0.0]) == "-"


def test_section_shows_figures_ratios_requests_and_failures() -> None:
    text = "\n".join(sections({"30s": result_with_one_failure()}))

    assert "| this action | 0.30 (0.20 to 0.40) | 9 |" in text
    assert "| this action | 3.00 | 0.90 |" in text
    assert "Requests of this action, on average: 1.5 token." in text
    assert "**script: 1 failed**, the first one: `last words`" in text


def test_unknown_scenarios_come_last() -> None:
    text = "\n".join(
        sections({name: result_with_one_failure(name) for name in ("new", "large", "5s")})
    )

    assert text.count("## A run") == 3


def test_only_the_part_below_the_mark_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"By hand\n\n{MARK}\nold\n")
    write(document, {"30s": result_with_one_failure()})

    assert document.read_text().startswith(f"By hand\n\n{MARK}\n\n## Targets\n")
    assert "## A run" in document.read_text()
    assert "old" not in document.read_text()
    document.write_text("By hand")
    with pytest.raises(ValueError, match="lacks the line"):
        write(document, {})


def test_saved_results_are_loaded_unchanged(tmp_path: Path) -> None:
    result_with_one_failure().save(tmp_path)

    assert load(tmp_path) == {"30s": result_with_one_failure()}


def test_offsets_are_spread_evenly_over_one_pause_of_a_5s_loop() -> None:
    assert offsets(1) == [0.0]
    assert offsets(5) == pytest.approx([-2.0, -1.0, 0.0, 1.0, 2.0])
