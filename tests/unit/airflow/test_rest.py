"""Airflow's JSON into nouns: what is missing or of another shape is never guessed at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.client import _version
from entrypoint.airflow.rest import dag_not_found, segment
from entrypoint.airflow.task_instances import TaskInstanceRequests
from entrypoint.airflow.transport import Transport
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.errors import (
    DagNotFound,
    Forbidden,
    NotSupported,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.response import Response
from entrypoint.models import Dag, DagRun, RunRequest
from tests.unit import script

WHEN = datetime(2026, 1, 31, tzinfo=UTC)
BASE = "https://airflow.example.com/prefix"
RUN = {"dag_id": "nightly_sales", "dag_run_id": "r+1:a", "state": "running"}
TASK = {
    "task_id": "extract",
    "map_index": -1,
    "state": "success",
    "try_number": 1,
    "duration": 4.2,
} | {
    "max_tries": 2,
    "pool": "tiny",
    "start_date": "2026-01-31T00:00:00Z",
    "end_date": "2026-01-31T00:00:04.2Z",
}
VALUES: dict[str, Any] = {
    "list": [],
    "object": {},
    "number": 1,
    "text": "x",
    "true": True,
    "nan": float("nan"),
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@pytest.fixture(params=[V1, V2], ids=["v1", "v2"])
def dialect(request: pytest.FixtureRequest) -> TaskInstanceRequests:
    """Either dialect; nothing is sent."""
    made: TaskInstanceRequests = request.param(
        Transport(BASE), {V1: "2.11.2", V2: "3.3.2"}[request.param]
    )
    return made


def answer(body: Any, status: int = 200) -> Response:
    """An answer with this JSON."""
    return Response(status, body, f"GET /x answered {status} application/json")


def run_of(dialect: TaskInstanceRequests, body: Any, status: int = 200) -> DagRun:
    """The DAG run that the dialect reads out of the JSON."""
    return dialect._run(answer(body, status), "nightly_sales", "r+1:a")


def test_smallest_run(dialect: TaskInstanceRequests) -> None:
    """Ids and state are enough for a DAG run; null means that Airflow has nothing yet."""
    newer = ("data_interval_start", "data_interval_end", "run_after", "partition_key", "note")
    nothing = dict.fromkeys(
        ("conf", "logical_date", "start_date", "end_date", "bundle_version", "note", *newer)
    )

    assert run_of(dialect, RUN | nothing) == DagRun("nightly_sales", "r+1:a", "running", {})
    assert run_of(dialect, RUN) == DagRun(
        "nightly_sales", "r+1:a", "running", {}, unknown_fields=newer
    )


def test_whole_run(dialect: TaskInstanceRequests) -> None:
    """Everything that a DAG run has is read, dates as moments in UTC."""
    run = run_of(
        dialect,
        RUN
        | {
            "conf": {"a": 1},
            "logical_date": "2026-01-31T01:00:00+01:00",
            "start_date": "2026-01-31T00:00:01Z",
        }
        | {
            "end_date": "2026-01-31T00:00:02.500000",
            "bundle_version": "abc",
            "note": "why",
            "unknown": 1,
        }
        | {"run_after": "2026-01-31T00:00:00Z"},
    )

    assert (run.conf, run.bundle_version, run.note, run.duration) == ({"a": 1}, "abc", "why", 1.5)
    assert str(run.logical_date) == "2026-01-31 00:00:00+00:00"
    assert run.end_date == datetime(2026, 1, 31, 0, 0, 2, 500_000, UTC)
    assert run.run_after == WHEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"dag_id": "other"},
        {"dag_run_id": "r 1:a"},
        {"dag_run_id": None},
        {"state": "SUCCESS"},
        {"state": "restarting"},
        {"state": None},
        {"state": ["success"]},
        {"start_date": "yesterday"},
        {"start_date": 1769817600},
        {"end_date": "0001-01-01T00:00:00+01:00"},
        {"run_after": "soon"},
        *({"conf": VALUES[kind]} for kind in ("list", "number", "text", "true")),
        *({"bundle_version": VALUES[kind]} for kind in ("list", "number", "object")),
        *({"note": VALUES[kind]} for kind in ("list", "number", "object")),
    ],
    ids=str,
)
def test_not_this_run(dialect: TaskInstanceRequests, wrong: dict[str, Any]) -> None:
    """An answer about another run, in an unknown state or of another shape proves nothing."""
    with pytest.raises(UnexpectedResponse):
        run_of(dialect, RUN | wrong)


@pytest.mark.parametrize("status", [201, 202, 206, 400, 404, 409])
def test_only_200_is_a_run(dialect: TaskInstanceRequests, status: int) -> None:
    """A body like a DAG run's with another status is none."""
    with pytest.raises(UnexpectedResponse):
        run_of(dialect, RUN | {"state": "success"}, status)


