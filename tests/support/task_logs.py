"""Task logs of both Airflows, shortened, as measured on 2.11.2 and 3.3.2."""

from __future__ import annotations

import json
from typing import Any

DAG, HELPER = "/opt/airflow/dags/chained_failure.py", "/opt/airflow/dags/sales_helpers.py"
INSIDE = "/home/airflow/.local/lib/python3.11/site-packages/airflow/models/taskinstance.py"
HEADING = "Traceback (most recent call last):"

HEAD_2 = """vm
 INFO - ::group::Log message source details
*** Found local files:
***   * /opt/airflow/logs/dag_id=chained_failure/run_id=f1/task_id=load_sales/attempt=1.log
 INFO - ::endgroup::
[2026-11-21T09:15:01.217+0000] {local_task_job_runner.py:123} INFO - ::group::Pre task execution logs
[2026-11-21T09:15:01.763+0000] {taskinstance.py:2885} INFO - Starting attempt 1 of 1
[2026-11-21T09:15:06.513+0000] {taskinstance.py:740} INFO - ::endgroup::
"""
CAUSE_2 = f"""{HEADING}
  File "{DAG}", line 16, in load
    return total(["12.50", "n/a"])
           ^^^^^^^^^^^^^^^^^^^^^^^
  File "{HELPER}", line 15, in <genexpr>
    return sum(parse_amount(amount) for amount in amounts)
               ^^^^^^^^^^^^^^^^^^^^
  File "{HELPER}", line 9, in parse_amount
    raise ValueError(f"Not an amount: {{text!r}}")
ValueError: Not an amount: 'n/a'
The above exception was the direct cause of the following exception:
{HEADING}
"""
RAISED_2 = f"""  File "{DAG}", line 27, in load_sales
    return load("2025-01-31")
           ^^^^^^^^^^^^^^^^^^
  File "{DAG}", line 18, in load
    raise RuntimeError(f"The sales of {{day}} cannot be loaded") from error
RuntimeError: The sales of 2025-01-31 cannot be loaded
"""
FAILED_2 = f"""{HEAD_2}[2026-11-21T09:15:06.602+0000] {{logging_mixin.py:190}} INFO - Loading the sales
[2026-11-21T09:15:06.603+0000] {{taskinstance.py:3337}} ERROR - Task failed with exception
{CAUSE_2}  File "{INSIDE}", line 776, in _execute_task
    result = _execute_callable(context=context, **execute_callable_kwargs)
{RAISED_2}[2026-11-21T09:15:07.086+0000] {{taskinstance.py:1242}} INFO - Marking task as FAILED. dag_id=chained_failure
[2026-11-21T09:15:07.961+0000] {{taskinstance.py:349}} INFO - ::group::Post task execution logs
[2026-11-21T09:15:07.962+0000] {{standard_task_runner.py:124}} ERROR - Failed to execute job 2 for task load_sales (…; 27)
{CAUSE_2}  File "{INSIDE}", line 3030, in _run_raw_task
    TaskInstance._execute_task_with_callbacks(
  File "{INSIDE}", line 776, in _execute_task
    result = _execute_callable(context=context, **execute_callable_kwargs)
{RAISED_2}[2026-11-21T09:15:08.023+0000] {{local_task_job_runner.py:266}} INFO - Task exited with return code 1
[2026-11-21T09:15:08.374+0000] {{local_task_job_runner.py:245}} INFO - ::endgroup::
"""
KILLED_2 = f"""{HEAD_2}[2026-11-21T09:15:09.117+0000] {{logging_mixin.py:190}} INFO - Reading everything into memory
[2026-11-21T09:15:09.135+0000] {{local_task_job_runner.py:266}} INFO - Task exited with return code -9. For more information
[2026-11-21T09:15:09.208+0000] {{standard_task_runner.py:217}} INFO - Process not found, stop collecting metrics
[2026-11-21T09:15:09.374+0000] {{local_task_job_runner.py:245}} INFO - ::endgroup::
"""
NO_HOST_2 = """
 INFO - ::group::Log message source details
*** Could not read served logs: Invalid URL 'http://:39301/log/dag_id=a/run_id=f1/task_id=b/attempt=1.log': No host supplied
 INFO - ::endgroup::

"""


