"""What the benchmark's first table says of the promises."""

from __future__ import annotations

import pytest

from dev.bench.results import Result, Row
from dev.bench.targets import PROMISES, Promise, table


def results(**rows: list[float]) -> dict[str, Result]:
    """One scene in which each of these rows has a CPU figure."""
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
def test_what_was_measured(
    rows: dict[str, list[float]], beside: str | None, measured: float | None
) -> None:
    """A promise is about our median, alone or in relation to somebody else's, if both were
    measured.
    """
    assert (
        Promise("CPU", 1.0, "30s", "cpu", row="us", beside=beside).measured(results(**rows))
        == measured
    )


def test_nothing_was_measured() -> None:
    """What was not measured has no line: it is neither kept nor broken."""
    assert len(list(table({}))) == 2


def test_kept_and_not_kept() -> None:
    """A figure that is at most what was promised is kept, one above is not."""
    promise = next(one for one in PROMISES if one.figure == "cpu" and one.scene == "30s")
    assert promise.beside is not None
    for ours, word in ((promise.most, "| kept |"), (promise.most + 0.01, "| **not kept** |")):
        assert list(table(results(**{promise.row: [ours], promise.beside: [1.0]})))[-1].endswith(
            word
        )