@given(json_values)
def test_any_json_for_a_run(body: Any) -> None:
    """Whatever JSON comes, it is no DAG run, and never a success."""
    with pytest.raises(UnexpectedResponse):
        run_of(V2(Transport(BASE), "3.3.2"), body)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("state", "conf", "start_date", "note", "run_after"), json_values),
    )
)
def test_any_fields_of_a_run(fields: dict[str, Any]) -> None:
    """Whatever its fields hold, a DAG run is read or unexpected."""
    try:
        run = run_of(V2(Transport(BASE), "3.3.2"), RUN | fields)
    except UnexpectedResponse:
        return
    assert run.state in {"queued", "running", "success", "failed"}


def test_task_instance(dialect: TaskInstanceRequests) -> None:
    """A task instance needs a task_id; the rest may be missing or null."""
    whole = dialect._task(answer({}), TASK, "nightly_sales", "r+1:a")
    least = dialect._task(answer({}), {"task_id": "extract"}, "nightly_sales", "r+1:a")
    nothing = dialect._task(
        answer({}), dict.fromkeys(TASK) | {"task_id": "extract"}, "nightly_sales", "r+1:a"
    )

    assert (whole.name, whole.state, whole.try_number, whole.duration) == (
        "extract",
        "success",
        1,
        4.2,
    )
    assert (whole.max_tries, whole.pool) == (2, "tiny")
    assert (whole.start_date, whole.end_date) == (WHEN, WHEN + timedelta(seconds=4.2))
    assert least == nothing
    assert (least.name, least.state, least.try_number, least.duration) == ("extract", None, 0, None)
    assert (least.max_tries, least.pool, least.start_date, least.end_date) == (0, None, None, None)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("field", TASK)
def test_not_a_task_instance(dialect: TaskInstanceRequests, field: str, kind: str) -> None:
    """A field of another kind makes the answer unexpected, before it can break the report."""
    good = {
        "task_id": ["text"],
        "map_index": ["number"],
        "state": ["text"],
        "try_number": ["number"],
        "duration": ["number"],
        "max_tries": ["number"],
        "pool": ["text"],
    }
    item = TASK | {field: VALUES[kind]}
    if kind in good.get(field, []):
        assert dialect._task(answer({}), item, "nightly_sales", "r+1:a").task_id == item["task_id"]
    else:
        with pytest.raises(UnexpectedResponse):
            dialect._task(answer({}), item, "nightly_sales", "r+1:a")


DAG = {"dag_id": "nightly_sales", "is_paused": False}


@dataclass
class Answering:
    """A transport of which only the answer matters, and what was asked for."""

    answer: Response
    base_url: str = BASE
    params: list[Mapping[str, Any]] = field(default_factory=list)

    def send(self, *_: object, **__: object) -> Response:
        """Answer."""
        return self.answer

    def get(self, _: str, params: Mapping[str, Any]) -> Response:
        """Answer."""
        self.params.append(params)
        return self.answer


def dag_of(kind: type[V1 | V2], body: Any) -> Dag:
    """The DAG that the dialect reads out of the JSON."""
    transport: Any = Answering(answer(body))
    return kind(transport, {V1: "2.11.2", V2: "3.3.2"}[kind]).get_dag("nightly_sales")


FILE, RELATIVE = "/opt/airflow/dags/sub/sales.py", "sub/sales.py"
KNOWN = Dag("nightly_sales", is_paused=False, is_active=True, has_import_errors=False)


