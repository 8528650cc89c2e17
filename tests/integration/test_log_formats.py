"""The logs of Airflow 2 in other formats: the cause and the tail, wherever the step shows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dev.airflow_settings import password_of
from dev.runner import ActionStep, Process
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask

if TYPE_CHECKING:
    from pathlib import Path

AIRFLOW = "/usr/local/airflow/.local/lib/python3.10/site-packages/airflow/models/taskinstance.py"
TRACEBACK = f"""Traceback (most recent call last):
  File "/usr/local/airflow/dags/sales.py", line 16, in load
    return float(text)
ValueError: could not convert string to float: 'n/a'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "{AIRFLOW}", line 1457, in _run_raw_task
    self._execute_task_with_callbacks(context, test_mode)
  File "/usr/local/airflow/dags/sales.py", line 18, in load
    raise RuntimeError("The sales cannot be loaded") from error
RuntimeError: The sales cannot be loaded
APAC: 7 bad rows"""
MWAA = f"""[2023-01-12, 09:52:10 UTC] {{{{taskinstance.py:1241}}}} INFO - Starting attempt 1 of 1
[2023-01-12, 09:52:17 UTC] {{{{taskinstance.py:1851}}}} ERROR - Task failed with exception
{TRACEBACK}
[2023-01-12, 09:52:17 UTC] {{{{taskinstance.py:1401}}}} INFO - Marking task as FAILED. dag_id=sales
[2023-01-12, 09:52:18 UTC] {{{{local_task_job.py:159}}}} INFO - Task exited with return code 1
"""
OWN = "\n".join(
    [
        "2023-01-12 09:52:10,123 INFO Starting attempt 1 of 1",
        *(f"2023-01-12 09:52:11,{number:03} INFO command line {number}" for number in range(50)),
        "2023-01-12 09:52:12,000 INFO Task exited with return code -9",
    ]
)
JSON = "\n".join(
    json.dumps({"asctime": "2023-01-12 09:52:10", "levelname": level, "message": message})
    for level, message in (
        ("INFO", "Starting attempt 1 of 1"),
        ("ERROR", f"Task failed with exception\n{TRACEBACK}"),
        ("INFO", "Task exited with return code 1"),
    )
)


def test_cause_and_tail_are_shown_in_the_annotation_the_log_and_the_summary(tmp_path: Path) -> None:
    logs = {"mwaa": MWAA, "own": OWN, "structured": JSON}
    tasks = tuple(FakeTask(name, ends="failed", log_text=text) for name, text in logs.items())
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", tasks=tasks, ends="failed")]) as fake:
        inputs = {
            "airflow_url": fake.url,
            "username": "admin",
            "password": password_of("admin"),
            "dag_id": "sales",
            "poll_interval": "1",
        }
        result = ActionStep(inputs, launcher=Process(), workspace=tmp_path).run(timeout=120)

    assert result.exit_code == 1, result.log
    raised = (
        "RuntimeError: The sales cannot be loaded APAC: 7 bad rows (because of ValueError: could "
        "not convert string to float: 'n/a')"
    )
    killed = "Task exited with return code -9 (SIGKILL, often because memory ran out)"
    causes = {"mwaa": raised, "own": killed, "structured": raised}
    (error,) = [note for note in result.annotations if note.title == "DAG run failed"]
    for name, cause in causes.items():
        assert f"{name} failed: {cause}" in error.message.splitlines()
        assert f"Log of {name}: {cause}" in result.log
    # The log divides what could be a command with invisible characters.
    for text in (result.log.replace("\u2060", ""), result.summary):
        assert "command line 0\n" in text
        assert "[2023-01-12 09:52:10] ERROR - Task failed with exception\n" in text
        assert "[2023-01-12, 09:52:18 UTC] {{local_task_job.py:159}}" in text
        assert AIRFLOW not in text
        assert "Reading local file" not in text
    assert "7 bad rows\n    /usr/local/airflow/dags/sales.py, line 18, in load" in result.summary
