"""Reading the JSON of both Airflow APIs into models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.client import _version
from entrypoint.airflow.parse import require_run
from entrypoint.airflow.responses import dag_not_found
from entrypoint.airflow.rest import RestAirflow, segment
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
def dialect(request: pytest.FixtureRequest) -> RestAirflow:
    """Return the client of one API version, which sends nothing."""
    made: RestAirflow = request.param(Transport(BASE), {V1: "2.11.2", V2: "3.3.2"}[request.param])
    return made


def response_with(body: Any, status: int = 200) -> Response:
    return Response(status, body, f"GET /x answered {status} application/json")


def read_run(body: Any, status: int = 200) -> DagRun:
    return require_run(response_with(body, status), "nightly_sales", "r+1:a")


def test_run_needs_only_ids_and_a_state() -> None:
    newer = ("data_interval_start", "data_interval_end", "run_after", "partition_key", "note")
    nothing = dict.fromkeys(
        ("conf", "logical_date", "start_date", "end_date", "bundle_version", "note", *newer)
    )

    assert read_run(RUN | nothing) == DagRun("nightly_sales", "r+1:a", "running", {})
    assert read_run(RUN) == DagRun("nightly_sales", "r+1:a", "running", {}, unknown_fields=newer)


def test_every_field_of_a_run_is_read() -> None:
    run = read_run(
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
def test_another_run_an_unknown_state_or_another_shape_is_unexpected(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(UnexpectedResponse):
        read_run(RUN | wrong)


@pytest.mark.parametrize("status", [201, 202, 206, 400, 404, 409])
def test_run_is_read_only_from_status_200(status: int) -> None:
    with pytest.raises(UnexpectedResponse):
        read_run(RUN | {"state": "success"}, status)


@given(json_values)
def test_any_other_json_is_no_run(body: Any) -> None:
    with pytest.raises(UnexpectedResponse):
        read_run(V2(Transport(BASE), "3.3.2"), body)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("state", "conf", "start_date", "note", "run_after"), json_values),
    )
)
def test_run_with_any_fields_is_read_or_unexpected(fields: dict[str, Any]) -> None:
    try:
        run = read_run(RUN | fields)
    except UnexpectedResponse:
        return
    assert run.state in {"queued", "running", "success", "failed"}


def test_task_instance_needs_only_a_task_id(dialect: RestAirflow) -> None:
    whole = dialect._task(response_with({}), TASK, "nightly_sales", "r+1:a")
    least = dialect._task(response_with({}), {"task_id": "extract"}, "nightly_sales", "r+1:a")
    nothing = dialect._task(
        response_with({}), dict.fromkeys(TASK) | {"task_id": "extract"}, "nightly_sales", "r+1:a"
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
def test_task_instance_field_of_another_type_is_unexpected(
    dialect: RestAirflow, field: str, kind: str
) -> None:
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
        assert (
            dialect._task(response_with({}), item, "nightly_sales", "r+1:a").task_id
            == item["task_id"]
        )
    else:
        with pytest.raises(UnexpectedResponse):
            dialect._task(response_with({}), item, "nightly_sales", "r+1:a")


DAG = {"dag_id": "nightly_sales", "is_paused": False}


@dataclass
class CannedTransport:
    """Return one response and record the request."""

    response: Response
    base_url: str = BASE
    params: list[Mapping[str, Any]] = field(default_factory=list)

    def send(self, *_: object, **__: object) -> Response:
        return self.response

    def get(self, _: str, params: Mapping[str, Any]) -> Response:
        self.params.append(params)
        return self.response


def read_dag(kind: type[V1 | V2], body: Any) -> Dag:
    transport: Any = CannedTransport(response_with(body))
    return kind(transport, {V1: "2.11.2", V2: "3.3.2"}[kind]).get_dag("nightly_sales")


FILE, RELATIVE = "/opt/airflow/dags/sub/sales.py", "sub/sales.py"
KNOWN = Dag("nightly_sales", is_paused=False, is_active=True, has_import_errors=False)


@pytest.mark.parametrize(
    ("kind", "body", "known"),
    [
        (V1, {}, {}),
        (V2, {}, {}),
        (
            V1,
            {"fileloc": FILE, "max_active_runs": 16},
            {"file": FILE, "fileloc": FILE, "max_active_runs": 16},
        ),
        (
            V2,
            {"fileloc": FILE, "relative_fileloc": RELATIVE, "max_active_runs": 1},
            {"file": RELATIVE, "fileloc": FILE, "max_active_runs": 1},
        ),
        (V2, {"fileloc": FILE, "relative_fileloc": None}, {"file": FILE, "fileloc": FILE}),
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
def test_every_field_of_a_dag_is_read(
    kind: type[V1 | V2], body: dict[str, Any], known: dict[str, Any]
) -> None:
    """The file is named as in this Airflow's import errors."""
    assert read_dag(kind, DAG | body) == KNOWN._replace(**known)


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
def test_dag_with_missing_or_invalid_fields_is_unexpected(
    kind: type[V1 | V2], wrong: dict[str, Any]
) -> None:
    with pytest.raises(UnexpectedResponse):
        read_dag(kind, DAG | wrong)


