"""What the benchmark's tables show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.bench.report import MARK, ratio, sections, spread, write
from dev.bench.results import Result, Row, load
from dev.bench.scenes_runs import offsets

if TYPE_CHECKING:
    from pathlib import Path


def result(scene: str = "30s") -> Result:
    """Two contestants, of whom one failed once."""
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
def test_spread(values: list[float], digits: int, text: str) -> None:
    """A cell shows the median, and the range if there is one."""
    assert spread(values, digits) == text


def test_ratio() -> None:
    """A ratio is that of the medians, if there are two."""
    assert ratio([1.0, 3.0, 2.0], [4.0]) == "0.50"
    assert ratio([], [4.0]) == ratio([1.0], []) == ratio([1.0], [0.0]) == "-"


def test_a_section() -> None:
    """A scene has its figures, its ratios, its requests and what went wrong."""
    text = "\n".join(sections({"30s": result()}))

    assert "| this action | 0.30 (0.20 to 0.40) | 9 |" in text
    assert "| this action | 3.00 | 0.90 |" in text
    assert "Requests of this action, on average: 1.5 token." in text
    assert "**script: 1 went wrong**, the first one: `last words`" in text


def test_order() -> None:
    """Scenes stand in the order of the issue, and unknown ones behind."""
    text = "\n".join(sections({name: result(name) for name in ("new", "large", "5s")}))

    assert text.count("## A run") == 3


def test_the_document(tmp_path: Path) -> None:
    """What stands above the mark stays, what stands below is replaced."""
    document = tmp_path / "benchmarks.md"
    document.write_text(f"By hand\n\n{MARK}\nold\n")
    write(document, {"30s": result()})

    assert document.read_text().startswith(f"By hand\n\n{MARK}\n\n## What is promised\n")
    assert "## A run" in document.read_text()
    assert "old" not in document.read_text()
    document.write_text("By hand")
    with pytest.raises(ValueError, match="lacks the line"):
        write(document, {})


def test_results_are_kept(tmp_path: Path) -> None:
    """What is saved is what is loaded."""
    result().save(tmp_path)

    assert load(tmp_path) == {"30s": result()}


def test_offsets() -> None:
    """The ends of the repetitions are spread evenly over one pause of a 5 s loop, around no
    offset.
    """
    assert offsets(1) == [0.0]
    assert offsets(5) == pytest.approx([-2.0, -1.0, 0.0, 1.0, 2.0])
