"""A task's log in Airflow 3.3.2: one JSON object per entry.

Measured: docs/notes/airflow-3.md#task-logs.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from tests.support.fake_airflow.models import KILLED, FakeError
from tests.support.fake_airflow.v2.bodies import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tests.support.fake_airflow.runs import FakeTaskInstance

BATCH = 500  # lines per chunk, as [api] log_stream_buffer_size
SDK = "/opt/airflow/lib/python3.12/site-packages/airflow/sdk/execution_time/task_runner.py"
NO_TRY = {
    "upstream_failed": "Task did not run because upstream task(s) failed.",
    "skipped": "Task was skipped — no logs available.",
}
OOM = (
    "Process terminated by signal. Likely out of memory error (OOM). For more information, "
    "see https://airflow.apache.org"
    "/docs/apache-airflow/stable/troubleshooting.html#process-terminated-by-signal."
)


def entries(instance: FakeTaskInstance, try_number: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the entries of one try's log, made while it is read."""
    started, gone = 0 < try_number <= instance.started, instance.task.log is None
    yield {"event": "::group::Log message source details"}
    if started and gone:
        path = f"/log/task_id={instance.task.task_id}/attempt={try_number}.log"
        refused = "Failed to establish a new connection: [Errno 111] Connection refused"
        url = (
            "HTTPConnectionPool(host='vm', port=8793): Max retries exceeded with url: "
            f"{path} (Caused by {refused})"
        )
        yield {"event": f"Could not read served logs: {url}"}
    elif started:
        yield {
            "event": f"/opt/airflow/logs/task_id={instance.task.task_id}/attempt={try_number}.log"
        }
    yield {"event": "::endgroup::"}
    if try_number == 0:
        text = NO_TRY.get(instance.state or "", "No logs available for this task.")
        yield {"timestamp": stamp(now), "event": text}
    elif started and not gone:
        yield from _try(instance, try_number)


def _try(instance: FakeTaskInstance, try_number: int) -> Iterator[dict[str, Any]]:
    at = stamp(instance.start_date)
    end = dict(instance.outcomes).get(try_number)

    def entry(event: str, logger: str = "task", level: str = "info", **more: Any) -> dict[str, Any]:
        where = {} if logger == "task.stdout" else {"filename": "task_runner.py", "lineno": 2412}
        return {"timestamp": at, "event": event, "level": level, "logger": logger} | where | more

    yield entry("::group::Pre Execute")
    yield entry("::endgroup::")
    for one in instance.task.entries(try_number):
        if isinstance(one, str):
            yield from (entry(line, "task.stdout") for line in one.split("\n"))
        else:
            yield {"timestamp": at, **one}
    error = instance.task.raised(try_number) if end in {"failed", "up_for_retry"} else None
    if error == KILLED:
        yield entry(OOM, level="critical", signal=-9, signal_name="SIGKILL")
        return
    if error is not None:
        yield entry(
            "Task failed with exception",
            level="error",
            error_detail=detail(error, instance.task.task_id),
        )
    if end is not None:
        yield entry("::group::Post Execute")
        yield entry("::endgroup::")


def detail(error: FakeError, task_id: str) -> list[dict[str, Any]]:
    """Return an exception and its causes, the last raised one first."""
    runner = {"filename": SDK, "lineno": 1579, "name": "_run_task_and_map_outcome"}
    chain = [_exception(error, task_id, is_cause=False)]
    chain[0]["frames"].insert(0, runner)
    while (before := error.cause or error.context) is not None:
        chain.append(_exception(before, task_id, is_cause=error.cause is not None))
        error = before
    return chain


def _exception(error: FakeError, task_id: str, *, is_cause: bool) -> dict[str, Any]:
    frames = error.frames or (("/opt/airflow/dags/dag.py", 16, task_id),)
    return {
        "exc_type": error.exc_type,
        "exc_value": error.exc_value,
        "exc_notes": list(error.notes),
        "syntax_error": None,
        "is_cause": is_cause,
        "frames": [{"filename": file, "lineno": line, "name": name} for file, line, name in frames],
        "is_group": False,
        "exceptions": [],
    }


def lines(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the entries as ndjson, in chunks like Airflow's."""
    encoded = (json.dumps({"timestamp": None} | one) + "\n" for one in found)
    while batch := "".join(itertools.islice(encoded, BATCH)):
        yield batch.encode()