DIALECTS = [(V1, "2.11.2"), (V2, "3.3.2")]


@pytest.mark.parametrize(("kind", "version"), DIALECTS)
@pytest.mark.parametrize(
    ("body", "commit"),
    [
        ({"latest_dag_version": {"bundle_version": "abc", "bundle_name": "main"}}, "abc"),
        ({"latest_dag_version": {"bundle_version": None}}, None),
        ({"latest_dag_version": {}}, None),
        ({"latest_dag_version": None}, None),
        # Airflow 2, and an Airflow 3 whose DAG has a version itself.
        ({}, None),
        ({"bundle_version": "abc"}, None),
    ],
)
def test_version_of_the_latest_dag_version_is_read(
    kind: type[V1 | V2], version: str, body: dict[str, Any], commit: str | None
) -> None:
    end = script.ScriptedAdapter(script.http_response(200, DAG | body))

    assert kind(Transport(BASE, end.client()), version).latest_dag_version("a/b") == commit
    assert end.sent[0].url == f"{BASE}{kind.api}/dags/a%2Fb/details"


@pytest.mark.parametrize("version", ["3.0.6", "3.1.8", "3.2.2"])
def test_before_3_3_the_latest_dag_version_does_not_tell_the_commit(version: str) -> None:
    """It stays behind each commit that leaves the DAG's structure as it is."""
    end = script.ScriptedAdapter()

    assert V2(Transport(BASE, end.client()), version).latest_dag_version("sales") is None
    assert end.sent == []


@pytest.mark.parametrize(
    ("state", "draining"), [("draining", True), ("paused", False), ("active", False), (None, False)]
)
def test_a_dag_that_drains_is_recognised(state: str | None, draining: bool) -> None:
    body = DAG | ({"scheduling_state": state} if state else {})

    assert read_dag(V2, body).is_draining is draining


