"""What a web server answered becomes an answer of Airflow, or the name of what it is instead."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import get_encoding_from_headers

from entrypoint.airflow.answers import Answer, moment_of, object_of, optional, read, unauthorized
from entrypoint.errors import AirflowUnreachable, UnexpectedAnswer

SOURCE = "GET /api/v2/version"
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts | st.sampled_from(["detail", "title", "loc", "msg"]), inner),
    max_leaves=8,
)


def response(
    status: int, body: bytes = b"", kind: str | None = "application/json", **headers: str
) -> requests.Response:
    """A response as requests hands it over."""
    made = requests.Response()
    made.status_code = status
    made._content = body
    if kind is not None:
        made.headers["Content-Type"] = kind
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    made.encoding = get_encoding_from_headers(made.headers)
    return made


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json", "Application/JSON; charset=utf-8"])
@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 405, 409, 422])
def test_json(status: int, kind: str) -> None:
    """JSON is read, whatever the status, and the source names status and content type."""
    answer = read(SOURCE, response(status, '{"a": "é"}'.encode(), kind))

    assert (answer.status, answer.body, answer.text) == (status, {"a": "é"}, "")
    assert answer.source == f"{SOURCE} answered {status} {kind.partition(';')[0].lower()}"


def test_empty_204() -> None:
    """204 has no body, and needs none."""
    assert read(SOURCE, response(204, kind=None)).body is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418])
def test_error_that_is_not_json(status: int) -> None:
    """An error page keeps its status and the beginning of its text."""
    answer = read(SOURCE, response(status, b"  <html>\n" + b"word " * 1000, "text/html"))

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
    """A page with status 200, or JSON that is cut or absurd, is no answer of Airflow's, and the remedy is the base URL."""
    with pytest.raises(UnexpectedAnswer) as caught:
        read(SOURCE, response(status, body, kind))

    assert said in caught.value.detail
    assert SOURCE in caught.value.detail
    assert "airflow_url" in caught.value.hint


def test_page_is_quoted_from_its_beginning() -> None:
    """The error for a page shows how it begins, cut between words: the runner cannot mask half a secret."""
    page = b"<html> Authorization: Bearer " + b"x" * 400
    with pytest.raises(UnexpectedAnswer, match=r"It begins: <html> Authorization: Bearer…$"):
        read(SOURCE, response(200, page, "text/html"))


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_passing(status: int, kind: str) -> None:
    """429 and every 5xx pass, whatever their body: looking again may help."""
    with pytest.raises(AirflowUnreachable, match=rf"Airflow answers {status}") as caught:
        read(SOURCE, response(status, b"{", kind))

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
    """Retry-After is read in seconds; a date that is over means at once, and what cannot be read means nothing."""
    with pytest.raises(AirflowUnreachable) as caught:
        read(SOURCE, response(503, kind="text/html", Retry_After=value))

    assert caught.value.retry_after == seconds


def test_retry_after_a_date() -> None:
    """Retry-After as a date is so many seconds from now."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    with pytest.raises(AirflowUnreachable) as caught:
        read(SOURCE, response(429, kind="text/html", Retry_After=date))

    assert caught.value.retry_after == pytest.approx(600, abs=60)


@given(texts | st.builds("Mon, {} Jan {} {}:00:00 GMT".format, st.integers(), st.integers(), st.integers()))
def test_any_retry_after(value: str) -> None:
    """Whatever Retry-After says, it is no time or seconds, never negative."""
    with pytest.raises(AirflowUnreachable) as caught:
        read(SOURCE, response(503, Retry_After=value))

    assert caught.value.retry_after is None or caught.value.retry_after >= 0


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example.com/oauth?state=s3cret#s3cret", "to https://login.example.com/oauth."),
        ("https://u:s3cret@login.example.com:8443/x", "to https://login.example.com/x."),
        ("/login?next=s3cret", "to another path of the same server."),
        ("https://[s3cret", "to another path of the same server."),
        ("", "to another path of the same server."),
    ],
)
def test_redirect(status: int, location: str, shown: str) -> None:
    """A redirect is never an answer, and is shown without what may be secret in its address."""
    with pytest.raises(UnexpectedAnswer, match="redirects") as caught:
        read(SOURCE, response(status, b'{"state": "success"}', Location=location))

    assert shown in caught.value.detail
    assert "s3cret" not in caught.value.detail


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"detail": "DAG not found"}, "DAG not found"),
        ({"detail": None, "title": "Forbidden", "status": 403}, "Forbidden"),
        ({"detail": "", "title": "Forbidden"}, "Forbidden"),
        ({"error": "API route not found"}, "API route not found"),
        ({"detail": [{"loc": ["body", "conf", 0], "msg": "bad", "input": "s3cret"}]}, "body.conf.0: bad"),
        ({"detail": [{"loc": ["a"], "msg": "b"}, {"loc": ["c"], "msg": "d"}]}, "a: b; c: d"),
        ({"detail": ["one", "two"]}, "one; two"),
        ({"detail": {"reason": "Unique constraint", "statement": "x", "message": "again"}}, "Unique constraint: again"),
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
    assert Answer(400, body, SOURCE).detail == detail


def test_detail_of_a_page() -> None:
    """The detail of an answer that is not JSON is its text."""
    assert Answer(404, None, SOURCE, "Not here").detail == "Not here"


@given(json_values)
def test_any_detail(body: Any) -> None:
    """Whatever JSON an error has, its detail is text."""
    answer = read(SOURCE, response(400, json.dumps(body).encode()))

    assert isinstance(answer.detail, str)
    assert answer.refused is False or "Invalid JWT" in answer.detail


@pytest.mark.parametrize(
    ("status", "detail", "refused"),
    [
        (401, "Token Expired", True),
        (401, "", True),
        (403, "Invalid JWT token", True),
        (403, "Forbidden", False),
        (200, "Invalid JWT token", False),
        (404, "Invalid JWT token", False),
    ],
)
def test_refused(status: int, detail: str, refused: bool) -> None:  # noqa: FBT001 - a table's column
    """A credential was refused with 401, and with Airflow 3's 403 for a token that it cannot read."""
    assert Answer(status, {"detail": detail}, SOURCE).refused is refused


