"""Faults of the scripted Airflow, observed with clients that are not the action's."""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import socket
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG = FakeDag("nightly_sales", tasks=(FakeTask("extract"),))
DAGS = (DAG,)
SOON = 10.0  # seconds; an upper bound
NO_ANSWER = (Fault.RESET, Fault.CLOSE, Fault.HANG)
WHENS: tuple[Literal["before", "after"], ...] = ("before", "after")


@pytest.fixture(params=["2.11.2", "3.3.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    with FakeAirflow(request.param, dags=DAGS) as started:
        yield started


def trigger(fake: FakeAirflow, timeout: float = SOON) -> requests.Response:
    """Trigger the run r1; raise what requests raises."""
    body = {"dag_run_id": "r1"} | ({} if fake.version == "2.11.2" else {"logical_date": None})
    url = f"{fake.url}{fake.api}/dags/nightly_sales/dagRuns"
    with fake.session() as session:
        return session.post(url, json=body, timeout=timeout, allow_redirects=False)


def raw_get(fake: FakeAirflow, path: str = "/version", timeout: float = SOON) -> bytes:
    """Return all bytes that a plain socket receives for one GET."""
    address = urlsplit(fake.url)
    with socket.create_connection((address.hostname, address.port), timeout=timeout) as connection:
        connection.sendall(
            f"GET {fake.api}{path} HTTP/1.1\r\nHost: airflow\r\nConnection: close\r\n\r\n".encode()
        )
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def await_record(fake: FakeAirflow, count: int) -> None:
    """Return once the server has recorded so many requests."""
    deadline = time.monotonic() + SOON
    while len(fake.record) < count:
        assert time.monotonic() < deadline, "the request never arrived"
        time.sleep(0.001)


@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name)
def test_a_fault_before_the_effect_prevents_it_and_one_after_does_not(
    fake: FakeAirflow, fault: Fault, when: Literal["before", "after"]
) -> None:
    fake.fault(fault, on=("POST", "/dagRuns"), when=when)
    with contextlib.suppress(
        requests.RequestException, ValueError
    ):  # what requests raises for invalid HTTP
        trigger(fake, timeout=0.1 if fault is Fault.HANG else SOON)
    await_record(fake, 1)
    assert [run.run_id for run in fake.runs("nightly_sales")] == (["r1"] if when == "after" else [])
    assert [one.path for one in fake.received("POST", "/dagRuns")] == [
        f"{fake.api}/dags/nightly_sales/dagRuns"
    ]


@pytest.mark.parametrize("fault", NO_ANSWER, ids=lambda fault: fault.name)
def test_a_request_without_a_response_is_recorded_with_status_none(
    fake: FakeAirflow, fault: Fault
) -> None:
    fake.fault(fault)
    with contextlib.suppress(OSError):
        raw_get(fake, timeout=0.1)
    assert [one.status for one in fake.record] == [None]


def test_reset_ends_the_connection_with_an_rst(fake: FakeAirflow) -> None:
    fake.fault(Fault.RESET)
    with pytest.raises(ConnectionResetError):
        raw_get(fake)


def test_close_ends_the_connection_with_a_fin_and_no_byte(fake: FakeAirflow) -> None:
    fake.fault(Fault.CLOSE)
    assert raw_get(fake) == b""


def test_hang_sends_nothing_and_keeps_the_connection(fake: FakeAirflow) -> None:
    """It does not delay other clients."""
    fake.fault(Fault.HANG)
    with pytest.raises(TimeoutError):
        raw_get(fake, timeout=0.1)
    assert raw_get(fake).startswith(b"HTTP/1.1 200 ")


def test_a_hanging_request_ends_with_the_server() -> None:
    fake = FakeAirflow(dags=DAGS)
    address = urlsplit(fake.url)
    with fake:
        fake.fault(Fault.HANG)
        connection = socket.create_connection((address.hostname, address.port), timeout=SOON)
        connection.sendall(b"GET /api/v2/version HTTP/1.1\r\nHost: airflow\r\n\r\n")
        await_record(fake, 1)
    with connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize("when", WHENS)
def test_truncated_announces_more_than_it_sends(
    fake: FakeAirflow, when: Literal["before", "after"]
) -> None:
    """TRUNCATED sends half of the bytes that Content-Length announces."""
    fake.fault(Fault.TRUNCATED, when=when)
    head, _, body = raw_get(fake).partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 ")
    assert 0 < len(body) < length


@pytest.mark.parametrize("when", WHENS)
def test_truncated_json_is_valid_http_with_half_a_document(
    fake: FakeAirflow, when: Literal["before", "after"]
) -> None:
    fake.fault(Fault.TRUNCATED_JSON, on=("POST", "/dagRuns"), when=when)
    answer = trigger(fake)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.HTML_200, 200),
        (Fault.HTML_403, 403),
        (Fault.HTML_404, 404),
        (Fault.HTML_413, 413),
        (Fault.HTML_500, 500),
        (Fault.HTML_502, 502),
        (Fault.HTML_503, 503),
        (Fault.HTML_504, 504),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_html_faults_are_pages_with_their_status(
    fake: FakeAirflow, fault: Fault, status: int
) -> None:
    fake.fault(fault)
    answer = trigger(fake)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        status,
        "text/html; charset=utf-8",
    )
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (Fault.REDIRECT_LATIN, rb"HTTP/1.1 302 .*\r\nLocation: /caf\xe9\r\n"),
        (Fault.REDIRECT_NOWHERE, rb"HTTP/1.1 302 .*\r\nLocation: http://\[HOST\]/login\r\n"),
        (Fault.NEGATIVE_CHUNK, rb"HTTP/1.1 200 .*\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n"),
        (Fault.ABSURD_LENGTH, rb"HTTP/1.1 200 .*\r\nContent-Length: 9{30}\r\n\r\n\{\}"),
        (Fault.UNKNOWN_CHARSET, rb"HTTP/1.1 200 .*charset=klingon.*\r\n\r\n\xff"),
        (Fault.HUGE, rb"HTTP/1.1 200 .*\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b"),
        (Fault.TOO_MANY_DAY, rb"HTTP/1.1 429 .*\r\nRetry-After: 86400\r\n"),
        (Fault.LASTING_500, rb"HTTP/1.1 500 .*trying to deserialize Dag"),
        (Fault.JSON_401, rb"HTTP/1.1 401 .*\{"),
        (Fault.JSON_403, rb"HTTP/1.1 403 .*\{"),
        (Fault.CACHED_404, rb"HTTP/1.1 404 .*The DagRun was not found"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_invalid_http_is_sent_byte_for_byte(fake: FakeAirflow, fault: Fault, sent: bytes) -> None:
    fake.fault(fault)
    assert re.match(sent, raw_get(fake), re.DOTALL)


def test_drip_sends_a_byte_at_intervals_and_does_not_end(fake: FakeAirflow) -> None:
    fake.fault(Fault.DRIP)
    address = urlsplit(fake.url)
    with socket.create_connection((address.hostname, address.port), timeout=SOON) as connection:
        connection.sendall(f"GET {fake.api}/version HTTP/1.1\r\nHost: airflow\r\n\r\n".encode())
        pieces = [connection.recv(65536) for _ in range(4)]
    assert all(pieces)
    assert sum(map(len, pieces)) < 1000


def test_too_many_is_a_429_with_retry_after_in_seconds(fake: FakeAirflow) -> None:
    fake.fault(Fault.TOO_MANY, retry_after=11)
    answer = trigger(fake)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "11")


