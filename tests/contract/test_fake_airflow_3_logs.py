"""Task logs of Airflow 3.3.2, of the real one and the scripted one."""

from __future__ import annotations

import base64
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api import new_id, reason
from tests.contract.conftest import THREE
from tests.contract.shapes import assert_shape

if TYPE_CHECKING:
    from tests.contract.api import Api
    from tests.contract.conftest import FailedRuns

pytestmark = pytest.mark.parametrize("server", THREE, indirect=True, scope="session")

LINES = "application/x-ndjson"
HEAD = {"event": "::group::Log message source details"}
EXCEPTION = {
    **dict.fromkeys(("exc_type", "exc_value"), str),
    **dict.fromkeys(("exc_notes", "frames", "exceptions"), list),
    **dict.fromkeys(("is_cause", "is_group"), bool),
    "syntax_error": dict | None,
}


def path(dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
    return f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"


def lines(api: Api, where: str) -> list[dict[str, Any]]:
    answer = api.read(where, LINES)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, LINES)
    return [json.loads(line) for line in answer.text.splitlines()]


def failed(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the entry with the exception."""
    (found,) = [entry for entry in entries if "error_detail" in entry]
    return found


def test_a_log_is_a_list_of_events_with_a_structured_exception(admin: Api, failure: str) -> None:
    answer = admin.get(path("quick_failure", failure, "fail"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert_shape(answer.json(), {"content": list, "continuation_token": str | None})
    entries = answer.json()["content"]
    assert entries[0] == HEAD
    entry = failed(entries)
    assert (entry["event"], entry["level"], entry["logger"]) == (
        "Task failed with exception",
        "error",
        "task",
    )
    (problem,) = entry["error_detail"]
    assert (problem["exc_type"], problem["exc_value"]) == ("ValueError", "It does not work")
    assert_shape(problem, EXCEPTION)
    assert_shape(problem["frames"][-1], {"filename": str, "lineno": int, "name": str})


def test_a_log_as_ndjson_has_one_event_per_line(admin: Api, success: str) -> None:
    """It is sent in chunks. As text a log is refused."""
    where = path("quick_success", success, "succeed")
    answer = admin.read(where, LINES)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Airflow-Continuation-Token"]
    entries = lines(admin, where)
    assert all({"timestamp", "event"} <= set(entry) for entry in entries)
    assert entries[0] == {"timestamp": None} | HEAD
    assert [one["event"] for one in entries if one.get("logger") == "task.stdout"] == ["It works"]
    assert [one["event"] for one in admin.get(where).json()["content"]] == [
        one["event"] for one in entries
    ]
    refused = admin.read(where, "text/plain")
    assert (refused.status_code, reason(refused)) == (
        406,
        "Only application/json or application/x-ndjson is supported",
    )


def test_of_chained_exceptions_the_last_one_comes_first(
    admin: Api, failed_runs: FailedRuns
) -> None:
    """Of its frames, the one that raised comes last."""
    entries = lines(admin, path("chained_failure", failed_runs["chained_failure"], "load_sales"))
    assert "Loading the sales" in [
        entry["event"] for entry in entries if entry.get("logger") == "task.stdout"
    ]
    last, cause = failed(entries)["error_detail"]
    assert_shape(cause, EXCEPTION)
    assert (last["exc_type"], last["exc_value"]) == (
        "RuntimeError",
        "The sales of 2025-01-31 cannot be loaded",
    )
    assert (cause["exc_type"], cause["exc_value"]) == ("ValueError", "Not an amount: 'n/a'")
    assert (last["is_cause"], cause["is_cause"]) == (False, True)
    shown = [
        [(PurePosixPath(one["filename"]).name, one["name"]) for one in found["frames"]]
        for found in (last, cause)
    ]
    assert shown[0][0] == ("task_runner.py", "_run_task_and_map_outcome")
    assert shown[0][-2:] == [("chained_failure.py", "load_sales"), ("chained_failure.py", "load")]
    helpers = [("sales_helpers.py", name) for name in ("total", "<genexpr>", "parse_amount")]
    assert shown[1] == [("chained_failure.py", "load"), *helpers]


def test_each_of_two_tries_has_a_log_with_its_own_exception(
    admin: Api, failed_runs: FailedRuns
) -> None:
    """There is no log of try 0 or of a third try."""
    where = [
        path("retries_exhausted", failed_runs["retries_exhausted"], "call_partner", number)
        for number in range(4)
    ]
    raised = [
        failed(lines(admin, where[number]))["error_detail"][0]["exc_type"] for number in (1, 2)
    ]
    assert raised == ["ConnectionError", "PermissionError"]
    for number in (0, 3):
        answer = admin.read(where[number], LINES)
        assert (answer.status_code, reason(answer)) == (404, "TaskInstance not found")


def test_the_last_entry_says_that_the_task_was_killed(admin: Api, failed_runs: FailedRuns) -> None:
    """There is no exception."""
    entries = lines(admin, path("worker_killed", failed_runs["worker_killed"], "devour"))
    assert not any("error_detail" in entry for entry in entries)
    last = entries[-1]
    assert (last["level"], last["signal"], last["signal_name"]) == ("critical", -9, "SIGKILL")
    assert last["event"].startswith(
        "Process terminated by signal. Likely out of memory error (OOM). For more information, "
    )


def test_each_map_index_has_its_log_and_the_task_has_none(admin: Api, sales: str) -> None:
    where = path("nightly_sales", sales, "add_up")
    assert len(lines(admin, f"{where}?map_index=1")) > 3
    assert admin.get(where).status_code == 404


def test_the_log_of_a_task_that_never_ran_is_one_sentence(
    admin: Api, failed_runs: FailedRuns
) -> None:
    """The log is that of try 0; the sentence depends on the state."""
    waiting = new_id()
    assert admin.trigger("paused_dag", dag_run_id=waiting).status_code == 200
    message = {
        (
            "chained_failure",
            failed_runs["chained_failure"],
            "publish",
        ): "Task did not run because upstream task(s) failed.",
        ("too_slow", failed_runs["too_slow"], "publish"): "Task was skipped — no logs available.",
        ("paused_dag", waiting, "succeed"): "No logs available for this task.",
    }
    for where, sentence in message.items():
        head, end, only = lines(admin, path(*where, 0))
        assert (head, end) == (
            {"timestamp": None} | HEAD,
            {"timestamp": None, "event": "::endgroup::"},
        )
        assert (set(only), only["event"]) == ({"timestamp", "event"}, sentence)
        assert admin.read(path(*where, 1), LINES).status_code == 404
    assert (
        admin.patch(f"/dags/paused_dag/dagRuns/{waiting}", {"state": "failed"}).status_code == 200
    )


def test_the_log_of_an_unknown_task_or_run_is_a_404(admin: Api, failure: str) -> None:
    for where in (path("quick_failure", failure, "nope"), path("quick_failure", new_id(), "fail")):
        answer = admin.read(where, LINES)
        assert (answer.status_code, reason(answer)) == (404, "TaskInstance not found")


def test_a_token_continues_the_log_of_a_running_task(admin: Api) -> None:
    """It is null once the task has ended. One that Airflow has not signed is refused."""
    run_id = new_id()
    assert admin.trigger("slow_sales", dag_run_id=run_id, conf={"seconds": 300}).status_code == 200
    admin.at_work("slow_sales", run_id)
    where = path("slow_sales", run_id, "crunch")
    first = admin.until(
        lambda: admin.get(where).json(),
        lambda body: any("logger" in entry for entry in body["content"]),
    )
    assert first["content"][0] == HEAD
    token = first["continuation_token"]
    length = len([one for one in first["content"] if one.get("timestamp")])
    assert position(token) == {"end_of_log": False, "log_pos": length}
    more = admin.get(where, token=token).json()
    assert HEAD not in more["content"]
    assert position(more["continuation_token"])["log_pos"] == length + len(more["content"])
    assert reason(admin.get(where, token=f"{token}x")).startswith("Bad Signature")
    admin.patch(f"/dags/slow_sales/dagRuns/{run_id}", {"state": "failed"})
    last = admin.get(where, token=token).json()
    assert (HEAD in last["content"], last["continuation_token"]) == (False, None)


def position(token: str) -> dict[str, Any]:
    """Return what a token says."""
    payload = token.split(".", maxsplit=1)[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return found
