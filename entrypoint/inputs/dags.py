"""Parse the input `dags`: a line for each DAG, tag, or `changed`, without I/O."""

from __future__ import annotations

import json

from entrypoint.inputs.identifiers import dag_id
from entrypoint.inputs.parsers import ParseError, conf_object, quoted
from entrypoint.models import DagSelector

_TAG = "tag:"
_MAX_LINES = 200
"""Lines of the input. The post stage gets all selected DAGs in one environment variable."""


def dag_selectors(text: str) -> tuple[DagSelector, ...]:
    """Parse the lines. Blank lines and lines that begin with `#` mean nothing."""
    # Not at U+2028 and the like, which a string in JSON may contain.
    lines = [line.strip() for line in text.split("\n")]
    selectors = [
        _selector(number, line)
        for number, line in enumerate(lines, 1)
        if line and not line.startswith("#")
    ]
    if not selectors:
        raise ParseError("it names no DAG.", "Write a dag_id, tag:NAME or changed on each line.")
    if len(selectors) > _MAX_LINES:
        raise ParseError(f"it has {len(selectors)} lines.", f"Write at most {_MAX_LINES} lines.")
    named: dict[str, DagSelector] = {}
    for selector in selectors:
        if selector.kind == "dag" and _as_json(
            named.setdefault(selector.name, selector)
        ) != _as_json(selector):
            raise ParseError(
                f"{quoted(selector.name)} is given twice, with two conf objects.",
                "Keep one of the two lines: a DAG runs once.",
            )
    return tuple(selectors)


def _as_json(selector: DagSelector) -> str:
    """Return the conf as JSON, in which 1 is not true."""
    return json.dumps(selector.conf, sort_keys=True)


def _selector(number: int, line: str) -> DagSelector:
    if line == "changed":
        return DagSelector("changed")
    if line.startswith(_TAG):
        tag = line.removeprefix(_TAG).strip()
        if not tag:
            raise ParseError("tag: has no name.", "Write a line like tag:smoke.")
        if "{" in tag:
            raise ParseError(
                f"in line {number}: only a dag_id takes a JSON object.",
                "Give the DAGs of a tag their conf by the input conf.",
            )
        return DagSelector("tag", tag)
    name, brace, rest = line.partition("{")
    if brace and name.strip() == "changed":
        raise ParseError(
            f"in line {number}: only a dag_id takes a JSON object.",
            "Give the DAGs of changed their conf by the input conf.",
        )
    try:
        conf = conf_object(brace + rest) if brace else None
        return DagSelector("dag", dag_id(name.strip()), conf)
    except ParseError as error:
        # The line is not quoted, because its conf may hold a secret.
        raise ParseError(f"in line {number}: {error.problem}", error.remedy) from None
