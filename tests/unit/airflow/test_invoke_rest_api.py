"""Requests through AWS's InvokeRestApi: what is sent, and the error for each answer."""

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from entrypoint.airflow.client import connect
from entrypoint.airflow.invoke_rest_api import InvokeRestApi
from entrypoint.airflow.v1 import V1
from entrypoint.airflow.v2 import V2
from entrypoint.deadline import Deadline
from entrypoint.errors import (
    ActionError,
    NotSupported,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.aws import MWAA
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, SentRequest, http_response

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://env.airflow.eu-central-1.amazonaws.com/restapi/my-airflow"
DAG, RUN = "nightly_sales", "github__0123456789ab__8000000001__c9593ab0"
LONG = f"/dags/{DAG}/dagRuns/{RUN}"
LOG = "/dags/d/dagRuns/r/taskInstances/t/logs/1"


class Signer:
    """An authorizer that marks each request, and renews `renewals` times."""

    ambiguous_403 = False
    refusal_hint = ""

    def __init__(self, renewals: int = 0, hint: str = "") -> None:
        self.renewals, self.expiry_hint = renewals, hint

    def authorize(self, _: Deadline, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "signed"
        return request

    def seconds_left(self, _: Deadline) -> float | None:
        return None

    def discard(self) -> bool:
        self.renewals -= 1
        return self.renewals >= 0


def transport(
    *answers: bytes, renewals: int = 0, hint: str = "", ui_url: str | None = None
) -> tuple[InvokeRestApi, ScriptedAdapter]:
    script = ScriptedAdapter(*answers)
    found = InvokeRestApi("my-airflow", "eu-central-1", script.client(MWAA), ui_url)
    found.authorizer = Signer(renewals, hint)
    return found, script


def relayed(status: int, body: object = None) -> bytes:
    content = {"RestApiStatusCode": status, "RestApiResponse": body}
    return http_response(200 if status < 400 else 400, content)


def call_of(sent: SentRequest) -> Any:
    assert (sent.request.method, sent.url) == ("POST", URL)
    assert sent.headers["Authorization"] == "signed"
    return json.loads(sent.request.body or b"")


def runs(*ids: str, total: int | None = None) -> bytes:
    found = [{"dag_run_id": one, "dag_id": DAG, "state": "running"} for one in ids]
    return relayed(200, {"dag_runs": found, "total_entries": total or len(ids)})


def test_request_and_response_are_relayed_as_json() -> None:
    aws, script = transport(relayed(201, {"a": 1}), relayed(404, {"detail": "No"}))
    first = aws.send(
        "PATCH", "/api/v2/dags/d?update_mask=is_paused", NO_DEADLINE, body={"is_paused": False}
    )
    second = aws.get("/api/v2/dags", NO_DEADLINE, {"limit": 1, "tags": ["a", "b"], "offset": None})

    assert (first.status, first.body) == (201, {"a": 1})
    assert (second.status, second.detail) == (404, "No")
    assert [call_of(sent) for sent in script.sent] == [
        {
            "Path": "/dags/d",
            "Method": "PATCH",
            "QueryParameters": {"update_mask": "is_paused"},
            "Body": {"is_paused": False},
        },
        {"Path": "/dags", "Method": "GET", "QueryParameters": {"limit": 1, "tags": ["a", "b"]}},
    ]


@pytest.mark.parametrize(
    ("answers", "kind", "versions"),
    [
        ([relayed(200, {"version": "3.2.1"})], V2, 1),
        ([relayed(200, {"version": "2.10.3"})] * 2, V1, 2),
    ],
)
def test_version_decides_the_api(answers: list[bytes], kind: type, versions: int) -> None:
    aws, script = transport(*answers)

    class Credentials:
        def for_any(self) -> Any:
            return Signer()

        def for_keycloak(self, _: object) -> None:
            return None

    found: Any = connect(aws, Credentials(), NO_DEADLINE)  # type: ignore[arg-type]  # a part
    assert type(found) is kind
    assert [call_of(sent)["Path"] for sent in script.sent] == ["/version"] * versions


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/api/v2/dags/a%2Bb%3Ac~", "/dags/a+b:c~"),
        ("/api/v2/pools/a%2Fb%20%25", "/pools/a%2Fb%20%25"),
        ("/api/v1/dags/~/dagRuns/list", "/dags/~/dagRuns/list"),
    ],
)
def test_ids_are_quoted_only_where_a_path_needs_it(path: str, sent: str) -> None:
    aws, script = transport(relayed(200, {}))
    aws.get(path, NO_DEADLINE)

    assert call_of(script.sent[0])["Path"] == sent


