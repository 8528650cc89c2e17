"""The table of performance targets."""

from __future__ import annotations

import pytest

from dev.bench.results import Result, Row
from dev.bench.targets import TARGETS, Target, table


def results_with(**rows: list[float]) -> dict[str, Result]:
    scored = {name: Row({"cpu": values}) for name, values in rows.items()}
    return {"30s": Result("30s", "A run", "2026-11-28", 1.0, {}, [], scored)}


@pytest.mark.parametrize(
    ("rows", "beside", "measured"),
    [
        ({"us": [1.0, 9.0, 2.0]}, None, 2.0),
        ({"us": [1.0], "them": [4.0]}, "them", 0.25),
        ({"us": [1.0]}, "them", None),
        ({"us": [1.0], "them": [0.0]}, "them", None),
        ({}, None, None),
    ],
)
def test_target_is_compared_with_our_median_or_a_ratio(
    rows: dict[str, list[float]], beside: str | None, measured: float | None
) -> None:
    assert (
        Target("CPU", 1.0, "30s", "cpu", row="us", beside=beside).measured(results_with(**rows))
        == measured
    )


def test_target_without_a_measurement_has_no_row() -> None:
    assert len(list(table({}))) == 2


def test_figure_up_to_the_target_meets_it() -> None:
    target = next(one for one in TARGETS if one.figure == "cpu" and one.scene == "30s")
    assert target.beside is not None
    for ours, word in ((target.most, "| met |"), (target.most + 0.01, "| **missed** |")):
        assert list(table(results_with(**{target.row: [ours], target.beside: [1.0]})))[-1].endswith(
            word
        )
