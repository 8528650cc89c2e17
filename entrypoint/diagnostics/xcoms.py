"""Read the requested XComs, as JSON.

A missing value is an error, because a later step must not take it for an empty one. A missing
permission only disables this feature.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.diagnostics.optional import Feature
from entrypoint.errors import (
    Forbidden,
    InvalidJson,
    NotFound,
    ResponseTooLarge,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, Json, JsonObject, TaskInstance, XComName

MAX_OUTPUT_CHARS = 500_000
"""UTF-16 code units of the output. GitHub allows 1 MB for all outputs of a job, counted as UTF-16.

Measured: docs/notes/runner.md#size-of-outputs.
"""
_MAX_RESPONSE_BYTES = 2_000_000
"""Bytes of the response with one XCom."""
_MAX_MAPPED = 500
"""Task instances of one mapped task. Each costs one request."""
_MAX_NAMES = 10
"""Tasks that a message names."""


def read_xcoms(
    airflow: Airflow,
    run: DagRun,
    names: Sequence[XComName],
    tasks: tuple[TaskInstance, ...] | None,
    retrier: Retrier,
) -> JsonObject:
    """Return the values, keyed by the lines of the input.

    The value of a mapped task is a list, in the order of the map index.

    Args:
        airflow: client of the Airflow that has the run.
        run: the DAG run.
        names: requested XComs.
        tasks: task instances of the run, None if they cannot be read; then no task counts as
            mapped.
        retrier: retries requests after transient errors until its deadline.

    Raises:
        NotFound, ResponseTooLarge, InvalidJson, NotSupported: with a message for the user.
        Forbidden: with the missing permission.
        TransientError, UnexpectedResponse: Airflow did not respond before the deadline.
    """
    values: JsonObject = {}
    for name in names:
        found: list[Json] = []
        indexes = _indexes(name, tasks)
        for index in indexes:
            if found and retrier.deadline.has_passed():
                raise TransientError(
                    "Airflow gives the XComs too slowly",
                    f"{name.line}: {len(found)} of {len(indexes)} were read.",
                    "Request fewer XComs, or let one task combine them. Re-running this job then "
                    "does not run the DAG again.",
                )
            fetch = partial(airflow.xcom, run, name.task_id, index, name.key, _MAX_RESPONSE_BYTES)
            try:
                found.append(retrier.read(fetch))
            except NotFound as error:
                raise _missing(name, index, error) from None
            except ResponseTooLarge:
                raise _too_large(name.line) from None
            except Forbidden as error:
                raise Forbidden(
                    "The XComs may not be read", error.detail, Feature.XCOM.permission
                ) from None
        values[name.line] = found[0] if indexes == (-1,) else found
        if _length(name, values) > MAX_OUTPUT_CHARS:
            raise _too_large(name.line)
    return values


def _length(name: XComName, values: JsonObject) -> int:
    try:
        return (
            len(
                json.dumps(values, ensure_ascii=False, allow_nan=False).encode(
                    "utf-16-le", "surrogatepass"
                )
            )
            // 2
        )
    except ValueError:
        raise InvalidJson(
            "A requested XCom is not valid JSON",
            f"{name.line}: its value contains NaN or Infinity, which JSON does not allow.",
            "Let the task return None or a string instead.",
        ) from None


def _indexes(name: XComName, tasks: tuple[TaskInstance, ...] | None) -> tuple[int, ...]:
    if tasks is None:
        return (-1,)
    indexes = tuple(sorted(task.map_index for task in tasks if task.task_id == name.task_id))
    if len(indexes) > 1 and indexes[0] < 0:
        indexes = indexes[1:]
    if not indexes:
        known = sorted({task.task_id for task in tasks})
        raise NotFound(
            "A requested XCom is missing",
            f"{name.line}: this DAG run has no task {name.task_id}. It has "
            f"{', '.join(known[:_MAX_NAMES])}{' and others' if len(known) > _MAX_NAMES else ''}.",
            "Correct the input xcom. Re-running this job then does not run the DAG again.",
        )
    if len(indexes) > _MAX_MAPPED:
        raise ResponseTooLarge(
            "A requested XCom is too large",
            f"{name.line}: {name.task_id} is mapped to {len(indexes)} task instances; this action "
            f"reads at most {_MAX_MAPPED}.",
            "Request the XCom of a task that combines their results.",
        )
    return indexes


def _missing(name: XComName, index: int, error: NotFound) -> NotFound:
    where = f"{name.task_id}[{index}]" if index >= 0 else name.task_id
    return NotFound(
        "A requested XCom is missing",
        f"{name.line}: {where} has no XCom with the key {name.key}. {error.detail}",
        "Correct the input xcom, or the task: a task that returns None has no return_value. With "
        "if_run_exists: resume, re-running this job does not repeat a DAG run that has succeeded.",
    )


def _too_large(line: str) -> ResponseTooLarge:
    return ResponseTooLarge(
        "A requested XCom is too large",
        f"{line}: its value makes the output xcom longer than {MAX_OUTPUT_CHARS} characters. "
        "GitHub allows 1 MB for all outputs of a job.",
        "Let the task return a reference to its result (a path, a table) instead of the result.",
    )