@pytest.mark.parametrize(
    ("kind", "body", "known"),
    [
        (V1, {}, {}),
        (V2, {}, {}),
        (V1, {"fileloc": FILE, "max_active_runs": 16}, {"file": FILE, "max_active_runs": 16}),
        (
            V2,
            {"fileloc": FILE, "relative_fileloc": RELATIVE, "max_active_runs": 1},
            {"file": RELATIVE, "max_active_runs": 1},
        ),
        (V2, {"fileloc": FILE, "relative_fileloc": None}, {"file": FILE}),
        (
            V1,
            {"is_active": False, "has_import_errors": True},
            {"is_active": False, "has_import_errors": True},
        ),
        (
            V2,
            {"is_stale": True, "has_import_errors": True},
            {"is_active": False, "has_import_errors": True},
        ),
        (V1, {"is_paused": True, "is_active": True}, {"is_paused": True}),
        (V2, {"is_paused": True, "is_stale": False}, {"is_paused": True}),
        (V1, {"last_parsed_time": "2026-01-31T01:00:00+01:00"}, {"last_parsed": WHEN}),
        (V2, {"last_parsed_time": "2026-01-31T00:00:00Z"}, {"last_parsed": WHEN}),
        *((kind, {"file_token": "a.b"}, {"file_token": "a.b"}) for kind in (V1, V2)),
        (
            V2,
            {"bundle_name": "main", "bundle_version": "abc"},
            {"bundle": "main", "bundle_version": "abc"},
        ),
        *(
            (
                kind,
                dict.fromkeys(("bundle_name", "bundle_version", "last_parsed_time", "file_token")),
                {},
            )
            for kind in (V1, V2)
        ),
    ],
)
def test_dag(kind: type[V1 | V2], body: dict[str, Any], known: dict[str, Any]) -> None:
    """A DAG has its file as this Airflow's import errors name it, its limit of runs, its code, and
    whether it is there.
    """
    assert dag_of(kind, DAG | body) == KNOWN._replace(**known)


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_paused": None},
        {"dag_id": 1},
        {"max_active_runs": "16"},
        {"max_active_runs": True},
        {"bundle_name": 1},
        {"bundle_version": 7},
        {"bundle_version": ["abc"]},
        {"last_parsed_time": "yesterday"},
        {"last_parsed_time": 1769817600},
        {"file_token": {}},
    ],
)
@pytest.mark.parametrize("kind", [V1, V2])
def test_not_a_dag(kind: type[V1 | V2], wrong: dict[str, Any]) -> None:
    """A DAG without a pause, or with a limit, a version or a date that is none, is an unexpected
    answer.
    """
    with pytest.raises(UnexpectedResponse):
        dag_of(kind, DAG | wrong)


DIALECTS = [(V1, "2.11.2"), (V2, "3.3.2")]


@pytest.mark.parametrize(("kind", "version"), DIALECTS)
@pytest.mark.parametrize(
    ("body", "commit"),
    [
        ({"latest_dag_version": {"bundle_version": "abc", "bundle_name": "main"}}, "abc"),
        ({"latest_dag_version": {"bundle_version": None}}, None),
        ({"latest_dag_version": {}}, None),
        ({"latest_dag_version": None}, None),
        # Airflow 2, and an Airflow 3 whose DAG itself has a version.
        ({}, None),
        ({"bundle_version": "abc"}, None),
    ],
)
def test_serialized_version(
    kind: type[V1 | V2], version: str, body: dict[str, Any], commit: str | None
) -> None:
    """The DAG's structure is from the version of its latest DAG version, and of none where Airflow
    names none.
    """
    end = script.Script(script.answer(200, DAG | body))

    assert kind(Transport(BASE, end.wire()), version).latest_dag_version("a/b") == commit
    assert end.sent[0].url == f"{BASE}{kind.api}/dags/a%2Fb/details"


@pytest.mark.parametrize(("kind", "version"), DIALECTS)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (script.answer(200, {"latest_dag_version": "abc"}), UnexpectedResponse),
        (script.answer(200, {"latest_dag_version": {"bundle_version": 7}}), UnexpectedResponse),
        (script.answer(200, []), UnexpectedResponse),
        (script.answer(404, {"detail": "not found"}), DagNotFound),
        (script.answer(404, b"<html>"), UnexpectedResponse),
        (script.answer(503, b""), TransientError),
    ],
)
def test_no_serialized_version(
    kind: type[V1 | V2], version: str, reply: bytes, error: type[Exception]
) -> None:
    """A version of another shape is not guessed at, and a DAG that is not there has none."""
    with pytest.raises(error):
        kind(Transport(BASE, script.Script(reply).wire()), version).latest_dag_version(
            "nightly_sales"
        )