@pytest.mark.parametrize("api", ["/api/v1", "/api/v2"])
def test_run_with_a_long_path_is_read_from_the_list(api: str) -> None:
    aws, script = transport(runs("other", RUN), runs("other"))
    found = aws.get(f"{api}{LONG}", NO_DEADLINE)
    missing = aws.get(f"{api}{LONG}", NO_DEADLINE)

    assert (found.status, found.body["dag_run_id"]) == (200, RUN)
    assert missing.status == 404
    pattern = {"run_id_pattern": RUN} if api == "/api/v2" else {}
    assert call_of(script.sent[0]) == {
        "Path": f"/dags/{DAG}/dagRuns",
        "Method": "GET",
        "QueryParameters": {"order_by": "-id", "limit": 100, "offset": 0} | pattern,
    }


def test_pages_overlap_so_that_no_run_is_overlooked() -> None:
    aws, script = transport(runs("c", "b", total=3), runs("b", "a", total=3))

    assert aws.get(f"/api/v1{LONG}", NO_DEADLINE).status == 404
    assert [call_of(sent)["QueryParameters"]["offset"] for sent in script.sent] == [0, 1]


@pytest.mark.parametrize(
    "second",
    [runs("x", "y", total=4), runs(total=4), runs("b", total=4)],
    ids=["moved", "empty", "one"],
)
def test_list_that_changes_while_it_is_read_proves_nothing(second: bytes) -> None:
    aws, _ = transport(runs("d", "c", "b", total=4), second)
    with pytest.raises(TransientError, match="changed while it was read"):
        aws.get(f"/api/v1{LONG}", NO_DEADLINE)


@pytest.mark.parametrize("status", [403, 404])
def test_error_of_the_list_is_that_of_the_run(status: int) -> None:
    aws, _ = transport(relayed(status, {"detail": "No"}))

    assert aws.get(f"/api/v2{LONG}", NO_DEADLINE).status == status


@pytest.mark.parametrize("body", [{}, {"dag_runs": {}}, {"dag_runs": [7], "total_entries": None}])
def test_list_of_another_shape_is_no_missing_run(body: object) -> None:
    aws, _ = transport(relayed(200, body))
    found = aws.get(f"/api/v2{LONG}", NO_DEADLINE)

    assert (found.status, found.body) == (200, None)


@pytest.mark.parametrize(("api", "none"), [("/api/v1", "none"), ("/api/v2", None)])
def test_task_instances_of_a_long_path_are_read_by_their_batch(api: str, none: str | None) -> None:
    aws, script = transport(relayed(200, {"task_instances": []}))
    params = {"limit": 0, "offset": 0, "state": ["failed", "none"], "updated_at_gte": "2026"}
    aws.get(f"{api}{LONG}/taskInstances", NO_DEADLINE, params)

    assert call_of(script.sent[0]) == {
        "Path": "/dags/~/dagRuns/~/taskInstances/list",
        "Method": "POST",
        "Body": {
            "dag_ids": [DAG],
            "dag_run_ids": [RUN],
            "state": ["failed", none],
            "page_limit": 1 if api == "/api/v1" else 0,
            "page_offset": 0,
        },
    }


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (relayed(400, {"detail": "{'dag_run_ids': ['Unknown field.']}"}), NotSupported),
        (
            relayed(200, {"task_instances": [{"dag_id": DAG, "dag_run_id": "other"}]}),
            UnexpectedResponse,
        ),
    ],
)
def test_task_instances_of_another_run_decide_nothing(
    answer: bytes, error: type[ActionError]
) -> None:
    """Before 2.7.1 the list could not be limited to a run."""
    aws, _ = transport(answer)
    with pytest.raises(error):
        aws.get(f"/api/v1{LONG}/taskInstances", NO_DEADLINE, {"limit": 1})


