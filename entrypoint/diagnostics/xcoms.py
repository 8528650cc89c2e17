"""The XComs that were asked for, as JSON. It only reads.

A value that a later step relies on and that is not there must not pass for an empty one, so it is
an error; only a missing permission costs no more than this feature.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from entrypoint.diagnostics.optional import Feature
from entrypoint.errors import Forbidden, NotFound, ResponseTooLarge, TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, TaskInstance, XComName

MAX_OUTPUT_CHARS = 500_000
"""UTF-16 code units of the output: GitHub allows 1 MB for all outputs of a job, counted as UTF-16.

Measured: docs/notes/runner.md#size-of-outputs.
"""
_MAX_RESPONSE_BYTES = 2_000_000
_MAX_MAPPED = 500
"""Instances of one mapped task: each is a request."""
_MAX_NAMES = 10


def read_xcoms(
    airflow: Airflow,
    run: DagRun,
    names: Sequence[XComName],
    tasks: tuple[TaskInstance, ...] | None,
    retrier: Retrier,
    *,
    until: float,
) -> dict[str, Any]:
    """Return the values by the lines of the input; of a mapped task a list, in the order of its map
    indexes.

    Args: airflow: where the run is. run: the DAG run. names: what was asked for. tasks: the run's
        task instances, None if they may not be read; then no task is taken for a mapped one.
        retrier: repeats what fails in passing. until: moment on the clock at which to give up.

    Raises:
        NotFound, ResponseTooLarge, NotSupported: named for people.
        Forbidden: with the permission that is missing.
        TransientError, UnexpectedResponse: Airflow did not answer until then.
    """
    values: dict[str, Any] = {}
    for name in names:
        found: list[Any] = []
        indexes = _indexes(name, tasks)
        for index in indexes:
            if found and retrier.clock() >= until:
                raise TransientError(
                    "Airflow gives the XComs too slowly",
                    f"{name.line}: {len(found)} of {len(indexes)} were read.",
                    "Ask for fewer, or have one task put them together; re-running this "
                    "job then does not run the DAG again.",
                )
            fetch = partial(airflow.xcom, run, name.task_id, index, name.key, _MAX_RESPONSE_BYTES)
            try:
                found.append(retrier.read(fetch, until=until))
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


def _length(name: XComName, values: dict[str, Any]) -> int:
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
        raise NotFound(
            "An XCom that was asked for is no JSON",
            f"{name.line}: its value contains NaN or Infinity, which JSON does not have.",
            "Let the task return None or a string in their place.",
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
            "An XCom that was asked for is not there",
            f"{name.line}: this DAG run has no task {name.task_id}. It has "
            f"{', '.join(known[:_MAX_NAMES])}{' and others' if len(known) > _MAX_NAMES else ''}.",
            "Correct the input xcom; re-running this job then does not run the DAG again.",
        )
    if len(indexes) > _MAX_MAPPED:
        raise ResponseTooLarge(
            "An XCom that was asked for is too large",
            f"{name.line}: {name.task_id} is mapped to {len(indexes)} task instances; at "
            f"most {_MAX_MAPPED} are read.",
            "Ask for a task that gathers their results.",
        )
    return indexes


def _missing(name: XComName, index: int, error: NotFound) -> NotFound:
    where = f"{name.task_id}[{index}]" if index >= 0 else name.task_id
    return NotFound(
        "An XCom that was asked for is not there",
        f"{name.line}: {where} has no XCom with the key {name.key}. {error.detail}",
        "A task that returns None leaves no return_value. Correct the input xcom, or the "
        "task; with if_run_exists: resume, "
        "re-running this job does not run a DAG run again that has succeeded.",
    )


def _too_large(line: str) -> ResponseTooLarge:
    return ResponseTooLarge(
        "An XCom that was asked for is too large",
        f"{line}: with it the output xcom exceeds {MAX_OUTPUT_CHARS} characters. GitHub "
        "allows 1 MB for all outputs of a job.",
        "Let the task return a reference to its result (a path, a table) instead of the result.",
    )