@pytest.mark.parametrize(("kind", "version"), DIALECTS)
@pytest.mark.parametrize(
    "reply",
    [
        script.answer(201, b"", "text/html"),
        script.answer(200, {}),
        script.answer(404, {"detail": "Not found"}),
        script.answer(404, b"<html>"),
        script.answer(409, {"detail": "Asked already"}),
    ],
    ids=["201", "200", "404", "no endpoint", "409"],
)
def test_parse_now(kind: type[V1 | V2], version: str, reply: bytes) -> None:
    """The file is asked for by its token, and that Airflow was asked already, or cannot be, is no
    error.
    """
    end = script.Script(reply)
    kind(Transport(BASE, end.wire()), version).request_reparse(
        KNOWN._replace(file_token="a/b.c+d==")
    )

    assert [(sent.request.method, sent.url) for sent in end.sent] == [
        ("PUT", f"{BASE}{kind.api}/parseDagFile/a%2Fb.c%2Bd%3D%3D")
    ]


NOT_ALLOWED = script.answer(403, {"detail": "Forbidden", "title": "Forbidden", "status": 403})


@pytest.mark.parametrize(
    ("kind", "version", "others", "error"),
    [
        (V1, "2.11.2", [script.answer(200, {"dags": []})], Forbidden),
        (V1, "2.11.2", [NOT_ALLOWED], Unauthorized),
        (V2, "3.3.2", [], Forbidden),
    ],
)
def test_parse_now_without_the_permission(
    kind: type[V1 | V2], version: str, others: list[bytes], error: type[Exception]
) -> None:
    """A missing permission is told from a refused credential as everywhere else."""
    end = script.Script(NOT_ALLOWED, *others)
    with pytest.raises(error):
        kind(Transport(BASE, end.wire()), version).request_reparse(
            KNOWN._replace(file_token="token")
        )

    assert end.answers == []


@pytest.mark.parametrize(
    ("kind", "value", "seconds"),
    [
        (V1, {"__type": "TimeDelta", "days": 0, "microseconds": 0, "seconds": 10}, 10.0),
        (V1, {"__type": "TimeDelta", "days": 1, "microseconds": 500_000, "seconds": 1}, 86_401.5),
        (V2, "PT10S", 10.0),
        (V2, "PT1.5S", 1.5),
        (V2, "P1DT2H3M4S", 93_784.0),
        (V2, "PT45M", 2700.0),
        (V2, "P2D", 172_800.0),
    ],
)
def test_seconds(kind: type[V1 | V2], value: Any, seconds: float) -> None:
    """A dagrun_timeout is read in the form of its version: an object of parts, or ISO 8601."""
    assert kind(Transport(BASE), "")._seconds(answer({}), value) == seconds


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (V1, "PT10S"),
        (V1, 10),
        (V1, {"seconds": "10"}),
        (V2, {"seconds": 10}),
        (V2, 10),
        (V2, "10"),
        (V2, "ten"),
        (V2, ""),
    ],
)
def test_not_seconds(kind: type[V1 | V2], value: Any) -> None:
    """A duration in any other form is an unexpected answer, not a guess."""
    with pytest.raises(UnexpectedResponse):
        kind(Transport(BASE), "")._seconds(answer({}), value)


def test_urls_on_airflow_2() -> None:
    """Airflow 2 shows a run in the grid, with every character of its id quoted."""
    v1 = V1(Transport(BASE), "2.11.2")
    mapped = v1._task(answer({}), TASK | {"map_index": 3}, "nightly_sales", "r+1:a")

    assert (
        v1.run_url("nightly_sales", "r+1:a")
        == f"{BASE}/dags/nightly_sales/grid?dag_run_id=r%2B1%3Aa"
    )
    assert mapped.url == (
        f"{BASE}/dags/nightly_sales/grid?dag_run_id=r%2B1%3Aa&task_id=extract&map_index=3&tab=logs"
    )