@pytest.mark.parametrize(
    ("bulk", "status"),
    [
        (relayed(200, {"update": {"success": ["x"], "errors": []}}), 200),
        (relayed(200, {"update": {"success": [], "errors": [{"status_code": 404}]}}), 404),
        (relayed(200, {"update": {"errors": [{"status_code": 409, "error": "No"}]}}), 409),
        (relayed(200, {"update": {"errors": ["?"]}}), 500),
        (relayed(403, {"detail": "Forbidden"}), 403),
    ],
)
def test_run_with_a_long_path_is_changed_by_the_bulk_endpoint(bulk: bytes, status: int) -> None:
    aws, script = transport(bulk, runs(RUN))
    found = aws.send("PATCH", f"/api/v2{LONG}", NO_DEADLINE, body={"state": "failed", "note": "n"})

    assert found.status == status
    assert call_of(script.sent[0]) == {
        "Path": f"/dags/{DAG}/dagRuns",
        "Method": "PATCH",
        "Body": {
            "actions": [
                {
                    "action": "update",
                    "entities": [{"dag_run_id": RUN, "state": "failed", "note": "n"}],
                }
            ]
        },
    }


@pytest.mark.parametrize("answer", [relayed(405, {"detail": "No"}), relayed(404, {"detail": "No"})])
def test_bulk_endpoint_that_is_missing_is_not_supported(answer: bytes) -> None:
    aws, _ = transport(answer)
    with pytest.raises(NotSupported, match="cannot carry"):
        aws.send("PATCH", f"/api/v2{LONG}", NO_DEADLINE, body={"state": "failed"})


XCOM = f"{LONG}/taskInstances/load/xcomEntries/return_value"


@pytest.mark.parametrize(
    ("method", "path", "room"),
    [
        ("PATCH", f"/api/v1{LONG}", 49),
        ("POST", f"/api/v2{LONG}/clear", 43),
        ("GET", f"/api/v2{LONG}/hitlDetails", 37),
        ("GET", f"/api/v2{XCOM}", 21),
        ("GET", f"/api/v2/dags/{'d' * 59}", 58),
        ("POST", f"/api/v1/dags/{'d' * 51}/dagRuns", 50),
    ],
)
def test_a_path_that_is_too_long_is_not_sent_and_the_room_for_its_ids_is_given(
    method: str, path: str, room: int
) -> None:
    aws, script = transport()
    with pytest.raises(NotSupported) as caught:
        aws.send(method, path, NO_DEADLINE, body={})

    assert script.sent == []
    assert RUN not in caught.value.detail
    assert f"at most {room} characters" in caught.value.hint


def test_a_path_outside_the_api_is_not_sent() -> None:
    aws, script = transport()
    with pytest.raises(NotSupported):
        aws.send("POST", "/auth/token", NO_DEADLINE, body={})

    assert script.sent == []


def test_logs_and_streams_are_not_sent_and_a_short_xcom_is() -> None:
    aws, script = transport(relayed(200, {"value": 7}), relayed(404, {"detail": "No"}))
    pieces: list[bytes] = []

    def consume(piece: bytes) -> bool:
        pieces.append(piece)
        return True

    asks: tuple[Callable[[], object], ...] = (
        lambda: aws.download("/api/v2/dags/d/x", NO_DEADLINE, "text/plain", consume),
        lambda: aws.download(f"/api/v2{LOG}", NO_DEADLINE, "application/json", consume),
        lambda: aws.stream("/api/v2/w", NO_DEADLINE, {}, consume, max_silence=1, max_seconds=1),
    )
    for ask in asks:
        with pytest.raises(NotSupported):
            ask()
    assert script.sent == []
    found = [
        aws.download("/api/v2/dags/d/x", NO_DEADLINE, "application/json", consume).status
        for _ in range(2)
    ]
    assert (found, pieces) == ([200, 404], [b'{"value": 7}'])


