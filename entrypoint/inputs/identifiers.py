"""Parsers of what Airflow names and stores, by Airflow's own rules: DAG ids, run ids, notes, XComs.
Pure.

Like those of `parsers.py`: text in, value out, or `Wrong`.
"""

from __future__ import annotations

import re

from entrypoint.inputs.parsers import ParseError, quoted
from entrypoint.models import XComName

_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")
_KEY = re.compile(r"[\w.-]+")
_RESERVED = ("scheduled__", "backfill__", "asset_triggered__", "dataset_triggered__")
_MAX_XCOMS = 50


def dag_id(text: str) -> str:
    """Parse a DAG id by Airflow's rule for keys: letters, digits, `_`, `-`, `.`, at most 250
    characters.
    """
    if not _KEY.fullmatch(text) or len(text) > 250 or not text.strip("."):
        raise ParseError(
            f"{quoted(text)} cannot be a DAG id.",
            "Airflow allows letters, digits, dash, dot and underscore, 250 characters at the most.",
        )
    return text


def run_id(text: str) -> str:
    """Parse a run id: what every Airflow stores, and finds again.

    Airflow 2 answers a wrong one with an HTML 500, Airflow 3 stores some that can never be read
    again (docs/notes/airflow-2.md#run-ids, docs/notes/airflow-3.md#run-ids). `.` and `~` alone
    would change the meaning of
    a path: current folder, and "all runs".
    """
    if reserved := next((prefix for prefix in _RESERVED if text.startswith(prefix)), None):
        raise ParseError(
            f"{quoted(text)} begins with {reserved}, which Airflow reserves.",
            "Choose another prefix.",
        )
    if not _RUN_ID.fullmatch(text) or len(text) > 200 or ".." in text or text in (".", "~"):
        raise ParseError(
            f"{quoted(text)} cannot be a run id.",
            "Use letters, digits and _ . ~ : + - only, without '..', 200 characters at the most; "
            "in a branch name replace the slashes.",
        )
    return text


def note(text: str) -> str:
    """Parse a note: Airflow stores 1000 characters at the most."""
    if len(text) > 1000:
        raise ParseError(
            f"it has {len(text)} characters.", "Airflow stores 1000 at the most: shorten it."
        )
    return text


def xcoms(text: str) -> tuple[XComName, ...]:
    """Parse lines of `task_id` or `task_id:key`; the key is `return_value` unless it is given."""
    found: dict[str, XComName] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        task_id, colon, key = line.partition(":")
        if (
            not _KEY.fullmatch(task_id)
            or (colon and not key.strip())
            or {task_id, key.strip()} & {".", ".."}
        ):
            raise ParseError(
                f"{quoted(line)} names no XCom.", "Write lines like extract or extract:row_count."
            )
        if line in found:
            raise ParseError(f"{quoted(line)} is there twice.", "Remove one of the two lines.")
        found[line] = XComName(line, task_id, key.strip() or "return_value")
    if len(found) > _MAX_XCOMS:
        raise ParseError(
            f"it has {len(found)} lines.", f"At most {_MAX_XCOMS} XComs can be asked for."
        )
    return tuple(found.values())
