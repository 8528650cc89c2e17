"""The tables of docs/benchmarks.md, from the saved figures. Pure, except `write`.

The text above the mark in that file is written by hand, and stays.
"""

from __future__ import annotations

from itertools import chain
from statistics import mean, median
from textwrap import wrap
from typing import TYPE_CHECKING

from dev.bench.figures import FIGURES
from dev.bench.targets import table as targets_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from dev.bench.results import Result, Row

MARK = "<!-- Below this line: written by `python -m dev.bench table` -->"
ORDER = (
    "start",
    "trigger",
    "5s",
    "30s",
    "10min",
    "10min-airflow-2",
    "server",
    "waiters-50",
    "waiters-100",
    "large",
    "outage",
    "listener",
)


def write(document: Path, results: Mapping[str, Result]) -> None:
    """Replace the text below the mark.

    Raises:
        ValueError: if there is no mark
    """
    above, mark, _ = document.read_text().partition(MARK)
    if not mark:
        raise ValueError(f"{document.name} lacks the line {MARK}")
    lines = chain.from_iterable(map(_wrapped, sections(results)))
    document.write_text("\n".join([f"{above}{MARK}", *lines]) + "\n")


def _wrapped(line: str) -> list[str]:
    """Return a line of prose as lines of at most 100 columns; a table row stays as it is."""
    if line.startswith("|"):
        return [line]
    return wrap(line, 100, break_long_words=False, break_on_hyphens=False) or [line]


def sections(results: Mapping[str, Result]) -> Iterable[str]:
    """Yield the lines of the targets and of all measured scenes."""
    yield from ["", "## Targets", "", *targets_table(results)]
    for name in sorted(
        results, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)
    ):
        yield from _section(results[name])


def _section(result: Result) -> Iterable[str]:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield from [
        "",
        f"## {result.title}",
        "",
        f"{result.date}, {result.minutes:.0f} min. {versions}.",
        "",
    ]
    for note in result.notes:
        yield from [note, ""]
    names = [name for name in FIGURES if any(name in row.figures for row in result.rows.values())]
    yield from _table(["", *(FIGURES[name].label for name in names)], _cells(result.rows, names))
    if base := result.rows.get(result.base or ""):
        ratios = [name for name in names if FIGURES[name].ratio]
        rows = {name: row for name, row in result.rows.items() if row is not base}
        yield from ["", f"As multiples of {result.base}:", ""]
        yield from _table(
            ["", *(FIGURES[name].label for name in ratios)], _ratios(rows, base, ratios)
        )
    kinds = {
        name: row
        for name, row in result.rows.items()
        if name.startswith("this action") or result.base is None
    }
    yield from _kinds(kinds)
    yield from _faults(result.rows)


def _cells(rows: Mapping[str, Row], names: Sequence[str]) -> Iterable[list[str]]:
    for name, row in rows.items():
        yield [name, *(spread(row.figures.get(each, []), FIGURES[each].digits) for each in names)]


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median, with the minimum and the maximum if they differ when formatted."""
    if not values:
        return "-"
    middle, low, high = (
        f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def _ratios(rows: Mapping[str, Row], base: Row, names: Sequence[str]) -> Iterable[list[str]]:
    for name, row in rows.items():
        yield [
            name,
            *(ratio(row.figures.get(each, []), base.figures.get(each, [])) for each in names),
        ]


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Return the ratio of the medians."""
    if not values or not base or not median(base):
        return "-"
    return f"{median(values) / median(base):.2f}"


def _kinds(rows: Mapping[str, Row]) -> Iterable[str]:
    for name, row in rows.items():
        if row.kinds:
            every = dict.fromkeys(kind for counts in row.kinds for kind in counts)
            means = {kind: mean(counts.get(kind, 0) for counts in row.kinds) for kind in every}
            counts = ", ".join(
                f"{count:.3g} {kind}"
                for kind, count in sorted(means.items(), key=lambda item: -item[1])
            )
            yield from ["", f"Requests of {name}, on average: {counts}."]


def _faults(rows: Mapping[str, Row]) -> Iterable[str]:
    for name, row in rows.items():
        if row.faults:
            last = row.faults[0].strip().splitlines()[-1][:200]
            yield from [
                "",
                (f"**{name}: {len(row.faults)} failed**, the first one: `{last.replace('`', '')}`"),
            ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