def test_too_many_date_is_a_429_with_retry_after_as_a_date(fake: FakeAirflow) -> None:
    fake.fault(Fault.TOO_MANY_DATE, retry_after=3600)
    answer = trigger(fake)
    ahead = (
        email.utils.parsedate_to_datetime(answer.headers["Retry-After"]).timestamp() - time.time()
    )
    assert answer.status_code == 429
    assert 3500 < ahead <= 3600


@pytest.mark.parametrize(("fault", "status"), [(Fault.REDIRECT, 302), (Fault.REDIRECT_307, 307)])
def test_redirect_leads_to_an_html_login_page_with_200(
    fake: FakeAirflow, fault: Fault, status: int
) -> None:
    fake.fault(fault)
    answer = trigger(fake)
    assert answer.status_code == status
    login = requests.get(answer.headers["Location"], timeout=SOON)
    assert (login.status_code, login.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_redirect_may_lead_to_another_server_which_records_the_request(fake: FakeAirflow) -> None:
    with FakeAirflow() as elsewhere:
        fake.fault(Fault.REDIRECT_307, to=f"{elsewhere.url}/login")
        with fake.session() as session:
            session.post(
                f"{fake.url}{fake.api}/dags/nightly_sales/dagRuns",
                json={"password": "x"},
                timeout=SOON,
            )
        assert [(one.method, one.json) for one in elsewhere.record] == [("POST", {"password": "x"})]


@pytest.mark.parametrize(
    ("fault", "body"),
    [(Fault.EMPTY_200, b""), (Fault.WRONG_JSON, b'["success"]'), (Fault.EMPTY_JSON, b"{}")],
)
def test_useless_json_has_status_200_and_the_type_of_json(
    fake: FakeAirflow, fault: Fault, body: bytes
) -> None:
    fake.fault(fault)
    answer = trigger(fake)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (
        200,
        "application/json",
        body,
    )


def test_json_500_is_airflow_3_with_a_locked_database(fake: FakeAirflow) -> None:
    fake.fault(Fault.JSON_500)
    answer = trigger(fake)
    assert answer.status_code == 500
    assert answer.json()["detail"]["reason"] == "Database error"


def test_a_fault_skips_some_requests_takes_the_next_and_then_ends(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_502, on=("GET", "/dags/*"), skip=1, times=2)
    fake.fault(Fault.HTML_503, on=("GET", "/dags/*"), skip=1)
    with fake.session() as session:
        url = f"{fake.url}{fake.api}/dags/nightly_sales"
        got = [session.get(url, timeout=SOON).status_code for _ in range(5)]
    assert got == [200, 502, 502, 503, 200]


def test_an_asterisk_in_a_pattern_matches_one_segment(fake: FakeAirflow) -> None:
    assert trigger(fake).status_code == 200
    fake.fault(Fault.HTML_502, on=("GET", "/dagRuns/*"))
    with fake.session() as session:
        run = f"{fake.url}{fake.api}/dags/nightly_sales/dagRuns/r1"
        got = [
            session.get(f"{run}{tail}", timeout=SOON).status_code
            for tail in ("/taskInstances", "", "")
        ]
    assert got == [200, 502, 200]


@pytest.mark.parametrize(
    "fault", [Fault.RESET, Fault.CLOSE, Fault.TRUNCATED], ids=lambda fault: fault.name
)
def test_a_fault_after_the_effect_breaks_a_stream_after_one_line(fault: Fault) -> None:
    with FakeAirflow(dags=DAGS) as fake, fake.session() as session:
        assert trigger(fake).status_code == 200
        fake.fault(fault, on=("GET", "/wait"), when="after")
        url = f"{fake.url}/api/v2/dags/nightly_sales/dagRuns/r1/wait?interval=1"
        with session.get(
            url, stream=True, timeout=SOON, headers={"Accept-Encoding": "identity"}
        ) as answer:
            lines = answer.iter_lines(chunk_size=1)
            assert next(lines) == b'{"state": "queued"}'
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                next(lines)
