"""Parse DAG ids, run ids, notes, task ids and XCom names by Airflow's own rules, without I/O.

Like those of `parsers.py`, each parser returns a value or raises `ParseError`.
"""

from __future__ import annotations

import re

from entrypoint.inputs.parsers import ParseError, quoted
from entrypoint.models import XComName

_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")
_KEY = re.compile(r"[\w.-]+")
_RESERVED_PREFIXES = ("scheduled__", "backfill__", "asset_triggered__", "dataset_triggered__")
_MAX_XCOMS = 50
"""Lines of the input `xcom`."""
_TASK_PATTERN = re.compile(r"[\w.*-]{1,250}")
_MAX_TASK_PATTERNS = 100
"""Lines of the input `required_tasks`."""


def dag_id(text: str) -> str:
    """Parse a DAG id: at most 250 letters, digits, `_`, `-` and `.`, as Airflow requires."""
    if not _KEY.fullmatch(text) or len(text) > 250 or not text.strip("."):
        raise ParseError(
            f"{quoted(text)} cannot be a DAG id.",
            "Use letters, digits, dashes, dots and underscores only, at most 250 characters.",
        )
    return text


def run_id(text: str) -> str:
    """Parse a run id that every Airflow can store and find again.

    Airflow 2 responds to an invalid one with HTTP 500 and an HTML page. Airflow 3 stores some
    that it can never read again (docs/notes/airflow-2.md#run-ids, docs/notes/airflow-3.md#run-ids).
    `.` and `~` alone would change the meaning of a URL path: current folder, and "all runs".
    """
    if reserved := next((prefix for prefix in _RESERVED_PREFIXES if text.startswith(prefix)), None):
        raise ParseError(
            f"{quoted(text)} begins with {reserved}, which Airflow reserves.",
            "Choose another prefix.",
        )
    if not _RUN_ID.fullmatch(text) or len(text) > 200 or ".." in text or text in (".", "~"):
        raise ParseError(
            f"{quoted(text)} cannot be a run id.",
            "Use letters, digits and _ . ~ : + - only, without '..', at most 200 characters. "
            "Replace the slashes of a branch name.",
        )
    return text


def existing_run_id(text: str) -> str:
    """Parse the id of a run that Airflow may already have, by whatever rule it was chosen.

    Airflow stores at most 250 characters. A slash, `.`, `..` or `~` would name another path of the
    API.
    """
    if len(text) > 250 or not text.isprintable() or "/" in text or text in (".", "..", "~"):
        raise ParseError(
            f"{quoted(text)} cannot be the run id of an existing DAG run.",
            "Copy it from Airflow: at most 250 characters, in one line, without slashes.",
        )
    return text


def note(text: str) -> str:
    """Parse a note, of which Airflow stores at most 1000 characters."""
    if len(text) > 1000:
        raise ParseError(
            f"it has {len(text)} characters.", "Shorten it: Airflow stores at most 1000."
        )
    return text


def task_patterns(text: str) -> tuple[str, ...]:
    """Parse lines of task ids, in which `*` stands for any characters."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    for number, line in enumerate(lines):
        if not _TASK_PATTERN.fullmatch(line):
            raise ParseError(
                f"{quoted(line)} cannot be a task id.",
                "Write the id of a task or task group on each line, like load or checks.*",
            )
        if line in lines[:number]:
            raise ParseError(f"{quoted(line)} is given twice.", "Remove one of the two lines.")
    if len(lines) > _MAX_TASK_PATTERNS:
        raise ParseError(
            f"it has {len(lines)} lines.",
            f"Write at most {_MAX_TASK_PATTERNS} lines; * stands for several tasks.",
        )
    return tuple(lines)


def xcoms(text: str) -> tuple[XComName, ...]:
    """Parse lines of `task_id` or `task_id:key`; the default key is `return_value`."""
    found: dict[str, XComName] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        task_id, colon, key = line.partition(":")
        if (
            not _KEY.fullmatch(task_id)
            or (colon and not key.strip())
            or {task_id, key.strip()} & {".", ".."}
        ):
            raise ParseError(
                f"{quoted(line)} is not the name of an XCom.",
                "Write lines like extract or extract:row_count.",
            )
        if line in found:
            raise ParseError(f"{quoted(line)} is given twice.", "Remove one of the two lines.")
        found[line] = XComName(line, task_id, key.strip() or "return_value")
    if len(found) > _MAX_XCOMS:
        raise ParseError(f"it has {len(found)} lines.", f"Request at most {_MAX_XCOMS} XComs.")
    return tuple(found.values())
