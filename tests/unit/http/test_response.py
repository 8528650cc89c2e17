"""What a server answered becomes an answer of its API, or the name of what it is instead."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import get_encoding_from_headers

from entrypoint.errors import TransientError, UnexpectedResponse
from entrypoint.http.client import Request
from entrypoint.http.response import AIRFLOW, Response, Service, describe_response, read_response
from tests.unit.script import Script, answer

SOURCE = "GET /api/v2/version"
PROVIDER = Service("The identity provider", "token_url")
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


def response(
    status: int, body: bytes = b"", kind: str | None = "application/json", **headers: str
) -> requests.Response:
    """A response as requests hands it over."""
    made = requests.Response()
    made.status_code = status
    made._content, made._content_consumed = body, True  # type: ignore[attr-defined]
    if kind is not None:
        made.headers["Content-Type"] = kind
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    made.encoding = get_encoding_from_headers(made.headers)
    return made


@pytest.mark.parametrize(
    "kind", ["application/json", "application/problem+json", "Application/JSON; charset=utf-8"]
)
@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 405, 409, 422])
def test_json(status: int, kind: str) -> None:
    """JSON is read, whatever the status, and the source names status and content type."""
    answer = read_response(SOURCE, response(status, '{"a": "é"}'.encode(), kind))

    assert (answer.status, answer.body, answer.text) == (status, {"a": "é"}, "")
    assert answer.source == f"{SOURCE} answered {status} {kind.partition(';')[0].lower()}"


def test_empty_204() -> None:
    """204 has no body, and needs none."""
    assert read_response(SOURCE, response(204, kind=None)).body is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418])
def test_error_that_is_not_json(status: int) -> None:
    """An error page keeps its status and the beginning of its text."""
    answer = read_response(SOURCE, response(status, b"  <html>\n" + b"word " * 1000, "text/html"))

    assert (answer.status, answer.body) == (status, None)
    assert answer.text.startswith("<html>\nword word")
    assert answer.text.endswith("word…")
    assert len(answer.text) <= 500


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
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
def test_not_airflow(status: int, body: bytes, kind: str | None, said: str) -> None:
    """A page with status 200, or JSON that is cut or absurd, is no answer of Airflow's, and the
    remedy is the base URL.
    """
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(SOURCE, response(status, body, kind))

    assert said in caught.value.detail
    assert SOURCE in caught.value.detail
    assert "airflow_url" in caught.value.hint


def test_page_is_quoted_from_its_beginning() -> None:
    """The error for a page shows how it begins, cut between words: the runner cannot mask half a
    secret.
    """
    page = b"<html> Authorization: Bearer " + b"x" * 400
    with pytest.raises(UnexpectedResponse, match=r"It begins: <html> Authorization: Bearer…$"):
        read_response(SOURCE, response(200, page, "text/html"))


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_passing(status: int, kind: str) -> None:
    """429 and every 5xx pass, whatever their body: looking again may help."""
    with pytest.raises(TransientError, match=rf"Airflow answers {status}") as caught:
        read_response(SOURCE, response(status, b"{", kind))

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
def test_retry_after(value: str, seconds: float | None) -> None:
    """Retry-After is read in seconds; a date that is over means at once, and what cannot be read
    means nothing.
    """
    with pytest.raises(TransientError) as caught:
        read_response(SOURCE, response(503, kind="text/html", Retry_After=value))

    assert caught.value.retry_after == seconds


def test_retry_after_a_date() -> None:
    """Retry-After as a date is so many seconds from now."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    with pytest.raises(TransientError) as caught:
        read_response(SOURCE, response(429, kind="text/html", Retry_After=date))

    assert caught.value.retry_after == pytest.approx(600, abs=60)


@given(
    texts
    | st.builds("Mon, {} Jan {} {}:00:00 GMT".format, st.integers(), st.integers(), st.integers())
)
def test_any_retry_after(value: str) -> None:
    """Whatever Retry-After says, it is no time or seconds, never negative."""
    with pytest.raises(TransientError) as caught:
        read_response(SOURCE, response(503, Retry_After=value))

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
def test_redirect(status: int, location: str, shown: str) -> None:
    """A redirect is never an answer, and is shown without what may be secret in its address."""
    with pytest.raises(UnexpectedResponse, match="redirects") as caught:
        read_response(SOURCE, response(status, b'{"state": "success"}', Location=location))

    assert shown in caught.value.detail
    assert "s3cret" not in caught.value.detail


def test_redirect_of_airflow() -> None:
    """A redirect in front of Airflow points to the final address, and to a gateway's own
    credential.
    """
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(SOURCE, response(302, Location="https://login.example.com/"))

    assert caught.value.title == "Airflow's address redirects"
    assert "airflow_url" in caught.value.hint
    assert "headers" in caught.value.hint


