"""The line in a DAG run's note that tells Airflow's listener (`listener/`) where to report the
run's end. Pure.

Whoever may trigger a DAG run may write such a line. So it names no status: what it is called
follows from the DAG, and only one that was begun for this very run is ever moved.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from entrypoint.models import CANCELLED_MARK
from entrypoint.text import cut

_PREFIX = "airflow-dag-run: "
_FORMATS = {
    "airflow": re.compile(r"https?://[!#-\[\]-~]{1,200}"),
    "api_url": re.compile(r"https?://[!#-\[\]-~]{1,100}"),
    "repository": re.compile(r"(?!\.{1,2}/)[\w.-]{1,40}/(?!\.{1,2}$)[\w.-]{1,100}", re.ASCII),
    "commit": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"),
}
_MAX_ENVIRONMENT_CHARS = 255
_MAX_NOTE_CHARS = 1000
"""Characters that Airflow stores."""


class Marker(NamedTuple):
    """Where the end of a DAG run is reported.

    Attributes: airflow: the base URL of the Airflow that has the run, in its canonical form:
        another one may have a run of that name. api_url: GitHub's API. repository: as owner/name.
        commit: the whole SHA. environment: of the deployment that stands for the run; None: a
        commit status does.
    """

    airflow: str
    api_url: str
    repository: str
    commit: str
    environment: str | None


def note_with_marker(note: str | None, marker: Marker) -> str:
    """Return the note with the marker below it. It leaves room for the mark of a cancelled
    workflow, or keeps it.
    """
    text = (note or "").replace(CANCELLED_MARK, "")
    end = f"\n{CANCELLED_MARK}" if CANCELLED_MARK in (note or "") else ""
    if any(map(_is_marker, text.splitlines())):
        # Two would be none: neither would be believed.
        text = "\n".join(one for one in text.splitlines() if not _is_marker(one))
    line = _line(marker)
    room = _MAX_NOTE_CHARS - len(line) - len(CANCELLED_MARK) - 3
    return f"{cut(text.rstrip(), room)}\n{line}".lstrip() + end


def parse_marker(note: str | None) -> Marker | None:
    """Return the note's marker; None if it has none, more than one, or one that no action
    writes.
    """
    lines = list(filter(_is_marker, (note or "").splitlines()))
    if len(lines) != 1:
        return None
    try:
        found = json.loads(lines[0].removeprefix(_PREFIX))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) - {"environment"} != set(_FORMATS):
        return None
    if not all(isinstance(value, str) for value in found.values()):
        return None
    if not all(shape.fullmatch(found[name]) for name, shape in _FORMATS.items()):
        return None
    marker = Marker(
        found["airflow"],
        found["api_url"],
        found["repository"],
        found["commit"],
        found.get("environment"),
    )
    # As this module would have written it: no name twice, no environment that the input would
    # refuse.
    sane = marker.environment is None or (
        0 < len(marker.environment) <= _MAX_ENVIRONMENT_CHARS and marker.environment.isprintable()
    )
    return marker if sane and _line(marker) == lines[0] else None


def _is_marker(line: str) -> bool:
    return line.startswith(_PREFIX)


def _line(marker: Marker) -> str:
    known = {name: value for name, value in marker._asdict().items() if value is not None}
    return f"{_PREFIX}{json.dumps(known, separators=(',', ':'), ensure_ascii=False)}"