def test_unauthorized() -> None:
    """The error for a refused credential carries Airflow's words and where to look."""
    error = unauthorized(Answer(401, {"detail": "Token Expired"}, "GET /x answered 401 application/json"))

    assert error.detail == "GET /x answered 401 application/json: Token Expired"
    assert "secret" in error.hint
    assert unauthorized(Answer(401, None, "GET /x answered 401 text/html")).detail == "GET /x answered 401 text/html"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"name": "tiny", "slots": 1}),
        (200, {"name": "", "slots": 0, "unknown": None}),
    ],
)
def test_object_of_the_promised_shape(status: int, body: dict[str, Any]) -> None:
    """An object with status and keys as promised is the body, whatever else is in it."""
    assert object_of(Answer(status, body, SOURCE), 200, {"name": str, "slots": int}) is body


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (201, {"name": "tiny", "slots": 1}, "status"),
        (404, {"detail": "The Pool was not found"}, "The Pool was not found"),
        (200, [], "not an object"),
        (200, None, "not an object"),
        (200, "tiny", "not an object"),
        (200, {"name": "tiny"}, "'slots'"),
        (200, {"name": "tiny", "slots": "1"}, "'slots'"),
        (200, {"name": None, "slots": 1}, "'name'"),
    ],
)
def test_not_the_promised_shape(status: int, body: Any, said: str) -> None:
    """Another status or shape is no answer of Airflow's, and the error says what is missing or quotes Airflow."""
    with pytest.raises(UnexpectedAnswer) as caught:
        object_of(Answer(status, body, SOURCE), 200, {"name": str, "slots": int})

    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("value", "kind", "read_as"),
    [(None, str, None), ("", str, ""), (0, int, 0), (4.2, (int, float), 4.2), (4, (int, float), 4), ({}, dict, {})],
)
def test_optional(value: Any, kind: Any, read_as: Any) -> None:
    """A value of its kind is read as it is, falsy ones too; null and a missing key are None."""
    assert optional(Answer(200, {}, SOURCE), {"key": value}, "key", kind) == read_as
    assert optional(Answer(200, {}, SOURCE), {}, "key", kind) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1, str), ("1", int), (True, int), (1.0, int), (float("nan"), (int, float)), (float("-inf"), float), ([], dict)],
)
def test_not_optional(value: Any, kind: Any) -> None:
    """A value of another kind, a boolean for a number and a number that is none are refused by the key's name."""
    with pytest.raises(UnexpectedAnswer, match="'key'"):
        optional(Answer(200, {}, SOURCE), {"key": value}, "key", kind)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("2026-01-31T00:00:00Z", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T01:00:00+01:00", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T00:00:00", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T00:00:00.500000+00:00", datetime(2026, 1, 31, microsecond=500_000, tzinfo=UTC)),
    ],
)
def test_moment_of(text: str | None, moment: datetime | None) -> None:
    """A date is a moment in UTC, with or without an offset; null is none."""
    assert moment_of(Answer(200, {}, SOURCE), text) == moment


@given(json_values.filter(lambda value: value is not None))
def test_any_moment_of(value: Any) -> None:
    """Whatever stands in the place of a date, it is a moment or an unexpected answer."""
    try:
        moment = moment_of(Answer(200, {}, SOURCE), value)
    except UnexpectedAnswer:
        return
    assert moment is not None
    assert moment.utcoffset() == timedelta(0)
