"""The figures by tool, one JSON file per scene, so that scenes can run separately.

It must not know how anything is measured.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from dev.bench.install import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

RESULTS = FOLDER / "results"


@dataclass(slots=True)
class Row:
    """One tool's figures, each a list with a value per repetition or waiter.

    Attributes:
        figures: values by the names in `dev.bench.figures`
        kinds: number of requests by kind, of each repetition
        faults: failures, a line each
    """

    figures: dict[str, list[float]] = field(default_factory=dict)
    kinds: list[dict[str, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, name: str, value: float | None) -> None:
        """Add a value to a figure; None adds nothing."""
        if value is not None:
            self.figures.setdefault(name, []).append(value)


@dataclass(slots=True)
class Result:
    """One scene's result. The other rows are compared with the row `base`."""

    scene: str
    title: str
    date: str
    minutes: float
    versions: dict[str, str]
    notes: list[str]
    rows: dict[str, Row]
    base: str | None = None

    def save(self, folder: Path = RESULTS) -> None:
        """Save it, in place of the scene's previous result."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.scene}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(folder: Path = RESULTS) -> dict[str, Result]:
    """Return all saved results by scene."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text())
        content["rows"] = {name: Row(**row) for name, row in content["rows"].items()}
        found[file.stem] = Result(**content)
    return found
