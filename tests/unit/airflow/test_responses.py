"""What Airflow's API answers, taken apart: what it promises and what it does not, and whose refusal
it is.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.responses import (
    forbidden,
    is_credential_refused,
    is_from_airflow,
    no_longer_accepted,
    optional,
    parse_datetime,
    require_object,
    unauthorized,
)
from entrypoint.errors import Forbidden, GatewayRefused, UnexpectedResponse
from entrypoint.http.response import Response

SOURCE = "GET /api/v2/version"
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(texts | st.sampled_from(["detail", "title", "status"]), inner)
    ),
    max_leaves=8,
)
PAGE = Response(403, None, "GET /x answered 403 text/html", "<html>Hello", "cf")


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
# A table's column
def test_refused(status: int, detail: str, refused: bool) -> None:
    """A credential was refused with 401, and with Airflow 3's 403 for a token that it cannot
    read.
    """
    assert is_credential_refused(Response(status, {"detail": detail}, SOURCE)) is refused


@given(json_values)
def test_any_refusal(body: Any) -> None:
    """Whatever JSON an error has, 400 refuses no credential, and 403 does only with Airflow 3's
    words.
    """
    assert is_credential_refused(Response(400, body, SOURCE)) is False
    assert is_credential_refused(
        Response(403, body, SOURCE)
    ) is False or "Invalid JWT token" in json.dumps(body)


@pytest.mark.parametrize(
    ("body", "airflows"),
    [
        ({"detail": "Forbidden"}, True),
        ({"detail": None}, True),
        ({"detail": None, "status": 403, "title": "Forbidden", "type": "about:blank"}, True),
        ({"status": 401, "title": "Unauthorized"}, True),
        ({"title": "Forbidden"}, False),
        ({"status": 403}, False),
        ({"message": "Forbidden"}, False),
        ({"error": "access_denied"}, False),
        ({}, False),
        (["detail"], False),
        ("detail", False),
        (None, False),
    ],
)
def test_is_airflows(body: Any, airflows: bool) -> None:
    """A refusal is Airflow's own if it has the shape of version 3 or that of version 2, and else
    somebody's in front of it.
    """
    assert is_from_airflow(Response(403, body, SOURCE)) is airflows


def test_unauthorized() -> None:
    """The error for a refused credential carries Airflow's words and where to look."""
    error = unauthorized(
        Response(401, {"detail": "Token Expired"}, "GET /x answered 401 application/json")
    )

    assert error.title == "Airflow refused the credential"
    assert error.detail == "GET /x answered 401 application/json: Token Expired"
    assert "secret" in error.hint
    assert "basic_auth" in error.hint
    assert (
        unauthorized(Response(401, {"detail": ""}, "GET /x answered 401")).detail
        == "GET /x answered 401"
    )


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (
            PAGE,
            (
                "GET /x answered 403 text/html: <html>Hello. The server calls itself cf. "
                "Airflow's own refusals look different."
            ),
        ),
        (
            Response(401, {"error": "access_denied"}, "GET /x answered 401"),
            "GET /x answered 401: access_denied. Airflow's own refusals look different.",
        ),
        (
            Response(401, None, "GET /x answered 401"),
            "GET /x answered 401. Airflow's own refusals look different.",
        ),
    ],
    ids=["page", "JSON", "empty"],
)
def test_refused_by_a_gateway(answer: Response, detail: str) -> None:
    """What refuses in other words than Airflow's is a gateway: it is named, with the server's name,
    and how to get past it.
    """
    bad, missing = unauthorized(answer), forbidden(answer)

    for error in (bad, missing):
        assert error.title == "A gateway in front of Airflow refused the request"
        assert error.detail == detail
        assert all(
            way in error.hint
            for way in ("headers", "CF-Access-Client-Id", "Proxy-Authorization", "address")
        )
    assert isinstance(missing, GatewayRefused)


