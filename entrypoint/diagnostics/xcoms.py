"""Read the requested XComs, as JSON.

A missing value of a task that ran is an error, because a later step must not take it for an empty
one. A task that did not run has no value: null, or no values if it is mapped. A missing permission
only disables this feature.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.errors import (
    Forbidden,
    InvalidJson,
    NotFound,
    ResponseTooLarge,
    TransientError,
)
from entrypoint.models import TaskInstance
from entrypoint.permissions import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.airflow.client import Airflow
    from entrypoint.http.retry import Retrier
    from entrypoint.models import DagRun, Json, JsonObject, XComName

MAX_OUTPUT_CHARS = 500_000
"""UTF-16 code units of the output. GitHub allows 1 MB for all outputs of a job, counted as UTF-16.

Measured: docs/notes/runner.md#size-of-outputs.
"""
_MAX_RESPONSE_BYTES = 2_000_000
"""Bytes of the response with one XCom."""
_MAX_MAPPED = 500
"""Task instances of one mapped or repeated task. Each costs one request."""
_UNKNOWN = "unknown"
"""State of a task instance that could not be read."""
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

    The value of a mapped task is a list, in the order of the map index. The value of a task in a
    loop is a list with a value for each iteration, which is a list again for a mapped task. A task
    instance that did not run has the value null.

    Args:
        airflow: client of the Airflow that has the run.
        run: the DAG run.
        names: requested XComs.
        tasks: task instances of the run, None if they cannot be read; then no task counts as
            mapped, and each as one that ran.
        retrier: retries requests after transient errors until its deadline.

    Raises:
        NotFound, ResponseTooLarge, InvalidJson, NotSupported: with a message for the user.
        Forbidden: with the missing permission.
        TransientError, UnexpectedResponse: Airflow did not respond before the deadline.
    """
    values: JsonObject = {}
    for name in names:
        places = _places(name, tasks)
        values[name.line] = _Reader(airflow, run, name, len(places), retrier).combined(places)
        if _length(name, values) > MAX_OUTPUT_CHARS:
            raise _too_large(name.line)
    return values


class _Reader:
    """Reads the values of one line of the input.

    Args:
        airflow, run, retrier: as for `read_xcoms`.
        name: the line.
        total: number of the task's instances.
    """

    def __init__(
        self, airflow: Airflow, run: DagRun, name: XComName, total: int, retrier: Retrier
    ) -> None:
        self._airflow, self._run, self._name, self._retrier = airflow, run, name, retrier
        self._total, self._done = total, 0

    def combined(self, places: tuple[TaskInstance, ...]) -> Json:
        """Return the value of a plain task, or a list: by map index, and in a loop by iteration."""
        iterations: dict[int | None, list[TaskInstance]] = {}
        for place in places:
            iterations.setdefault(place.iteration, []).append(place)
        is_mapped = any(place.map_index >= 0 for place in places)
        values = [self._values(each, is_mapped=is_mapped) for each in iterations.values()]
        return values if places[0].iteration is not None else values[0]

    def _values(self, places: list[TaskInstance], *, is_mapped: bool) -> Json:
        if instances := [place for place in places if place.map_index >= 0]:
            # Airflow removes an instance when the task is mapped over less than before.
            return [self._value(one) for one in instances if one.state != "removed"]
        # A mapped task that was never expanded has a placeholder.
        (place,) = places[:1]
        value = self._value(place)
        if value is not None or place.state != "skipped":
            return value
        fetch = partial(self._airflow.is_mapped, self._run, self._name.task_id)
        return [] if is_mapped or self._retrier.read(fetch) else None

    def _value(self, place: TaskInstance) -> Json:
        if _never_ran(place, self._run):
            return None
        name, run = self._name, self._run
        if self._done and self._retrier.deadline.has_passed():
            raise TransientError(
                "Airflow gives the XComs too slowly",
                f"{name.line}: {self._done} of {self._total} were read.",
                "Request fewer XComs, or let one task combine them. Re-running this job then "
                "does not run the DAG again.",
            )
        # A task may push an XCom and then skip itself. One that was skipped without running may
        # have an XCom of an earlier attempt of the run.
        fetch = partial(
            self._airflow.xcom,
            run,
            name.task_id,
            place.coordinates,
            name.key,
            _MAX_RESPONSE_BYTES,
            since=run.start_date if place.state == "skipped" else None,
        )
        try:
            value: Json = self._retrier.read(fetch)
        except NotFound as error:
            if place.state == "skipped":
                return None
            raise _missing(name, place, error) from None
        except ResponseTooLarge:
            raise _too_large(name.line) from None
        except Forbidden as error:
            raise Forbidden(
                "The XComs may not be read", error.detail, Feature.XCOM.permission
            ) from None
        self._done += 1
        return value


def _never_ran(place: TaskInstance, run: DagRun) -> bool:
    """Return whether a task instance has not run, and will not.

    While the run goes on, a task without a state is one that has yet to run.
    """
    if place.state in ("upstream_failed", "removed"):
        return True
    return run.ended and place.state in (None, "scheduled", "queued")


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


def _places(name: XComName, tasks: tuple[TaskInstance, ...] | None) -> tuple[TaskInstance, ...]:
    """Return the instances of the task, in the order of iteration and map index."""
    if tasks is None:
        return (TaskInstance(name.task_id, -1, _UNKNOWN, 0, None, ""),)
    found = sorted(
        (task for task in tasks if task.task_id == name.task_id),
        key=lambda task: (task.iteration or 0, task.map_index),
    )
    if not found:
        known = sorted({task.task_id for task in tasks})
        raise NotFound(
            "A requested XCom is missing",
            f"{name.line}: this DAG run has no task {name.task_id}. It has "
            f"{', '.join(known[:_MAX_NAMES])}{' and others' if len(known) > _MAX_NAMES else ''}.",
            "Correct the input xcom. Re-running this job then does not run the DAG again.",
        )
    if len(found) > _MAX_MAPPED:
        raise ResponseTooLarge(
            "A requested XCom is too large",
            f"{name.line}: {name.task_id} has {len(found)} task instances; this action reads at "
            f"most {_MAX_MAPPED}.",
            "Request the XCom of a task that combines their results.",
        )
    return tuple(found)


def _missing(name: XComName, place: TaskInstance, error: NotFound) -> NotFound:
    return NotFound(
        "A requested XCom is missing",
        f"{name.line}: {place.name} has no XCom with the key {name.key}. {error.detail}",
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