@pytest.mark.parametrize(("kind", "version"), DIALECTS)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (script.http_response(200, {"latest_dag_version": "abc"}), UnexpectedResponse),
        (
            script.http_response(200, {"latest_dag_version": {"bundle_version": 7}}),
            UnexpectedResponse,
        ),
        (script.http_response(200, []), UnexpectedResponse),
        (script.http_response(404, {"detail": "not found"}), DagNotFound),
        (script.http_response(404, b"<html>"), UnexpectedResponse),
        (script.http_response(503, b""), TransientError),
    ],
)
def test_invalid_dag_version_is_unexpected_and_a_missing_dag_has_none(
    kind: type[V1 | V2], version: str, reply: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        kind(Transport(BASE, script.ScriptedAdapter(reply).client()), version).latest_dag_version(
            "nightly_sales"
        )


@pytest.mark.parametrize(("kind", "version"), DIALECTS)
@pytest.mark.parametrize(
    "reply",
    [
        script.http_response(201, b"", "text/html"),
        script.http_response(200, {}),
        script.http_response(404, {"detail": "Not found"}),
        script.http_response(404, b"<html>"),
        script.http_response(409, {"detail": "Asked already"}),
    ],
    ids=["201", "200", "404", "no endpoint", "409"],
)
def test_reparse_is_requested_by_file_token(
    kind: type[V1 | V2], version: str, reply: bytes
) -> None:
    """An earlier request and an Airflow without this API are no errors."""
    end = script.ScriptedAdapter(reply)
    kind(Transport(BASE, end.client()), version).request_reparse("a/b.c+d==")

    assert [(sent.request.method, sent.url) for sent in end.sent] == [
        ("PUT", f"{BASE}{kind.api}/parseDagFile/a%2Fb.c%2Bd%3D%3D")
    ]


NOT_ALLOWED = script.http_response(
    403, {"detail": "Forbidden", "title": "Forbidden", "status": 403}
)


@pytest.mark.parametrize(
    ("kind", "version", "others", "error"),
    [
        (V1, "2.11.2", [script.http_response(200, {"dags": []})], Forbidden),
        (V1, "2.11.2", [NOT_ALLOWED], Unauthorized),
        (V2, "3.3.2", [], Forbidden),
    ],
)
def test_reparse_without_permission_is_forbidden(
    kind: type[V1 | V2], version: str, others: list[bytes], error: type[Exception]
) -> None:
    end = script.ScriptedAdapter(NOT_ALLOWED, *others)
    with pytest.raises(error):
        kind(Transport(BASE, end.client()), version).request_reparse("token")

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
def test_dagrun_timeout_is_read_in_the_form_of_its_version(
    kind: type[V1 | V2], value: Any, seconds: float
) -> None:
    assert kind(Transport(BASE), "")._seconds(response_with({}), value) == seconds


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
def test_duration_in_another_form_is_unexpected(kind: type[V1 | V2], value: Any) -> None:
    with pytest.raises(UnexpectedResponse):
        kind(Transport(BASE), "")._seconds(response_with({}), value)


def test_airflow_2_run_url_opens_the_grid_with_a_quoted_run_id() -> None:
    v1 = V1(Transport(BASE), "2.11.2")
    mapped = v1._task(response_with({}), TASK | {"map_index": 3}, "nightly_sales", "r+1:a")

    assert (
        v1.run_url("nightly_sales", "r+1:a")
        == f"{BASE}/dags/nightly_sales/grid?dag_run_id=r%2B1%3Aa"
    )
    assert mapped.url == (
        f"{BASE}/dags/nightly_sales/grid?dag_run_id=r%2B1%3Aa&task_id=extract&map_index=3&tab=logs"
    )


def test_airflow_3_has_pages_for_runs_and_task_instances() -> None:
    v2 = V2(Transport(BASE), "3.3.2")
    mapped = v2._task(response_with({}), TASK | {"map_index": 0}, "nightly_sales", "r+1:a")

    assert v2.run_url("nightly_sales", "r+1:a") == f"{BASE}/dags/nightly_sales/runs/r%2B1%3Aa"
    assert mapped.url == f"{BASE}/dags/nightly_sales/runs/r%2B1%3Aa/tasks/extract/mapped/0"


@given(st.text())
def test_any_text_becomes_one_path_segment(text: str) -> None:
    assert set(segment(text)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~%"
    )


@pytest.mark.parametrize(
    "version", ["2.11.2", "3.3.2", "3.2.0rc1", "2.10.5+composer", "3.3.2.dev0", "2.5"]
)
def test_every_airflow_version_format_is_read(version: str) -> None:
    assert _version(response_with({"version": version})) == version


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
def test_other_text_is_not_a_version(body: Any) -> None:
    assert _version(response_with(body)) is None


def test_version_in_an_error_response_is_ignored() -> None:
    assert _version(response_with({"version": "3.3.2"}, 404)) is None


@pytest.mark.parametrize("body", [None, 1, [], "detail", {"error": "x"}])
def test_404_of_a_gateway_does_not_mean_dag_not_found(body: Any) -> None:
    assert isinstance(dag_not_found("nightly_sales", response_with(body, 404)), UnexpectedResponse)


def test_404_of_airflow_means_dag_not_found() -> None:
    error = dag_not_found("nightly_sales", response_with({"detail": "not found"}, 404))

    assert isinstance(error, DagNotFound)
    assert error.detail == "dag_id 'nightly_sales': not found"


SINCE_3 = {"run_after", "partition_key", "commit", "if_paused: drain"}
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
    "if_paused: drain": {"drain": True},
}


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("2.4.3", {"note", "data_interval_start", *SINCE_3}),
        ("2.8.4", {"data_interval_start", *SINCE_3}),
        ("2.10.5", SINCE_3),
        ("2.11.2", SINCE_3),
        ("3.0.6", {"partition_key", "if_paused: drain"}),
        ("3.3.2", {"if_paused: drain"}),
        ("3.4.0b2", set[str]()),
    ],
)
def test_unsupported_input_is_refused_by_name_before_any_request(
    version: str, refused: set[str]
) -> None:
    dialect = (V1 if version.startswith("2") else V2)(Transport(BASE), version)
    message = {}
    for name, asked in COMPARED_FIELDS.items():
        try:
            dialect.check(RunRequest("nightly_sales", "r1", {}, **asked))
        except NotSupported as error:
            message[name] = f"{error.title} {error.detail}"
    assert message.keys() == refused
    assert all(name in words and version in words for name, words in message.items())


def test_airflow_3_refuses_a_data_interval_without_logical_date() -> None:
    """Airflow 3 would ignore it silently; Airflow 2 uses it."""
    request = RunRequest(
        "nightly_sales", "r1", {}, data_interval_start=WHEN, data_interval_end=WHEN
    )
    V1(Transport(BASE), "2.11.2").check(request)
    with pytest.raises(NotSupported, match="logical_date"):
        V2(Transport(BASE), "3.3.2").check(request)


@pytest.mark.parametrize(
    ("version", "sent"),
    [("3.4.0b2", {"bundle_version": "c" * 40, "drain_dag": True}), ("3.3.2", {"drain_dag": True})],
)
def test_a_trigger_names_the_bundle_version_only_from_airflow_3_4_on(
    version: str, sent: dict[str, Any]
) -> None:
    """An older Airflow refuses the field. `check` keeps `drain` from it."""
    request = RunRequest("nightly_sales", "r1", {}, drain=True, bundle_version="c" * 40)
    body = V2(Transport(BASE), version)._trigger_body(request)
    assert body == {"dag_run_id": "r1", "logical_date": None, "conf": {}} | sent


@pytest.mark.parametrize(
    ("version", "able"), [("3.0.6", False), ("3.1.8", True), ("3.3.2", True), ("2.11.2", False)]
)
def test_a_cleared_run_can_be_asked_for_the_latest_code_from_airflow_3_1_on(
    version: str, able: bool
) -> None:
    dialect = V1 if version.startswith("2") else V2
    assert dialect(Transport(BASE), version).can_clear_to_latest is able
