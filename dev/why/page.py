"""The table of docs/why.md, from the saved outcomes. Pure, except `save`, `load` and `write`.

The text outside the marks in that page is written by hand, and stays.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from dev.why.cases import ACTIVE, CASES, TOOLS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

BEGIN = "<!-- Begin: written by `make why` -->"
END = "<!-- End: written by `make why` -->"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one tool did in one case, and when.

    Attributes:
        date: day of the measurement
        version: the tool's version
        airflow: Airflow's version
        outcome: what it did
    """

    date: str
    version: str
    airflow: str
    outcome: Outcome


Results = dict[tuple[str, str], Measurement]
"""Measurements by the names of case and tool."""


def save(folder: Path, case: str, tool: str, measured: Measurement) -> None:
    """Save a measurement, in place of the earlier one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{case}.{tool}.json").write_text(json.dumps(asdict(measured), indent=1) + "\n")


def load(folder: Path) -> Results:
    """Return all saved measurements."""
    found = {}
    for file in folder.glob("*.json"):
        case, tool, _ = file.name.split(".")
        content = json.loads(file.read_text())
        outcome = content.pop("outcome")
        outcome["states"] = tuple(outcome["states"])
        found[case, tool] = Measurement(outcome=Outcome(**outcome), **content)
    return found


def write(page: Path, results: Results) -> None:
    """Replace the part between the marks.

    Raises:
        ValueError: if a mark is missing
    """
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page.name} lacks the marks of its table")
    table = "\n".join([BEGIN, "", *lines(results), "", END])
    page.write_text(pattern.sub(lambda _: table, text), encoding="utf-8")


def lines(results: Mapping[tuple[str, str], Measurement]) -> Iterable[str]:
    """Yield the lines of the table: a row per case, a column per tool."""
    airflows = sorted({one.airflow for one in results.values()})
    dates = sorted({one.date for one in results.values()})
    days = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    yield f"Measured {days} on Airflow {', '.join(airflows)}. Bold: the wrong outcome."
    yield ""
    yield f"| what may go wrong | {' | '.join(_heading(tool, results) for tool in TOOLS)} |"
    yield f"|{'---|' * (len(TOOLS) + 1)}"
    for case in CASES:
        cells = [_cell(case, results.get((case, tool))) for tool in TOOLS]
        anchor = re.sub(r"[^\w-]", "", CASES[case].title.lower().replace(" ", "-"))
        yield f"| [{CASES[case].title}](#{anchor}) | {' | '.join(cells)} |"


def _heading(tool: str, results: Mapping[tuple[str, str], Measurement]) -> str:
    versions = sorted({one.version for (_, name), one in results.items() if name == tool})
    return " ".join([TOOLS[tool].name, *versions]).strip()


def _cell(case: str, measured: Measurement | None) -> str:
    if measured is None:
        return "-"
    text = describe(measured.outcome)
    return text if CASES[case].right(measured.outcome) else f"**{text}**"


def describe(outcome: Outcome) -> str:
    """Return what a tool did, in a few words."""
    if outcome.exit_code is None:
        ended = f"still waiting after {outcome.seconds:.0f} s"
    else:
        ended = f"exit {outcome.exit_code}"
    if outcome.rerun is not None:
        ended += f", re-run exit {outcome.rerun}"
    counted = Counter(_plain(state) for state in outcome.states)
    runs = ", ".join(
        f"{count} {'run' if count == 1 else 'runs'} {state}" for state, count in counted.items()
    )
    unpaused = ["DAG left unpaused"] if outcome.unpaused else []
    return "; ".join([ended, runs or "no run", *unpaused])


def _plain(state: str) -> str:
    return f"still {state}" if state in ACTIVE else {"success": "succeeded"}.get(state, state)
