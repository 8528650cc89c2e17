"""What older Airflows do differently (docs/notes/airflow-versions.md#what-differs-by-version)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v1 import V1
from entrypoint.errors import Conflict, InvalidConf, NotSupported, RunNotFound
from entrypoint.models import XComName
from tests.support.factories import a_request, a_run, a_task
from tests.unit import script
from tests.unit.script import http_response

BASE = "https://airflow.example.com"
DATE = datetime(2026, 1, 31, 9, 30, 15, 250_000, UTC)
RUN = {"dag_id": "nightly_sales", "dag_run_id": "r1", "state": "queued"}
OLD_RUN = RUN | {"execution_date": DATE.isoformat()}
CLEARED: dict[str, Any] = {"task_instances": []}


def client(version: str, *answers: Any) -> tuple[V1, script.ScriptedAdapter]:
    end = script.ScriptedAdapter(*(http_response(200, answer) for answer in answers))
    return V1(Transport(BASE, end.client()), version), end


def sent(end: script.ScriptedAdapter, number: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(end.sent[number].request.body or b"")
    return body


@pytest.mark.parametrize(
    ("version", "name"),
    [("2.0.2", "execution_date"), ("2.1.4", "execution_date"), ("2.2.0", "logical_date")],
)
def test_the_logical_date_has_the_name_of_the_version(version: str, name: str) -> None:
    airflow, end = client(version, RUN | {name: DATE.isoformat()})

    assert airflow.trigger(a_request(logical_date=DATE)).logical_date == DATE
    assert sent(end) == {"dag_run_id": "r1", "conf": {}, name: DATE.isoformat()}


@pytest.mark.parametrize(
    ("version", "in_trigger", "afterwards"),
    [
        ("2.4.3", False, False),
        ("2.5.0", False, True),
        ("2.5.1", False, True),
        ("2.5.1+composer", False, True),
        ("2.5.2", True, False),
        ("2.11.2", True, False),
    ],
)
def test_a_note_is_sent_where_the_version_accepts_it(
    version: str, in_trigger: bool, afterwards: bool
) -> None:
    answer = RUN if version == "2.4.3" else RUN | {"note": None}
    airflow, end = client(version, answer, RUN | {"note": "why"})
    request = a_request(note="why")

    run = airflow.complete_trigger(airflow.trigger(request), request)

    assert ("note" in sent(end, 0)) is in_trigger
    patched = [one.url for one in end.sent if one.request.method == "PATCH"]
    set_note = f"{BASE}/api/v1/dags/nightly_sales/dagRuns/r1/setNote"
    assert patched == ([set_note] if afterwards else [])
    assert run.note == ("why" if afterwards else None)


def test_a_note_that_cannot_be_set_leaves_the_run() -> None:
    end = script.ScriptedAdapter(http_response(200, RUN | {"note": None}), http_response(500, b""))
    airflow, request = V1(Transport(BASE, end.client()), "2.5.1"), a_request(note="why")

    run = airflow.complete_trigger(airflow.trigger(request), request)

    assert (run.run_id, run.note) == ("r1", None)
    # Without a note it is unknown who made the run.
    assert "note" in run.unknown_fields


@pytest.mark.parametrize("version", ["2.0.2", "2.2.5"])
def test_links_before_2_3_have_the_logical_date(version: str) -> None:
    airflow, _ = client(version, OLD_RUN)
    before = airflow.run_url("nightly_sales", "r1")
    airflow.get_run("nightly_sales", "r1")
    task = a_task(map_index=-1)

    date = "2026-01-31T09%3A30%3A15.250000Z"
    assert before == f"{BASE}/dagrun/list/?_flt_3_dag_id=nightly_sales&_flt_3_run_id=r1"
    graph = f"{BASE}/graph?dag_id=nightly_sales&execution_date={date}"
    assert airflow.run_url("nightly_sales", "r1") == graph
    log = f"{BASE}/log?dag_id=nightly_sales&task_id=extract&execution_date={date}"
    assert airflow.task_url(task, "nightly_sales", "r1") == log


def test_links_from_2_3_on_have_the_run_id() -> None:
    airflow, _ = client("2.3.0", OLD_RUN)
    airflow.get_run("nightly_sales", "r1")

    assert airflow.run_url("nightly_sales", "r1").endswith("/grid?dag_run_id=r1")


FAILED = (a_task("load", state="failed"), a_task("publish", state="upstream_failed"))
DATES = dict.fromkeys(("start_date", "end_date"), DATE.isoformat())


@pytest.mark.parametrize(
    ("version", "tasks", "body"),
    [
        ("2.0.2", "all", DATES | {"only_failed": False}),
        ("2.0.2", FAILED, DATES | {"only_failed": True}),
        ("2.0.2", (*FAILED, a_task("x", state=None)), DATES | {"only_failed": True}),
        ("2.1.4", FAILED, DATES | {"only_failed": False, "task_ids": ["load", "publish"]}),
        ("2.3.4", "all", DATES | {"only_failed": False}),
        ("2.3.4", FAILED, DATES | {"only_failed": False, "task_ids": ["load", "publish"]}),
        ("2.4.3", "all", {"only_failed": False, "dag_run_id": "r1"}),
        (
            "2.4.3",
            FAILED,
            {"only_failed": False, "task_ids": ["load", "publish"], "dag_run_id": "r1"},
        ),
    ],
)
def test_a_clear_names_the_run_as_the_version_can(
    version: str, tasks: Any, body: dict[str, Any]
) -> None:
    """Before 2.4 only by its logical date."""
    airflow, end = client(version, OLD_RUN, CLEARED)
    airflow.get_run("nightly_sales", "r1")

    airflow.clear("nightly_sales", "r1", tasks, latest=False)

    assert sent(end) == {"dry_run": False, "reset_dag_runs": True, **body}


def test_a_clear_reads_a_logical_date_that_is_unknown() -> None:
    airflow, end = client("2.3.4", OLD_RUN, CLEARED)

    airflow.clear("nightly_sales", "r1", "all", latest=False)

    assert [one.request.method for one in end.sent] == ["GET", "POST"]
    assert sent(end)["start_date"] == DATE.isoformat()


def test_no_clear_is_sent_without_a_logical_date() -> None:
    """Without dates it would clear every run of the DAG."""
    airflow, end = client("2.3.4", RUN)

    with pytest.raises(RunNotFound):
        airflow.clear("nightly_sales", "r1", "all", latest=False)
    assert [one.request.method for one in end.sent] == ["GET"]


@pytest.mark.parametrize("state", ["skipped", "running", "up_for_retry", "queued"])
def test_airflow_2_0_does_not_resume_a_run_with_skipped_or_interrupted_tasks(state: str) -> None:
    """It can only clear the failed ones, and the run could succeed without the others."""
    airflow, end = client("2.0.2", OLD_RUN)

    with pytest.raises(NotSupported, match="cannot resume") as caught:
        airflow.clear("nightly_sales", "r1", (*FAILED, a_task("other", state=state)), latest=False)
    assert "restart" in caught.value.hint
    assert all(one.request.method == "GET" for one in end.sent)


def test_the_log_of_a_mapped_instance_is_not_requested_before_2_4() -> None:
    airflow, end = client("2.3.4")
    log = airflow.log(a_run(), a_task(map_index=1), 10)

    assert "Airflow 2.3.4 does not return the log of a mapped task" in log.unavailable
    assert end.sent == []


PARAMS = {"params": {"days": {"schema": {"type": "integer"}, "value": 7}}}


@pytest.mark.parametrize("version", ["2.3.4", "2.4.3", "2.5.1", "2.6.3", "2.7.3", "2.8.4"])
def test_the_params_explain_a_500_before_2_9(version: str) -> None:
    airflow, end = client(version, PARAMS)
    error = airflow.explain_failed_trigger(a_request(conf={"days": "five"}))

    assert isinstance(error, InvalidConf)
    assert "param days: it is of type string" in error.detail
    assert end.sent[0].url == f"{BASE}/api/v1/dags/nightly_sales/details"


@pytest.mark.parametrize(
    ("version", "conf"), [("2.8.4", {"days": 5}), ("2.9.3", {"days": "five"}), ("2.2.5", {})]
)
def test_a_good_conf_or_a_version_with_a_reason_explains_nothing(
    version: str, conf: dict[str, Any]
) -> None:
    assert client(version, PARAMS)[0].explain_failed_trigger(a_request(conf=conf)) is None


@pytest.mark.parametrize(
    "answer", [http_response(500, b""), http_response(403, {}), {}, {"params": 1}]
)
def test_unreadable_params_explain_nothing(answer: Any) -> None:
    answers = [http_response(200, answer) if isinstance(answer, dict) else answer] * 2
    airflow = V1(Transport(BASE, script.ScriptedAdapter(*answers).client()), "2.8.4")

    assert airflow.explain_failed_trigger(a_request(conf={"days": "five"})) is None


def test_a_taken_logical_date_explains_a_500_before_2_2() -> None:
    """Unless it is that of the requested run itself."""
    answers: tuple[list[dict[str, str]], ...] = (
        [{"dag_run_id": "other"}],
        [],
        [{"dag_run_id": "r1"}],
    )
    airflow, end = client("2.0.2", *({"dag_runs": answer} for answer in answers))
    request = a_request(logical_date=DATE)

    error, *nothing = (airflow.explain_failed_trigger(request) for _ in answers)

    assert isinstance(error, Conflict)
    assert "other" in error.detail
    assert nothing == [None, None]
    asked = parse_qs(urlsplit(str(end.sent[0].url)).query)
    assert asked == {f"execution_date_{end}": [DATE.isoformat()] for end in ("gte", "lte")}


NEWEST = {"order_by": "-start_date"}
TEN, HUNDRED = {"limit": "10"}, {"limit": "100"}


@pytest.mark.parametrize(
    ("version", "queries"),
    [
        ("2.0.2", ()),
        ("2.1.0", (NEWEST | TEN, NEWEST | HUNDRED)),
        ("2.2.5", (NEWEST | TEN, NEWEST | HUNDRED)),
        ("2.3.0", (NEWEST | TEN | {"state": "success"}, HUNDRED | {"state": "running"})),
    ],
)
def test_runs_are_filtered_by_state_where_the_version_can(
    version: str, queries: tuple[dict[str, str], ...]
) -> None:
    """2.1 brought the order and 2.3 the filter; each unknown parameter is a 400."""
    times = {"start_date": "2026-01-31T09:30:00Z", "end_date": "2026-01-31T09:30:40Z"}
    running = RUN | {"state": "running", "dag_run_id": "r2"}
    answer = {"dag_runs": [running, RUN | {"state": "success"} | times, RUN]}
    airflow, end = client(version, answer, answer)

    durations = airflow.recent_durations("nightly_sales")
    runs = airflow.running_runs("nightly_sales")

    assert tuple(dict(parse_qsl(urlsplit(str(one.url)).query)) for one in end.sent) == queries
    found = ((40.0,), ["r2"]) if queries else ((), [])
    assert (durations, [run.run_id for run in runs]) == found


@pytest.mark.parametrize(("version", "refused"), [("2.9.3", True), ("2.10.0", False)])
def test_xcoms_are_refused_before_the_trigger(version: str, refused: bool) -> None:
    airflow, end = client(version)
    request = a_request(xcoms=(XComName("t", "t", "return_value"),))

    if refused:
        with pytest.raises(NotSupported, match="xcom"):
            airflow.check(request)
    else:
        airflow.check(request)
    assert end.sent == []


def test_a_client_with_another_deadline_knows_the_same_dates() -> None:
    airflow, _ = client("2.2.5", OLD_RUN)
    other = airflow.within(airflow._deadline)
    other.get_run("nightly_sales", "r1")

    assert "graph" in airflow.run_url("nightly_sales", "r1")