def test_urls_on_airflow_3() -> None:
    """Airflow 3 has a page for each run and task instance."""
    v2 = V2(Transport(BASE), "3.3.2")
    mapped = v2._task(answer({}), TASK | {"map_index": 0}, "nightly_sales", "r+1:a")

    assert v2.run_url("nightly_sales", "r+1:a") == f"{BASE}/dags/nightly_sales/runs/r%2B1%3Aa"
    assert mapped.url == f"{BASE}/dags/nightly_sales/runs/r%2B1%3Aa/tasks/extract/mapped/0"


@given(st.text())
def test_segment(text: str) -> None:
    """Whatever the text, lone surrogates included, it becomes one segment of a path."""
    assert set(segment(text)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~%"
    )


@pytest.mark.parametrize(
    "version", ["2.11.2", "3.3.2", "3.2.0rc1", "2.10.5+composer", "3.3.2.dev0", "2.5"]
)
def test_version(version: str) -> None:
    """Every form of release that Airflow has had is a version."""
    assert _version(answer({"version": version})) == version


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": None},
        {"version": 3},
        {"version": "three"},
        {"version": "3.3<script>"},
        [],
        "3.3.2",
        None,
        {"version": "3.3.2" + "x" * 1000},
    ],
)
def test_not_a_version(body: Any) -> None:
    """Whoever answers anything else is not Airflow."""
    assert _version(answer(body)) is None


def test_version_needs_200() -> None:
    """A version in an error is none."""
    assert _version(answer({"version": "3.3.2"}, 404)) is None


@pytest.mark.parametrize("body", [None, 1, [], "detail", {"error": "x"}])
def test_a_404_that_is_not_airflows(body: Any) -> None:
    """A 404 of a gateway does not mean that the DAG is missing."""
    assert isinstance(dag_not_found("nightly_sales", answer(body, 404)), UnexpectedResponse)


def test_a_404_of_airflow() -> None:
    """Airflow's own 404 means that there is no such DAG, and is quoted."""
    error = dag_not_found("nightly_sales", answer({"detail": "not found"}, 404))

    assert isinstance(error, DagNotFound)
    assert error.detail == "dag_id 'nightly_sales': not found"


COMPARED_FIELDS: dict[str, dict[str, Any]] = {
    "note": {"note": "by hand"},
    "data_interval_start": {
        "data_interval_start": WHEN,
        "data_interval_end": WHEN,
        "logical_date": WHEN,
    },
    "run_after": {"run_after": WHEN},
    "partition_key": {"partition_key": "2026-01-31"},
    "commit": {"commit": "c" * 40},
}


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("2.4.3", {"note", "data_interval_start", "run_after", "partition_key", "commit"}),
        ("2.8.4", {"data_interval_start", "run_after", "partition_key", "commit"}),
        ("2.10.5", {"run_after", "partition_key", "commit"}),
        ("2.11.2", {"run_after", "partition_key", "commit"}),
        ("3.0.6", {"partition_key"}),
        ("3.3.2", set[str]()),
    ],
)
def test_what_a_version_cannot_honour_is_refused_by_name(version: str, refused: set[str]) -> None:
    """An input that this Airflow would ignore or refuse is an error that names it, before anything
    is sent.
    """
    dialect = (V1 if version.startswith("2") else V2)(Transport(BASE), version)
    said = {}
    for name, asked in COMPARED_FIELDS.items():
        try:
            dialect.check(RunRequest("nightly_sales", "r1", {}, **asked))
        except NotSupported as error:
            said[name] = f"{error.title} {error.detail}"
    assert said.keys() == refused
    assert all(name in words and version in words for name, words in said.items())


def test_an_interval_without_a_logical_date_is_refused_where_it_would_be_ignored() -> None:
    """Airflow 3 drops such an interval in silence; Airflow 2 takes it."""
    request = RunRequest(
        "nightly_sales", "r1", {}, data_interval_start=WHEN, data_interval_end=WHEN
    )
    V1(Transport(BASE), "2.11.2").check(request)
    with pytest.raises(NotSupported, match="logical_date"):
        V2(Transport(BASE), "3.3.2").check(request)


def test_an_airflow_that_cannot_clear_one_run_says_so() -> None:
    """Before 2.4 a run cannot be continued, and the error names the input and the version."""
    with pytest.raises(NotSupported, match="if_run_exists") as caught:
        V1(Transport(BASE), "2.3.4").clear("nightly_sales", "r1", "all")
    assert "2.3.4" in caught.value.detail