def entry(event: str, level: str | None = "info", **more: Any) -> str:
    """Return a line of Airflow 3's log."""
    stamp = "2026-11-21T09:15:37.544912Z"
    return json.dumps(
        {
            "timestamp": stamp,
            "event": event,
            **({"level": level} if level else {}),
            "logger": "task",
            **more,
        }
    )


def detail(
    kind: str, text: str, *frames: tuple[str, int, str], is_cause: bool = False
) -> dict[str, Any]:
    """Return one exception of Airflow 3's `error_detail`."""
    shown = [
        {"filename": filename, "lineno": line, "name": name} for filename, line, name in frames
    ]
    more: dict[str, Any] = {
        "exc_notes": [],
        "syntax_error": None,
        "is_cause": is_cause,
        "is_group": False,
        "exceptions": [],
    }
    return {"exc_type": kind, "exc_value": text, "frames": shown, **more}


HEAD_3 = """{"timestamp":null,"event":"::group::Log message source details"}
{"timestamp":null,"event":"/opt/airflow/logs/dag_id=chained_failure/run_id=f1/task_id=load_sales/attempt=1.log"}
{"timestamp":null,"event":"::endgroup::"}
{"timestamp":"2026-11-21T09:15:05.124037Z","event":"::group::Pre Execute","level":"info","logger":"task","lineno":2412}
"""
CHAIN_3 = [
    detail(
        "RuntimeError",
        "The sales of 2025-01-31 cannot be loaded",
        (INSIDE, 1579, "_run_task"),
        (DAG, 27, "load_sales"),
        (DAG, 18, "load"),
    ),
    detail(
        "ValueError",
        "Not an amount: 'n/a'",
        (DAG, 16, "load"),
        (HELPER, 15, "<genexpr>"),
        (HELPER, 9, "parse_amount"),
        is_cause=True,
    ),
]
FAILED_3 = HEAD_3 + "\n".join(
    [
        entry(
            "Task failed with exception",
            "error",
            task_id="load_sales",
            try_number=1,
            error_detail=CHAIN_3,
        ),
        entry("::group::Post Execute"),
        entry("Loading the sales", logger="task.stdout"),
        entry("::endgroup::"),
        "",
    ]
)
OUT_OF_MEMORY = (
    "Process terminated by signal. Likely out of memory error (OOM). For more information, see"
)
KILLED_3 = f"{HEAD_3}{entry('Reading everything', logger='task.stdout')}\n" + entry(
    OUT_OF_MEMORY, "critical", signal=-9, signal_name="SIGKILL"
)
MISSING_3 = """{"timestamp":null,"event":"::group::Log message source details"}
{"timestamp":null,"event":"Could not read served logs: HTTPConnectionPool(host='vm', port=41155): Max retries exceeded"}
{"timestamp":null,"event":"::endgroup::"}
"""

FAKE_2 = f"""[2026-11-21T09:15:06.000+0000] {{logging_mixin.py:190}} INFO - {HEADING}
  File "/faked.py", line 1, in fake
FakedError: made up
[2026-11-21T09:15:06.000+0000] {{fake.py:1}} ERROR - Task failed with exception
{HEADING}
  File "/faked.py", line 2, in fake
FakedError: made up again
::endgroup::
"""
FAKE_3 = "\n".join(
    [
        entry(
            json.dumps(
                {
                    "event": "Task failed with exception",
                    "level": "error",
                    "error_detail": [detail("Faked", "x")],
                }
            )
        ),
        entry("Task failed with exception"),
        entry(f'{HEADING}\n  File "/faked.py", line 1, in fake\nFakedError: made up'),
        "",
    ]
)
HANDLED_2 = f"""[2026-11-21T09:15:06.000+0000] {{sales.py:9}} ERROR - The first mirror does not answer
{HEADING}
  File "{HELPER}", line 4, in fetch
MirrorError: handled
"""
HANDLED_3 = entry(
    "No answer",
    "error",
    logger="sales",
    error_detail=[detail("MirrorError", "handled", (HELPER, 4, "fetch"))],
)
HANDLED_3 += "\n"
