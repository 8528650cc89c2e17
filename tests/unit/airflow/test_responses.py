"""Checking Airflow's responses and their refusals."""

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
def test_credential_is_refused_with_401_or_airflow_3_invalid_token_403(
    status: int, detail: str, refused: bool
) -> None:
    assert is_credential_refused(Response(status, {"detail": detail}, SOURCE)) is refused


@given(json_values)
def test_400_and_other_403_responses_refuse_no_credential(body: Any) -> None:
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
def test_refusal_is_airflows_own_if_it_has_the_shape_of_either_version(
    body: Any, airflows: bool
) -> None:
    assert is_from_airflow(Response(403, body, SOURCE)) is airflows


def test_unauthorized_error_quotes_airflow_and_gives_a_hint() -> None:
    error = unauthorized(
        Response(401, {"detail": "Token Expired"}, "GET /x answered 401 application/json")
    )

    assert error.title == "Airflow refused the credential"
    assert error.detail == "GET /x answered 401 application/json: Token Expired"
    assert "credential is complete" in error.hint
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
                "GET /x answered 403 text/html: <html>Hello. Its header Server is cf. "
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
def test_refusal_by_a_gateway_names_its_server(answer: Response, detail: str) -> None:
    bad, missing = unauthorized(answer), forbidden(answer)

    for error in (bad, missing):
        assert error.title == "A gateway in front of Airflow refused the request"
        assert error.detail == detail
        assert all(
            way in error.hint
            for way in (
                "headers",
                "CF-Access-Client-Id",
                "google_workload_identity_provider",
                "Proxy-Authorization",
                "HTTP Basic",
                "address",
            )
        )
    assert isinstance(missing, GatewayRefused)


@pytest.mark.parametrize(
    "body", [{"detail": "Forbidden"}, {"title": "Forbidden", "status": 403, "detail": None}]
)
def test_forbidden_error_names_the_missing_permissions(body: dict[str, Any]) -> None:
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
def test_expired_credential_error_names_its_lifetime_and_a_remedy(
    seconds: float, time: str
) -> None:
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
def test_object_with_expected_status_and_keys_is_the_body(
    status: int, body: dict[str, Any]
) -> None:
    assert require_object(Response(status, body, SOURCE), 200, {"name": str, "slots": int}) is body


@pytest.mark.parametrize(
    ("status", "body", "message"),
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
def test_other_status_or_shape_is_an_unexpected_response(
    status: int, body: Any, message: str
) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        require_object(Response(status, body, SOURCE), 200, {"name": str, "slots": int})

    assert message in caught.value.detail


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
def test_optional_value_is_read_and_null_or_missing_is_none(
    value: Any, kind: Any, read_as: Any
) -> None:
    """Falsy values are values."""
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
def test_value_of_another_type_is_refused_by_its_key(value: Any, kind: Any) -> None:
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
def test_date_is_read_as_utc(text: str | None, moment: datetime | None) -> None:
    assert parse_datetime(Response(200, {}, SOURCE), text) == moment


@given(json_values.filter(lambda value: value is not None))
def test_any_text_is_a_date_or_an_unexpected_response(value: Any) -> None:
    try:
        moment = parse_datetime(Response(200, {}, SOURCE), value)
    except UnexpectedResponse:
        return
    assert moment is not None
    assert moment.utcoffset() == timedelta(0)