def test_put_needs_no_json() -> None:
    aws, _ = transport(relayed(201, ""), relayed(201, None))

    assert [aws.put("/api/v1/parseDagFile/t", NO_DEADLINE).status for _ in range(2)] == [201] * 2


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (relayed(500, {"detail": "Boom"}), TransientError, "Airflow answers 500"),
        (relayed(503, "<html>"), TransientError, "Airflow answers 503"),
        (relayed(429, {}), TransientError, "Airflow answers 429"),
        (relayed(302, {}), UnexpectedResponse, "Airflow's address redirects"),
        (relayed(200, "<html>"), UnexpectedResponse, "the body is not JSON"),
        (http_response(500, {"message": "x"}), TransientError, "Amazon MWAA answers 500"),
        (http_response(429, {"message": "x"}), TransientError, "Amazon MWAA answers 429"),
        (
            http_response(400, {"message": "Rate"}, x_amzn_ErrorType="ThrottlingException:"),
            TransientError,
            "Amazon MWAA answers ThrottlingException",
        ),
        (
            http_response(400, {"message": "Update your environment to use InvokeRestApi"}),
            UnexpectedResponse,
            "Update your environment",
        ),
        (http_response(200, {}), UnexpectedResponse, "no RestApiStatusCode"),
        (http_response(200, [7]), UnexpectedResponse, "no RestApiStatusCode"),
        (http_response(404, {"message": "x"}), Unauthorized, "no such environment"),
        (http_response(403, {"Message": "not authorized"}), Unauthorized, "airflow:InvokeRestApi"),
        (http_response(302, Location="https://x.example.com"), UnexpectedResponse, "redirects"),
    ],
)
def test_each_answer_of_aws_and_of_airflow_has_its_error(
    reply: bytes, kind: type[ActionError], words: str
) -> None:
    aws, _ = transport(reply)
    with pytest.raises(kind) as caught:
        aws.get("/api/v2/dags/d", NO_DEADLINE)

    assert words in f"{caught.value.title} {caught.value.detail} {caught.value.hint}"


def test_expired_session_of_a_role_is_renewed_once() -> None:
    expired = http_response(403, {"message": "The security token is expired"})
    aws, script = transport(expired, relayed(200, {}), renewals=1)

    assert aws.get("/api/v2/dags/d", NO_DEADLINE).status == 200
    assert len(script.sent) == 2
    again, _ = transport(expired, expired, renewals=1)
    with pytest.raises(Unauthorized, match="Amazon MWAA refused the AWS credentials"):
        again.get("/api/v2/dags/d", NO_DEADLINE)


def test_missing_permission_in_airflow_renews_nothing() -> None:
    for body in ({"detail": "Forbidden"}, {"title": "Forbidden", "status": 403}):
        aws, script = transport(relayed(403, body), renewals=9)
        aws.ambiguous_403 = True
        assert aws.get("/api/v2/dags/d", NO_DEADLINE).status == 403
        assert len(script.sent) == 1


def test_keys_of_the_job_that_expire_name_the_role() -> None:
    expired = http_response(403, {"message": "The security token is expired"})
    aws, _ = transport(relayed(200, {}), expired, hint="Give aws_role; it took {}.")
    aws.get("/api/v2/dags/d", NO_DEADLINE)
    with pytest.raises(Unauthorized, match="Airflow no longer accepts") as caught:
        aws.get("/api/v2/dags/d", NO_DEADLINE)

    assert "Give aws_role" in caught.value.hint


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/mwaa/home?region=eu-west-1#"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/mwaa/home?region=cn-north-1#"),
    ],
)
def test_links_lead_to_airflow_or_to_the_console(region: str, console: str) -> None:
    client = ScriptedAdapter().client(MWAA)
    unknown, known = (InvokeRestApi("m", region, client, url) for url in (None, "https://ui"))

    assert V2(unknown, "3.2.1").run_url("d", "r").startswith(f"{console}environments/m/dags/d/")
    assert V2(known, "3.2.1").run_url("d", "r") == "https://ui/dags/d/runs/r"
    assert (V2(known, "3.2.1").base_url, V2(unknown, "3.2.1").base_url.split("/")[-1]) == (
        "https://ui",
        "m",
    )