def test_redirect_of_another_party() -> None:
    """A redirect of who grants tokens names him and the input that says where he is, and not
    Airflow.
    """
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(
            "POST /token", response(307, Location="https://evil.example.com/?s3cret"), PROVIDER
        )

    said = f"{caught.value.title} {caught.value.detail} {caught.value.hint}"
    assert caught.value.title == "The identity provider redirects"
    assert "to https://evil.example.com/." in caught.value.detail
    assert "token_url" in caught.value.hint
    assert not [word for word in ("s3cret", "Airflow", "airflow_url") if word in said]


@pytest.mark.parametrize("status", [200, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(("body", "kind"), [(b"", None), (b"<html>Signed in", "text/html")])
def test_redirect_as_an_answer(status: int, body: bytes, kind: str | None) -> None:
    """Where a redirect or a page is what a login answers with, it is an answer like any other."""
    read_as = read_response(SOURCE, response(status, body, kind, Location="/home"), redirects=True)

    assert (read_as.status, read_as.body, read_as.text) == (status, None, body.decode())


@pytest.mark.parametrize(("status", "error"), [(429, TransientError), (503, TransientError)])
def test_passing_where_redirects_are_answers(status: int, error: type[Exception]) -> None:
    """429 and 5xx pass there too."""
    with pytest.raises(error):
        read_response(SOURCE, response(status, b"", "text/html"), redirects=True)


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
def test_detail(body: Any, detail: str) -> None:
    """Airflow's own words are found in each of the shapes in which it puts them."""
    assert Response(400, body, SOURCE).detail == detail


def test_detail_of_a_page() -> None:
    """The detail of an answer that is not JSON is its text."""
    assert Response(404, None, SOURCE, "Not here").detail == "Not here"


@given(json_values)
def test_any_detail(body: Any) -> None:
    """Whatever JSON an error has, its detail is text."""
    assert isinstance(read_response(SOURCE, response(400, json.dumps(body).encode())).detail, str)


def test_unexpected() -> None:
    """What is no answer of Airflow's leads to airflow_url, and what is none of another party's to
    the input that names it.
    """
    airflows = Response(200, None, SOURCE, "<html>").unexpected("the body is not JSON.")
    others = Response(200, {}, "POST /token", party=PROVIDER).unexpected("it has no token.")

    assert airflows.title == "That is not an answer of Airflow's API"
    assert airflows.detail == f"{SOURCE}: the body is not JSON. It begins: <html>"
    assert "airflow_url" in airflows.hint
    assert others.title == "The identity provider gave an unexpected answer"
    assert others.detail == "POST /token: it has no token."
    assert "token_url" in others.hint
    assert "airflow_url" not in others.hint


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
def test_who_answered(status: int) -> None:
    """An answer says which party was asked, and what the server calls itself."""
    read_as = read_response(SOURCE, response(status, b"{}", Server="cloudflare"), PROVIDER)

    assert (read_as.server, read_as.party) == ("cloudflare", PROVIDER)
    assert (
        read_response(SOURCE, response(status, b"{}")).server,
        read_response(SOURCE, response(status, b"{}")).party,
    ) == ("", AIRFLOW)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_of_another_party(status: int) -> None:
    """A party that has no time is named, whoever it is."""
    with pytest.raises(TransientError) as caught:
        read_response("POST /token", response(status, b"{}"), PROVIDER)

    assert caught.value.title == f"The identity provider answers {status}"
    assert "Airflow" not in caught.value.detail


@pytest.mark.parametrize("body", [b"<html>", b"{"], ids=["page", "cut"])
def test_nonsense_of_another_party(body: bytes) -> None:
    """A page or cut JSON with status 200 is no answer of that party's."""
    with pytest.raises(UnexpectedResponse) as caught:
        read_response(
            "POST /token",
            response(200, body, "text/html" if body == b"<html>" else "application/json"),
            PROVIDER,
        )

    assert caught.value.title == "The identity provider gave an unexpected answer"
    assert "token_url" in caught.value.hint


def test_origin_of() -> None:
    """Error texts name request, status and content type, without its parameters."""
    assert (
        describe_response("GET /x", response(404, kind="Text/HTML; charset=utf-8"))
        == "GET /x answered 404 text/html"
    )
    assert (
        describe_response("GET /x", response(204, kind=None))
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
def test_cookies(lines: list[str], cookies: dict[str, str]) -> None:
    """The cookies that a server sets are read line by line, and what is no cookie is passed
    over.
    """
    script = Script(answer(302, Set_Cookie=lines, Location="/home"))
    sending = Request("POST", "https://airflow.example.com/login", "POST /login")
    read_as = script.wire().send(
        sending, lambda got, _: read_response("POST /login", got, redirects=True)
    )

    assert read_as.cookies == cookies


def test_cookies_do_not_show() -> None:
    """A text made of an answer has none of its cookies in it."""
    assert "s3cret" not in repr(Response(200, {}, SOURCE, cookies={"session": "s3cret"}))
