"""Write and parse the marker: the line in a run's note that says where to report its end.

The listener (`listener/`) runs in Airflow. Every user who may trigger a DAG run may write such a
line. So it does not name the status: the name follows from the DAG, and the listener updates only a
status that this action has created for the same run. This module does no I/O.
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
"""Characters of a deployment's environment, as for the input `environment`."""
_MAX_NOTE_CHARS = 1000
"""Characters that Airflow stores of a note."""


class Marker(NamedTuple):
    """Where the listener reports the end of a DAG run.

    Attributes:
        airflow: canonical base URL of the Airflow that has the run, because another Airflow may
            have a run with the same id.
        api_url: base URL of GitHub's API.
        repository: owner/name.
        commit: full SHA.
        environment: environment of the deployment; None for a commit status.
    """

    airflow: str
    api_url: str
    repository: str
    commit: str
    environment: str | None


def note_with_marker(note: str | None, marker: Marker) -> str:
    """Return the note with the marker below it.

    Keep the mark of a cancelled workflow if there is one. Otherwise leave space for it.
    """
    text = (note or "").replace(CANCELLED_MARK, "")
    end = f"\n{CANCELLED_MARK}" if CANCELLED_MARK in (note or "") else ""
    if any(map(_is_marker, text.splitlines())):
        # `parse_marker` rejects a note with two markers.
        text = "\n".join(one for one in text.splitlines() if not _is_marker(one))
    line = _line(marker)
    max_chars = _MAX_NOTE_CHARS - len(line) - len(CANCELLED_MARK) - 3
    return f"{cut(text.rstrip(), max_chars)}\n{line}".lstrip() + end


def parse_marker(note: str | None) -> Marker | None:
    """Return the note's marker; None if it has none, several, or one in another format."""
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
    if not all(pattern.fullmatch(found[name]) for name, pattern in _FORMATS.items()):
        return None
    marker = Marker(
        found["airflow"],
        found["api_url"],
        found["repository"],
        found["commit"],
        found.get("environment"),
    )
    # Accept only what this module writes: no duplicate keys, and a valid environment.
    is_valid = marker.environment is None or (
        0 < len(marker.environment) <= _MAX_ENVIRONMENT_CHARS and marker.environment.isprintable()
    )
    return marker if is_valid and _line(marker) == lines[0] else None


def _is_marker(line: str) -> bool:
    return line.startswith(_PREFIX)


def _line(marker: Marker) -> str:
    fields = {name: value for name, value in marker._asdict().items() if value is not None}
    return f"{_PREFIX}{json.dumps(fields, separators=(',', ':'), ensure_ascii=False)}"
