"""Task logs of Airflow 2.11.2, of the real one and the scripted one."""

from __future__ import annotations

import ast
import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api import new_id, reason
from tests.contract.conftest import TWO

if TYPE_CHECKING:
    from tests.contract.api import Api
    from tests.contract.conftest import FailedRuns

pytestmark = pytest.mark.parametrize("server", TWO, indirect=True, scope="session")

HEAD = " INFO - ::group::Log message source details"
END = " INFO - ::endgroup::"
TRACEBACK = "Traceback (most recent call last):"
STAMPED = re.compile(
    r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000\] {[a-z_]+\.py:\d+} (INFO|ERROR|WARNING) - (.*)"
)


def log(
    api: Api, dag_id: str, run_id: str, task_id: str, try_number: int = 1, **query: int
) -> list[str]:
    found = api.get(
        f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}", **query
    )
    assert (found.status_code, found.headers["Content-Type"]) == (200, "text/plain")
    return found.text.splitlines()


def message(line: str) -> tuple[str, str]:
    """Return level and text of a line that has them."""
    found = STAMPED.fullmatch(line)
    assert found is not None, line
    return found[1], found[2]


def test_a_log_is_text_with_host_output_and_the_traceback_twice(admin: Api, failure: str) -> None:
    lines = log(admin, "quick_failure", failure, "fail")
    assert lines[0]
    assert lines[1] == HEAD
    assert lines[2].startswith("*** ")
    at = lines.index(TRACEBACK)
    assert message(lines[at - 1]) == ("ERROR", "Task failed with exception")
    assert lines[at + 1].startswith('  File "/')
    end = lines.index("ValueError: It does not work")
    level, text = message(lines[end + 1])
    assert level == "INFO"
    assert text.startswith("Marking task as FAILED. ")
    again = lines.index(TRACEBACK, end)
    level, text = message(lines[again - 1])
    assert level == "ERROR"
    assert re.fullmatch(r"Failed to execute job \d+ for task fail \(It does not work; \d+\)", text)
    assert "ValueError: It does not work" in lines[again:]
    assert any(line.endswith("Task exited with return code 1") for line in lines[again:])


def test_a_log_has_a_content_length_and_is_not_chunked(admin: Api, failure: str) -> None:
    answer = admin.get(f"/dags/quick_failure/dagRuns/{failure}/taskInstances/fail/logs/1")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert "Transfer-Encoding" not in answer.headers


def test_of_chained_exceptions_the_cause_comes_first(admin: Api, failed_runs: FailedRuns) -> None:
    """A log has no empty lines."""
    lines = log(admin, "chained_failure", failed_runs["chained_failure"], "load_sales")
    assert all(line.strip() for line in lines)
    assert any(line.endswith(" {logging_mixin.py:190} INFO - Loading the sales") for line in lines)
    start = lines.index(TRACEBACK)
    between = lines.index("The above exception was the direct cause of the following exception:")
    assert lines[between - 1] == "ValueError: Not an amount: 'n/a'"
    assert lines[between + 1] == TRACEBACK
    end = lines.index("RuntimeError: The sales of 2025-01-31 cannot be loaded")
    frame = re.compile(r'  File "/.*/(?P<file>[^/]+\.py)", line \d+, in (?P<name>\S+)')
    first, second = (
        [
            (found["file"], found["name"])
            for line in lines[low:high]
            if (found := frame.fullmatch(line))
        ]
        for low, high in ((start, between), (between, end))
    )
    helpers = [("sales_helpers.py", name) for name in ("total", "<genexpr>", "parse_amount")]
    assert first == [("chained_failure.py", "load"), *helpers]
    assert second[0] == ("taskinstance.py", "_execute_task")
    assert second[-2:] == [("chained_failure.py", "load_sales"), ("chained_failure.py", "load")]


def test_the_log_of_each_try_says_whether_another_follows(
    admin: Api, failed_runs: FailedRuns
) -> None:
    run_id = failed_runs["retries_exhausted"]
    first, second = (
        log(admin, "retries_exhausted", run_id, "call_partner", number) for number in (1, 2)
    )
    assert any(line.endswith("INFO - Starting attempt 1 of 2") for line in first)
    assert "ConnectionError: The partner does not answer" in first
    assert any("INFO - Marking task as UP_FOR_RETRY. " in line for line in first)
    assert "PermissionError: The partner has locked us out" in second
    assert any("INFO - Marking task as FAILED. " in line for line in second)


