"""Counting the requests of the benchmarked tools in their bytes."""

from __future__ import annotations

import pytest

from dev.bench.counting import CountedRequest, RequestFinder

POST = b'POST /api/v2/dags/sales/dagRuns HTTP/1.1\r\nHost: x\r\ncontent-length: 7\r\n\r\n{"a":1}'
GET = b"GET /api/v2/dags/sales/dagRuns/r%3A1?x=GET%20/ HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, 50, 1000])
def test_requests_are_counted_for_any_chunks(size: int) -> None:
    finder, data = RequestFinder(), POST + GET + POST
    found = [
        one
        for first in range(0, len(data), size)
        for one in finder.feed(data[first : first + size])
    ]

    assert found == [
        CountedRequest("POST", "/api/v2/dags/sales/dagRuns"),
        CountedRequest("GET", "/api/v2/dags/sales/dagRuns/r%3A1"),
        CountedRequest("POST", "/api/v2/dags/sales/dagRuns"),
    ]
    assert [one.triggers for one in found] == [True, False, True]


def test_request_text_within_a_body_is_not_counted() -> None:
    body = b"GET / HTTP/1.1\r\n\r\n"
    head = b"PATCH /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)

    assert RequestFinder().feed(head + body) == [CountedRequest("PATCH", "/a")]


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_unknown_format_is_an_error_instead_of_a_wrong_count(data: bytes) -> None:
    with pytest.raises(ValueError, match="Not a request that can be counted"):
        RequestFinder().feed(data)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/auth/token", "token"),
        ("POST", "/api/v2/dags/a/dagRuns", "trigger"),
        ("GET", "/api/v2/dags/a/dagRuns", "the last runs"),
        ("GET", "/api/v2/dags/a/dagRuns/r", "the run"),
        ("GET", "/api/v2/dags/a/dagRuns/r/wait", "/wait"),
        ("GET", "/api/v1/dags/a/dagRuns/r/taskInstances", "task instances"),
        ("GET", "/api/v2/dags/a/dagRuns/r/taskInstances/t", "one task instance"),
        ("GET", "/api/v2/dags/a/dagRuns/r/taskInstances/t/logs/1", "logs"),
        ("GET", "/api/v2/dags/a", "the DAG"),
        ("GET", "/api/v2/version", "version"),
        ("GET", "/api/v2/pools/p", "others"),
    ],
)
def test_requests_are_classified_by_path_and_method(method: str, path: str, kind: str) -> None:
    assert CountedRequest(method, path).kind == kind