@pytest.mark.parametrize(
    "body", [{"detail": "Forbidden"}, {"title": "Forbidden", "status": 403, "detail": None}]
)
def test_forbidden(body: dict[str, Any]) -> None:
    """The error for a missing permission says that the credential is good, and which permissions it
    takes.
    """
    error = forbidden(Response(403, body, "POST /x answered 403 application/json"))

    assert (type(error), error.title) == (Forbidden, "A permission is missing")
    assert error.detail.startswith("POST /x answered 403 application/json. ")
    assert "knows the credential" in error.detail
    assert all(permission in error.hint for permission in ("can create", "can edit", "can read"))


@pytest.mark.parametrize(
    ("seconds", "time"),
    [
        (0, "0 seconds"),
        (61.4, "61 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3540, "59 minutes"),
        (86_400, "1440 minutes"),
    ],
)
def test_no_longer(seconds: float, time: str) -> None:
    """A credential that was accepted and then refused died meanwhile: after how long, what to do,
    and what a re-run does.
    """
    answer = Response(401, {"detail": "Token Expired"}, "GET /x answered 401")
    error = no_longer_accepted(answer, seconds, "A run may take {} with it.")

    assert error.title == "Airflow no longer accepts the credential"
    assert error.detail == f"GET /x answered 401: Token Expired. It was accepted for {time} before."
    assert error.hint.startswith(f"A run may take {time} with it. ")
    assert "continues the same DAG run" in error.hint


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"name": "tiny", "slots": 1}),
        (200, {"name": "", "slots": 0, "unknown": None}),
    ],
)
def test_object_of_the_promised_shape(status: int, body: dict[str, Any]) -> None:
    """An object with status and keys as promised is the body, whatever else is in it."""
    assert require_object(Response(status, body, SOURCE), 200, {"name": str, "slots": int}) is body


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
    """Another status or shape is no answer of Airflow's, and the error says what is missing or
    quotes Airflow.
    """
    with pytest.raises(UnexpectedResponse) as caught:
        require_object(Response(status, body, SOURCE), 200, {"name": str, "slots": int})

    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("value", "kind", "read_as"),
    [
        (None, str, None),
        ("", str, ""),
        (0, int, 0),
        (4.2, (int, float), 4.2),
        (4, (int, float), 4),
        ({}, dict, {}),
    ],
)
def test_optional(value: Any, kind: Any, read_as: Any) -> None:
    """A value of its kind is read as it is, falsy ones too; null and a missing key are None."""
    assert optional(Response(200, {}, SOURCE), {"key": value}, "key", kind) == read_as
    assert optional(Response(200, {}, SOURCE), {}, "key", kind) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, str),
        ("1", int),
        (True, int),
        (1.0, int),
        (float("nan"), (int, float)),
        (float("-inf"), float),
        ([], dict),
    ],
)
def test_not_optional(value: Any, kind: Any) -> None:
    """A value of another kind, a boolean for a number and a number that is none are refused by the
    key's name.
    """
    with pytest.raises(UnexpectedResponse, match="'key'"):
        optional(Response(200, {}, SOURCE), {"key": value}, "key", kind)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("2026-01-31T00:00:00Z", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T01:00:00+01:00", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T00:00:00", datetime(2026, 1, 31, tzinfo=UTC)),
        (
            "2026-01-31T00:00:00.500000+00:00",
            datetime(2026, 1, 31, microsecond=500_000, tzinfo=UTC),
        ),
    ],
)
def test_moment_of(text: str | None, moment: datetime | None) -> None:
    """A date is a moment in UTC, with or without an offset; null is none."""
    assert parse_datetime(Response(200, {}, SOURCE), text) == moment


@given(json_values.filter(lambda value: value is not None))
def test_any_moment_of(value: Any) -> None:
    """Whatever stands in the place of a date, it is a moment or an unexpected answer."""
    try:
        moment = parse_datetime(Response(200, {}, SOURCE), value)
    except UnexpectedResponse:
        return
    assert moment is not None
    assert moment.utcoffset() == timedelta(0)
