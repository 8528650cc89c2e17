"""Classifying HTTP responses."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import get_encoding_from_headers

from entrypoint import masking
from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.client import Request
from entrypoint.http.response import (
    AIRFLOW,
    Response,
    describe_response,
    external_service,
    read_response,
)
from tests.unit.script import ScriptedAdapter, http_response

SOURCE = "GET /api/v2/version"
PROVIDER = external_service("The identity provider", "token_url")
KEYS = [
    "detail",
    "title",
    "error",
    "error_description",
    "message",
    "Message",
    "reason",
    "loc",
    "msg",
]
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts | st.sampled_from(KEYS), inner),
    max_leaves=8,
)


def requests_response(
    status: int, body: bytes = b"", kind: str | None = "application/json", **headers: str
) -> requests.Response:
    """Return a response like those of requests."""
    built = requests.Response()
    built.status_code = status
    built._content, built._content_consumed = body, True  # type: ignore[attr-defined]
    if kind is not None:
        built.headers["Content-Type"] = kind
    built.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    built.encoding = get_encoding_from_headers(built.headers)
    return built


@pytest.mark.parametrize(
    "kind", ["application/json", "application/problem+json", "Application/JSON; charset=utf-8"]
)
@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 405, 409, 422])
def test_json_is_read_for_any_status(status: int, kind: str) -> None:
    response = read_response(SOURCE, requests_response(status, '{"a": "é"}'.encode(), kind))

    assert (response.status, response.body, response.text) == (status, {"a": "é"}, "")
    assert response.source == f"{SOURCE} answered {status} {kind.partition(';')[0].lower()}"


def test_204_needs_no_body() -> None:
    assert read_response(SOURCE, requests_response(204, kind=None)).body is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418])
def test_error_page_keeps_its_status_and_first_text(status: int) -> None:
    response = read_response(
        SOURCE, requests_response(status, b"  <html>\n" + b"word " * 1000, "text/html")
    )

    assert (response.status, response.body) == (status, None)
    assert response.text.startswith("<html>\nword word")
    assert response.text.endswith("word…")
    assert len(response.text) <= 500


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (200, b"<html>Sign in", "text/html; charset=utf-8", "not JSON"),
        (200, b"", "application/json", "cut off or broken"),
        (200, b'{"state": "succ', "application/json", "cut off or broken"),
        (200, b"[" * 100_000, "application/json", "cut off or broken"),
        (200, b'{"n": ' + b"9" * 5000 + b"}", "application/json", "cut off or broken"),
        (200, b"null", "application/json", "not JSON"),
        (200, b"OK", None, "no content type"),
        (201, b"OK", "text/plain", "not JSON"),
        (400, b"{", "application/json", "cut off or broken"),
    ],
)
def test_page_or_invalid_json_with_200_points_to_airflow_url(
    status: int, body: bytes, kind: str | None, message: str
) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(SOURCE, requests_response(status, body, kind))

    assert message in caught.value.detail
    assert SOURCE in caught.value.detail
    assert "airflow_url" in caught.value.hint


def test_page_is_quoted_up_to_a_word_boundary() -> None:
    """The runner cannot mask half a secret."""
    page = b"<html> Authorization: Bearer " + b"x" * 400
    with pytest.raises(UnexpectedResponse, match=r"It begins: <html> Authorization: Bearer…$"):
        read_response(SOURCE, requests_response(200, page, "text/html"))


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_429_and_5xx_are_transient(status: int, kind: str) -> None:
    with pytest.raises(TransientError, match=rf"Airflow answers {status}") as caught:
        read_response(SOURCE, requests_response(status, b"{", kind))

    assert (caught.value.status, caught.value.retry_after) == (status, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("99999999999", 999_999_999),
        ("-7", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("21 Oct", None),
    ],
)
def test_retry_after_is_read_in_seconds(value: str, seconds: float | None) -> None:
    """A past date means at once; invalid text is ignored."""
    with pytest.raises(TransientError) as caught:
        read_response(SOURCE, requests_response(503, kind="text/html", Retry_After=value))

    assert caught.value.retry_after == seconds


def test_retry_after_date_is_relative_to_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    with pytest.raises(TransientError) as caught:
        read_response(SOURCE, requests_response(429, kind="text/html", Retry_After=date))

    assert caught.value.retry_after == pytest.approx(600, abs=60)


@given(
    texts
    | st.builds("Mon, {} Jan {} {}:00:00 GMT".format, st.integers(), st.integers(), st.integers())
)
def test_any_retry_after_is_none_or_not_negative(value: str) -> None:
    with pytest.raises(TransientError) as caught:
        read_response(SOURCE, requests_response(503, Retry_After=value))

    assert caught.value.retry_after is None or caught.value.retry_after >= 0


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (
            "https://login.example.com/oauth?state=s3cret#s3cret",
            "to https://login.example.com/oauth.",
        ),
        ("https://u:s3cret@login.example.com:8443/x", "to https://login.example.com/x."),
        ("/login?next=s3cret", "to another path of the same server."),
        ("https://[s3cret", "to another path of the same server."),
        ("", "to another path of the same server."),
    ],
)
def test_redirect_is_an_error_without_secrets_of_its_target(
    status: int, location: str, shown: str
) -> None:
    with pytest.raises(UnexpectedResponse, match="redirects") as caught:
        read_response(SOURCE, requests_response(status, b'{"state": "success"}', Location=location))

    assert shown in caught.value.detail
    assert "s3cret" not in caught.value.detail


def test_redirect_of_airflow_points_to_the_final_url_and_gateway_headers() -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(SOURCE, requests_response(302, Location="https://login.example.com/"))

    assert caught.value.title == "Airflow's address redirects"
    assert "airflow_url" in caught.value.hint
    assert "headers" in caught.value.hint


def test_redirect_of_another_service_names_it_and_its_input() -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(
            "POST /token",
            requests_response(307, Location="https://evil.example.com/?s3cret"),
            PROVIDER,
        )

    message = f"{caught.value.title} {caught.value.detail} {caught.value.hint}"
    assert caught.value.title == "The identity provider redirects"
    assert "to https://evil.example.com/." in caught.value.detail
    assert "token_url" in caught.value.hint
    assert not [word for word in ("s3cret", "Airflow", "airflow_url") if word in message]


@pytest.mark.parametrize("status", [200, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(("body", "kind"), [(b"", None), (b"<html>Signed in", "text/html")])
def test_redirect_or_page_can_be_allowed(status: int, body: bytes, kind: str | None) -> None:
    read_as = read_response(
        SOURCE, requests_response(status, body, kind, Location="/home"), redirects=True
    )

    assert (read_as.status, read_as.body, read_as.text) == (status, None, body.decode())


@pytest.mark.parametrize(("status", "error"), [(429, TransientError), (503, TransientError)])
def test_429_and_5xx_are_transient_where_redirects_are_allowed(
    status: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read_response(SOURCE, requests_response(status, b"", "text/html"), redirects=True)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"detail": "DAG not found"}, "DAG not found"),
        ({"detail": None, "title": "Forbidden", "status": 403}, "Forbidden"),
        ({"detail": "", "title": "Forbidden"}, "Forbidden"),
        ({"error": "API route not found"}, "API route not found"),
        (
            {"error": "invalid_client", "error_description": "AADSTS7000215"},
            "invalid_client: AADSTS7000215",
        ),
        ({"error": "invalid_client", "error_description": ""}, "invalid_client"),
        ({"error": "invalid_client", "error_description": None}, "invalid_client"),
        ({"error_description": "alone"}, "alone"),
        ({"error": {"code": 7, "message": "Not found"}}, "Not found"),
        ({"error": ["one", 2]}, "one; 2"),
        ({"message": "The security token is expired"}, "The security token is expired"),
        ({"Message": "User is not authorized"}, "User is not authorized"),
        ({"message": None, "Message": "capital"}, "capital"),
        ({"detail": "first", "title": "second", "error": "third", "message": "fourth"}, "first"),
        ({"title": "second", "error": "third", "message": "fourth"}, "second"),
        ({"error": "third", "message": "fourth", "Message": "fifth"}, "third"),
        ({"detail": [{"loc": "body", "msg": "bad"}]}, "{'loc': 'body', 'msg': 'bad'}"),
        ({"detail": [{"msg": "bad"}, None]}, "{'msg': 'bad'}; None"),
        ({"detail": [{"loc": [], "type": "missing"}]}, ": None"),
        ({"detail": {"reason": None, "message": None}}, "{'reason': None, 'message': None}"),
        ({"detail": False, "title": 0, "error": "said"}, "said"),
        (
            {"detail": [{"loc": ["body", "conf", 0], "msg": "bad", "input": "s3cret"}]},
            "body.conf.0: bad",
        ),
        ({"detail": [{"loc": ["a"], "msg": "b"}, {"loc": ["c"], "msg": "d"}]}, "a: b; c: d"),
        ({"detail": ["one", "two"]}, "one; two"),
        (
            {"detail": {"reason": "Unique constraint", "statement": "x", "message": "again"}},
            "Unique constraint: again",
        ),
        ({"detail": {"message": "again"}}, "again"),
        ({"detail": {"code": 7}}, "{'code': 7}"),
        ({"detail": 7}, "7"),
        ({"detail": []}, ""),
        ({}, ""),
        ([1], ""),
        ("text", ""),
    ],
)
def test_detail_is_found_in_each_airflow_error_shape(body: Any, detail: str) -> None:
    assert Response(400, body, SOURCE).detail == detail


def test_detail_of_a_page_is_its_text() -> None:
    assert Response(404, None, SOURCE, "Not here").detail == "Not here"


@given(json_values)
def test_detail_of_any_json_is_text(body: Any) -> None:
    assert isinstance(
        read_response(SOURCE, requests_response(400, json.dumps(body).encode())).detail, str
    )


def test_unexpected_response_names_the_input_of_its_service() -> None:
    airflows = Response(200, None, SOURCE, "<html>").unexpected("the body is not JSON.")
    others = Response(200, {}, "POST /token", service=PROVIDER).unexpected("it has no token.")

    assert airflows.title == "Airflow's API sent an unexpected response"
    assert airflows.detail == f"{SOURCE}: the body is not JSON. It begins: <html>"
    assert "airflow_url" in airflows.hint
    assert others.title == "The identity provider sent an unexpected response"
    assert others.detail == "POST /token: it has no token."
    assert "token_url" in others.hint
    assert "airflow_url" not in others.hint


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
def test_response_names_the_service_and_the_server_header(status: int) -> None:
    read_as = read_response(SOURCE, requests_response(status, b"{}", Server="cloudflare"), PROVIDER)

    assert (read_as.server, read_as.service) == ("cloudflare", PROVIDER)
    assert (
        read_response(SOURCE, requests_response(status, b"{}")).server,
        read_response(SOURCE, requests_response(status, b"{}")).service,
    ) == ("", AIRFLOW)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_transient_error_names_its_service(status: int) -> None:
    with pytest.raises(TransientError) as caught:
        read_response("POST /token", requests_response(status, b"{}"), PROVIDER)

    assert caught.value.title == f"The identity provider answers {status}"
    assert "Airflow" not in caught.value.detail


@pytest.mark.parametrize("body", [b"<html>", b"{"], ids=["page", "cut"])
def test_page_or_invalid_json_of_another_service_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(
            "POST /token",
            requests_response(200, body, "text/html" if body == b"<html>" else "application/json"),
            PROVIDER,
        )

    assert caught.value.title == "The identity provider sent an unexpected response"
    assert "token_url" in caught.value.hint


def test_error_names_request_status_and_content_type() -> None:
    assert (
        describe_response("GET /x", requests_response(404, kind="Text/HTML; charset=utf-8"))
        == "GET /x answered 404 text/html"
    )
    assert (
        describe_response("GET /x", requests_response(204, kind=None))
        == "GET /x answered 204 no content type"
    )


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], {}),
        (["_token=eyJ.eyJ.sig; Path=/; HttpOnly; SameSite=lax"], {"_token": "eyJ.eyJ.sig"}),
        (
            ["session=.eJw-x_y.Zq; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure"],
            {"session": ".eJw-x_y.Zq"},
        ),
        (["a=1; Path=/", "b=2; Path=/"], {"a": "1", "b": "2"}),
        (["a=1", "a=2"], {"a": "2"}),
        (['a="1 2"; Path=/'], {"a": "1 2"}),
        (["session=; Max-Age=0"], {"session": ""}),
        (["no cookie", "bad name=1", "b,c=1", "=", ";", "a=1"], {"a": "1"}),
    ],
)
def test_each_set_cookie_header_is_read_and_invalid_ones_skipped(
    lines: list[str], cookies: dict[str, str]
) -> None:
    script = ScriptedAdapter(http_response(302, Set_Cookie=lines, Location="/home"))
    sending = Request("POST", "https://airflow.example.com/login", "POST /login")
    read_as = script.client().send(
        sending, lambda got, _: read_response("POST /login", got, redirects=True)
    )

    assert read_as.cookies == cookies


def test_repr_shows_no_cookie() -> None:
    assert "s3cret" not in repr(Response(200, {}, SOURCE, cookies={"session": "s3cret"}))


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            b"<html><head><title>413 Request Entity Too Large</title></head><hr>nginx</html>",
            "413 Request Entity Too Large nginx",
        ),
        (
            b"<style>body{a:b}</style><p>Blocked.<br>Your ID is&nbsp;7&lt;8",
            "Blocked. Your ID is 7<8",
        ),
        (b"<SCRIPT src=x>alert('x')</SCRIPT><!-- <p>hidden --><p>shown", "shown"),
        (b"plain words", "plain words"),
        (b"<script>never closed", "never closed"),
        (b"", ""),
    ],
)
def test_words_of_a_page_are_what_a_person_reads(page: bytes, words: str) -> None:
    assert read_response(SOURCE, requests_response(413, page, "text/html")).words == words


def test_words_of_a_long_page_end_at_a_word() -> None:
    page = b"<p>" + b"word " * 20_000
    words = read_response(SOURCE, requests_response(413, page, "text/html")).words

    assert words.endswith("word…")
    assert len(words) <= 501


def test_a_secret_in_a_page_is_masked_even_between_tags() -> None:
    masking.add("hunter2-secret")
    page = b"<p>Bearer <b>hunter2-secret</b> and hunter2&#45;secret"

    words = read_response(SOURCE, requests_response(403, page, "text/html")).words
    assert words == "Bearer *** and ***"


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        (b'{"detail": "cannot deserialize"}', "application/json", ": cannot deserialize"),
        (b'{"detail": {"reason": "Database error"}}', "application/json", ": Database error"),
        (b"<h1>Ooops!</h1>", "text/html", ": Ooops!"),
        (b"{", "application/json", "."),
        (b"", "text/html", "."),
    ],
)
def test_a_failure_quotes_its_body_only_on_request(body: bytes, kind: str, detail: str) -> None:
    """A login must not, because a faulty server may echo it."""
    for quote, end in ((True, detail), (False, ".")):
        with pytest.raises(TransientError) as caught:
            read_response(SOURCE, requests_response(500, body, kind), quote_failure=quote)
        assert caught.value.detail == f"{SOURCE} answered 500 {kind}{end}"
        assert caught.value.status == 500