def test_a_killed_task_logs_its_exit_code_and_no_exception(
    admin: Api, failed_runs: FailedRuns
) -> None:
    lines = log(admin, "worker_killed", failed_runs["worker_killed"], "devour")
    assert TRACEBACK not in lines
    assert not any(" ERROR - " in line for line in lines)
    (code,) = [line for line in lines if "return code" in line]
    assert message(code)[0] == "INFO"
    assert message(code)[1].startswith(
        "Task exited with return code -9. For more information, see https://airflow.apache.org/"
    )


def test_each_map_index_has_its_log_and_the_task_has_none(admin: Api, sales: str) -> None:
    lines = log(admin, "nightly_sales", sales, "add_up", map_index=1)
    assert any(line.endswith("Task exited with return code 0") for line in lines)
    answer = admin.get(f"/dags/nightly_sales/dagRuns/{sales}/taskInstances/add_up/logs/1")
    assert (answer.status_code, reason(answer)) == (404, "TaskInstance not found: None")


def test_a_missing_log_is_a_200_without_lines_of_the_task(
    admin: Api, failure: str, failed_runs: FailedRuns
) -> None:
    """Of a later try, of try 0 and of a task that never ran."""
    run_id = failed_runs["chained_failure"]
    assert log(admin, "chained_failure", run_id, "publish", 0) == [
        "default_host",
        "Error fetching the logs. Try number 0 is invalid.",
    ]
    later, never = (
        log(admin, "quick_failure", failure, "fail", 9),
        log(admin, "chained_failure", run_id, "publish"),
    )
    assert (bool(later[0]), never[0]) == (True, "")
    for lines in (later, never):
        head, reason, end, *rest = lines[1:]
        assert (head, end) == (HEAD, END)
        assert reason.startswith("*** Could not read served logs: ")
        assert not any(rest)


def test_the_log_of_an_unknown_task_or_run_is_a_404(admin: Api, failure: str) -> None:
    for where in (f"{failure}/taskInstances/nope", f"{new_id()}/taskInstances/fail"):
        answer = admin.get(f"/dags/quick_failure/dagRuns/{where}/logs/1")
        assert (answer.status_code, reason(answer)) == (404, "TaskInstance not found: None")


def test_a_log_as_json_is_a_python_repr(admin: Api, failure: str) -> None:
    answer = admin.read(
        f"/dags/quick_failure/dagRuns/{failure}/taskInstances/fail/logs/1", "application/json"
    )
    assert set(answer.json()) == {"content", "continuation_token"}
    assert answer.json()["content"].startswith("[('")


def test_a_token_continues_the_log_of_a_running_task(admin: Api) -> None:
    """It counts characters, and says whether the task has ended."""
    run_id = new_id()
    assert admin.trigger("slow_sales", dag_run_id=run_id, conf={"seconds": 300}).status_code == 200
    admin.at_work("slow_sales", run_id)
    where = f"/dags/slow_sales/dagRuns/{run_id}/taskInstances/crunch/logs/1"

    def read(token: str | None = None) -> tuple[str, str, dict[str, Any]]:
        """Return the text, the token, and what the token says."""
        body = admin.get_json(where, **({} if token is None else {"token": token}))
        ((_, text),) = ast.literal_eval(body["content"])
        found = body["continuation_token"]
        payload = found.split(".", maxsplit=1)[0]
        return text, found, json.loads(base64.urlsafe_b64decode(payload + "=="))

    text, token, said = admin.until(read, lambda found: STAMPED.search(found[0]) is not None)
    head, _, log = text.partition(f"{END}\n")
    assert head.startswith(HEAD)
    assert said == {"end_of_log": False, "log_pos": len(log)}
    more, _, again = read(token)
    assert HEAD not in more
    assert again["log_pos"] == len(log) + len(more)
    refused = admin.get(where, token=f"{token}x")
    assert (refused.status_code, reason(refused).startswith("Bad Signature")) == (400, True)
    admin.patch(f"/dags/slow_sales/dagRuns/{run_id}", {"state": "failed"})
    assert admin.until(read, lambda found: found[2]["end_of_log"])
