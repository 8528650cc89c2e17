"""A task's log in Airflow 2.11.2: text, with the host name before it.

Measured: docs/notes/airflow-2.md#task-logs.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from tests.support.fake_airflow.models import KILLED, FakeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.support.fake_airflow.models import Entry
    from tests.support.fake_airflow.runs import FakeTaskInstance

BATCH = 500  # lines per piece; Airflow itself holds them all in memory
AIRFLOW = "/opt/airflow/lib/python3.12/site-packages/airflow/models/taskinstance.py"
ANSI = re.compile(r"\x1b(\[[0-9;]*[A-Za-z]|.)")
MARKED = {
    "failed": "FAILED",
    "up_for_retry": "UP_FOR_RETRY",
    "success": "SUCCESS",
    "skipped": "SKIPPED",
}
END = "::endgroup::"
OOM = (
    "Task exited with return code -9. For more information, see "
    "https://airflow.apache.org/docs/apache-airflow/stable/"
    "troubleshooting.html#LocalTaskJob-killed"
)
FROM = "The above exception was the direct cause of the following exception:"
WHILE = "During handling of the above exception, another exception occurred:"


def pieces(instance: FakeTaskInstance, try_number: int) -> Iterator[bytes]:
    """Yield one try's log in pieces, made while it is read."""
    found = (f"{line}\n" for line in lines(instance, try_number))
    while batch := "".join(itertools.islice(found, BATCH)):
        yield batch.encode()


def lines(instance: FakeTaskInstance, try_number: int) -> Iterator[str]:
    """Yield the lines of one try's log."""
    if try_number < 1:
        yield "default_host"
        yield f"Error fetching the logs. Try number {try_number} is invalid."
        return
    host = "vm" if instance.started else ""
    written = try_number <= instance.started and instance.task.log is not None
    path = f"task_id={instance.task.task_id}/attempt={try_number}.log"
    yield host
    yield " INFO - ::group::Log message source details"
    if written:
        yield "*** Found local files:"
        yield f"***   * /opt/airflow/logs/{path}"
    elif host:
        yield (
            f"*** Could not read served logs: HTTPConnectionPool(host='{host}', "
            f"port=8793): Max retries exceeded: {path}"
        )
    elif instance.state not in {None, "scheduled", "queued"}:
        yield (
            f"*** Could not read served logs: Invalid URL 'http://:8793/log/{path}': No "
            "host supplied"
        )
    yield f" INFO - {END}"
    if written and instance.task.log_text:
        yield from instance.task.log_text.split("\n")
    elif written:
        yield from _try(instance, try_number)
    else:
        yield ""


def _try(instance: FakeTaskInstance, try_number: int) -> Iterator[str]:
    at, task_id = _stamp(instance.start_date), instance.task.task_id
    end = dict(instance.outcomes).get(try_number)
    error = instance.task.raised(try_number) if end in {"failed", "up_for_retry"} else None
    yield f"{at} {{local_task_job_runner.py:123}} INFO - ::group::Pre task execution logs"
    yield (
        f"{at} {{taskinstance.py:2885}} INFO - Starting attempt {try_number} of "
        f"{instance.max_tries + 1}"
    )
    yield f"{at} {{taskinstance.py:740}} INFO - ::endgroup::"
    for entry in instance.task.entries(try_number):
        yield from _printed(at, entry)
    if end is None:
        return
    if error == KILLED:
        yield f"{at} {{local_task_job_runner.py:266}} INFO - {OOM}"
        yield f"{at} {{local_task_job_runner.py:245}} INFO - ::endgroup::"
        return
    if error is not None:
        yield f"{at} {{taskinstance.py:3337}} ERROR - Task failed with exception"
        yield from traceback(error, task_id)
    yield f"{at} {{taskinstance.py:1242}} INFO - Marking task as {MARKED[end]}. task_id={task_id}"
    yield f"{at} {{taskinstance.py:349}} INFO - ::group::Post task execution logs"
    if error is not None:
        again = f"Failed to execute job 3 for task {task_id} ({error.exc_value}; 4711)"
        yield f"{at} {{standard_task_runner.py:124}} ERROR - {again}"
        yield from traceback(error, task_id)
    code = 1 if end in {"failed", "up_for_retry"} else 0
    yield f"{at} {{local_task_job_runner.py:266}} INFO - Task exited with return code {code}"
    yield f"{at} {{local_task_job_runner.py:245}} INFO - ::endgroup::"


def _printed(at: str, entry: Entry) -> Iterator[str]:
    """Yield what a task printed.

    Only the first line has a prefix; empty lines and colours are lost.
    """
    if isinstance(entry, str):
        head, text = f"{at} {{logging_mixin.py:190}} INFO - ", entry
    else:
        head, text = (
            f"{at} {{task.py:1}} {str(entry.get('level', 'info')).upper()} - ",
            str(entry.get("event", "")),
        )
    shown = ANSI.sub("", head + text).replace("\r", "\n")
    yield from (line for line in shown.split("\n") if line.strip())


def traceback(error: FakeError, task_id: str, *, outermost: bool = True) -> Iterator[str]:
    """Yield an exception as Python prints it, its cause first.

    Without empty lines, which Airflow drops.
    """
    if (before := error.cause or error.context) is not None:
        yield from traceback(before, task_id, outermost=False)
        yield FROM if error.cause else WHILE
    yield "Traceback (most recent call last):"
    if outermost:
        yield f'  File "{AIRFLOW}", line 776, in _execute_task'
        yield "    result = _execute_callable(context=context, **execute_callable_kwargs)"
    for file, line, name in error.frames or (("/opt/airflow/dags/dag.py", 16, task_id),):
        yield f'  File "{file}", line {line}, in {name}'
    text = f"{error.exc_type}: {error.exc_value}" if error.exc_value else error.exc_type
    yield from (line for line in text.split("\n") if line.strip())
    yield from error.notes


def _stamp(moment: datetime | None) -> str:
    return f"[{moment:%Y-%m-%dT%H:%M:%S}.000+0000]" if moment else "[2026-11-20T09:52:17.555+0000]"
