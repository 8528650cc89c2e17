"""The project's performance targets and the measured values. Pure.

They are the report's first table. It must not know how a figure is measured, only its scene and
row.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

from dev.bench.tools import AF, ON_BASE, PARADIME, SCRIPT, THIS_ACTION, WITHOUT_LOGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dev.bench.results import Result

_US, _THEM = THIS_ACTION.name, SCRIPT.name
_MANY = "waiters-100"
_CROWD = 100  # number of waiters
_STOP = "graceful stop, back at once"


@dataclass(frozen=True, slots=True)
class Target:
    """A maximum for a figure of this action, absolute or in relation to another row.

    Attributes:
        text: description with the unit
        most: the maximum
        scene: name of the scene
        figure: name of the figure
        row: name of the row
        beside: name of the row to divide by
        of: combines the values of a figure
    """

    text: str
    most: float
    scene: str
    figure: str
    row: str = _US
    beside: str | None = None
    of: Callable[[Sequence[float]], float] = median

    def measured(self, results: Mapping[str, Result]) -> float | None:
        """Return the measured value; None if there is none."""
        rows = results[self.scene].rows if self.scene in results else {}
        ours, theirs = (
            [*rows[name].figures.get(self.figure, [])] if name in rows else []
            for name in self._names
        )
        if not ours or (self.beside and not (theirs and self.of(theirs))):
            return None
        return self.of(ours) / self.of(theirs) if self.beside else self.of(ours)

    @property
    def _names(self) -> tuple[str, str]:
        return self.row, self.beside or self.row


TARGETS = (
    Target("what a runner pulls, compressed, MB", 16, "start", "compressed"),
    Target("CPU until everything is imported, in the container, s", 0.25, "start", "imports"),
    Target(
        "`docker run` with an input mistake, multiples of the whole base",
        0.5,
        "start",
        "refused",
        beside=ON_BASE,
    ),
    Target(
        f"CPU to the trigger POST, in the container, multiples of the {_THEM}",
        1.4,
        "trigger",
        "cpu_in_container",
        beside=_THEM,
    ),
    Target(f"the same, of {AF.name}", 0.2, "trigger", "cpu_in_container", beside=AF.name),
    Target(
        f"the same, of {PARADIME.name}", 0.2, "trigger", "cpu_in_container", beside=PARADIME.name
    ),
    Target(f"CPU of a 30 s run, multiples of the {_THEM}", 2.0, "30s", "cpu", beside=_THEM),
    Target("end of a 30 s run seen after, mean s", 0.8, "30s", "seen_after", of=mean),
    Target("end of a 10 min run seen after, mean s", 1.5, "10min", "seen_after", of=mean),
    Target("requests of a 10 min run", 45, "10min", "requests"),
    Target("the same with logs: none", 18, "10min", "requests", row=WITHOUT_LOGS.name),
    Target(
        f"on Airflow 2.11, multiples of the {_THEM}",
        0.6,
        "10min-airflow-2",
        "requests",
        beside=_THEM,
    ),
    Target(
        f"its end seen after, multiples of the {_THEM}",
        1.0,
        "10min-airflow-2",
        "seen_after",
        beside=_THEM,
        of=mean,
    ),
    Target(
        "peak memory with 5,000 task instances, MiB",
        36,
        "large",
        "peak",
        row="5,000 task instances",
        of=max,
    ),
    Target("peak memory with a log of 5 MB, MiB", 36, "large", "peak", row="a log of 5 MB", of=max),
    Target(
        "peak memory with both, MiB",
        36,
        "large",
        "peak",
        row="5,000 task instances and a log of 5 MB",
        of=max,
    ),
    Target(f"{_CROWD} waiters: wrong results", 0, _MANY, "wrong", of=sum),
    Target(f"{_CROWD} waiters: failed requests in their logs", 0, _MANY, "retries", of=sum),
    Target(f"{_CROWD} waiters: another client's GET at p95, ms", 100, _MANY, "p95"),
    *(
        Target(f"api-server {row}: wrong results", 0, "outage", "wrong", row=row)
        for row in ("frozen for 5 min", "killed, back after 5 min", _STOP)
    ),
    Target(
        "api-server gone after SIGTERM (11 s alone) and one slice of 70 s, s",
        81,
        "outage",
        "gone_after",
        row=_STOP,
    ),
)


def table(results: Mapping[str, Result]) -> Iterator[str]:
    """Yield the lines of a Markdown table of the measured targets."""
    yield from ["| figure | at most | measured | |", "|---|---|---|---|"]
    for target in TARGETS:
        measured = target.measured(results)
        if measured is not None:
            status = "met" if measured <= target.most else "**missed**"
            yield f"| {target.text} | {target.most:g} | {measured:.3g} | {status} |"
