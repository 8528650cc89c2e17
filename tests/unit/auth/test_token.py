"""Grants from tokens and passwords: header, expiry and masking."""

import base64
import json
from math import inf, isfinite, nan
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.authorization import Grant
from entrypoint.auth.token import basic, bearer, exchange_token, pair, require_token
from entrypoint.credentials import Password, Secret
from entrypoint.deadline import Deadline
from entrypoint.errors import NotSupported, UnexpectedResponse
from entrypoint.http.client import NO_DEADLINE

KEY = "a key that is long enough for HS512 is a key of at least sixty-four bytes"
PASSWORD: dict[str, str | Secret] = {"username": "admin", "password": Secret("pa55word")}
HOSTILE: dict[str, Any] = {
    "null": None,
    "word": "soon",
    "digits": "1086400",
    "true": True,
    "false": False,
    "list": [1_086_400],
    "object": {"exp": 1},
    "huge": 10**400,
    "infinite": inf,
    "never": -inf,
    "no number": nan,
}
"""Invalid values in place of the issuer's seconds."""
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner) | st.dictionaries(texts | st.sampled_from(["exp", "access_token"]), inner)
    ),
    max_leaves=6,
)
moments = st.none() | st.integers(0, 2**40) | st.floats(0, 2**40)


def signed_token(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, KEY, "HS512")


def token_with_payload(payload: bytes) -> str:
    parts = (b'{"alg":"HS512","typ":"JWT"}', payload, b"signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def claims_with(exp: float | None, **more: Any) -> dict[str, Any]:
    return more if exp is None else {"exp": exp, **more}


def test_token_is_sent_as_bearer() -> None:
    assert bearer("t0ken") == Grant(Secret("Bearer t0ken"))


@given(moments, moments, moments)
def test_earliest_known_expiry_counts(
    issuers: float | None, own: float | None, nested: float | None
) -> None:
    """The issuer's, the token's own exp, and that of a nested token."""
    text = signed_token(claims_with(own, access_token=signed_token(claims_with(nested))))
    known = [end for end in (issuers, own, nested) if end is not None]

    assert bearer(text, issuers) == Grant(
        Secret(f"Bearer {text}"), min(known, default=None), ambiguous_403=True
    )


def test_expiry_is_read_without_checking_the_signature() -> None:
    for key, algorithm in ((KEY, "HS256"), (KEY, "HS512"), ("", "none")):
        assert bearer(jwt.encode({"exp": 1}, key, algorithm)).expires == 1


@pytest.mark.parametrize("own", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("nested", [None, *HOSTILE.values()], ids=["nothing", *HOSTILE])
def test_invalid_exp_claim_is_ignored(own: Any, nested: Any) -> None:
    text = signed_token({"exp": own, "access_token": signed_token({"exp": nested})})

    assert bearer(text).expires is None
    assert bearer(text, 300.0).expires == 300.0
    assert (
        bearer(
            signed_token({"exp": 200, "access_token": signed_token({"exp": nested})}), 300.0
        ).expires
        == 200.0
    )
    assert (
        bearer(
            signed_token({"exp": own, "access_token": signed_token({"exp": 100})}), 300.0
        ).expires
        == 100.0
    )


@pytest.mark.parametrize("issuers", [inf, -inf, nan])
def test_invalid_expires_in_is_ignored(issuers: float) -> None:
    assert bearer("opaque", issuers).expires is None
    assert bearer(signed_token({"exp": 200}), issuers).expires == 200.0


@pytest.mark.parametrize(
    "text",
    [
        "opaque",
        "ya29.a0",
        "a.b.c",
        "..",
        signed_token({}),
        token_with_payload(b""),
        token_with_payload(b"\xff\xfe"),
        token_with_payload(b"{"),
        token_with_payload(b"[1]"),
        token_with_payload(b"null"),
        token_with_payload(b'"exp"'),
        token_with_payload(b'{"exp": ' + b"9" * 5000 + b"}"),
        token_with_payload(b'{"exp": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
    ids=[
        "opaque",
        "dots",
        "letters",
        "empty",
        "no exp",
        "nothing",
        "bytes",
        "cut",
        "list",
        "null",
        "text",
        "digits",
        "deep",
    ],
)
def test_unreadable_token_is_sent_with_the_expiry_of_its_issuer(text: str) -> None:
    assert bearer(text) == Grant(Secret(f"Bearer {text}"))
    assert bearer(text, 300.0).expires == 300.0


@given(st.dictionaries(texts | st.sampled_from(["exp", "access_token"]), json_values))
def test_any_claims_are_sent_with_a_numeric_or_unknown_expiry(found: dict[str, Any]) -> None:
    text = token_with_payload(json.dumps(found).encode())
    grant = bearer(text)

    assert grant.value.reveal() == f"Bearer {text}"
    assert grant.expires is None or (type(grant.expires) is float and isfinite(grant.expires))


@pytest.mark.parametrize(
    "nested", [signed_token({"exp": 1}), "opaque", "", None, 7, [], {"exp": 1}, "\ud800"]
)
def test_403_for_a_nested_token_is_ambiguous(nested: Any) -> None:
    """The inner token may have expired."""
    assert bearer(signed_token({"access_token": nested})).ambiguous_403 is True
    assert bearer(signed_token({"access_tokens": nested})).ambiguous_403 is False


@given(texts.filter(lambda text: ":" not in text), texts)
def test_basic_credential_is_utf8_in_base64_and_masked(username: str, password: str) -> None:
    masked: list[str] = []
    grant = basic(Password(username, Secret(password)), masked.append)
    scheme, _, encoded = grant.value.reveal().partition(" ")

    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == f"{username}:{password}"
    assert masked == [encoded]
    assert grant == Grant(Secret(f"Basic {encoded}"))


@pytest.mark.parametrize("username", [":", "team:deploy", "admin:"])
def test_user_name_with_a_colon_is_not_sent_as_basic(username: str) -> None:
    masked: list[str] = []
    with pytest.raises(NotSupported, match="username contains a colon"):
        basic(Password(username, Secret("p")), masked.append)
    assert masked == []


def test_basic_credential_is_the_example_of_rfc_7617() -> None:
    masked: list[str] = []

    assert pair("Aladdin", Secret("open sesame"), masked.append) == "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert masked == ["QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]


def test_login_gets_exactly_these_fields_and_its_token_is_masked() -> None:
    asked: list[dict[str, str]] = []
    masked: list[str] = []
    given_ = signed_token({"exp": 1_086_400})

    def login(body: dict[str, str], _deadline: Deadline) -> str:
        assert masked == []
        asked.append(body)
        return given_

    assert exchange_token(PASSWORD, login, masked.append, NO_DEADLINE) == Grant(
        Secret(f"Bearer {given_}"), 1_086_400.0
    )
    assert asked == [{"username": "admin", "password": "pa55word"}]
    assert masked == [given_]


@pytest.mark.parametrize(
    ("password", "escaped"),
    [
        ('päss"', 'p\\u00e4ss\\"'),
        ("back\\slash", "back\\\\slash"),
        ("tab\tline\nend", "tab\\tline\\nend"),
        ("☃", "\\u2603"),
        ("🔑", "\\ud83d\\udd11"),
    ],
)
def test_password_is_masked_in_its_json_form(password: str, escaped: str) -> None:
    masked: list[str] = []

    def login(body: dict[str, str], _deadline: Deadline) -> str:
        assert masked == [escaped]
        assert body == {"username": "jürgen", "password": password}
        assert escaped in json.dumps(body)
        return "opaque"

    exchange_token(
        {"username": "jürgen", "password": Secret(password)}, login, masked.append, NO_DEADLINE
    )
    assert masked == [escaped, "opaque"]


def test_login_error_reaches_the_caller() -> None:
    def login(_: dict[str, str], _deadline: Deadline) -> str:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        exchange_token(PASSWORD, login, lambda _: None, NO_DEADLINE)


@pytest.mark.parametrize("text", ["t0ken", "ya29.a0-_x", "a=b+c/d", "!~", "x" * 20_000])
def test_token_that_a_header_can_carry_is_masked_and_returned(text: str) -> None:
    masked: list[str] = []

    assert require_token(text, masked.append, "The issuer") == text
    assert masked == [text]


@pytest.mark.parametrize("nothing", [None, "", 7, True, ["t0ken"], {"token": "t0ken"}])
def test_response_without_a_token_names_the_service(nothing: Any) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        require_token(nothing, lambda _: None, "The issuer")

    assert caught.value.title == "The issuer gave no token"
    assert "t0ken" not in f"{caught.value.detail} {caught.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        "s3 cret",
        "s3cret\n",
        "s3cret\r\nX-Evil: 1",
        "\ts3cret",
        "s3cret\u201d",
        "s3cret\x00",
        "s3crét",
        "\x7fs3cret",
    ],
)
def test_token_that_would_break_a_header_is_masked_and_refused(text: str) -> None:
    masked: list[str] = []
    with pytest.raises(UnexpectedResponse) as caught:
        require_token(text, masked.append, "The issuer")

    assert caught.value.title == "The issuer gave no usable token"
    assert "s3" not in f"{caught.value.detail} {caught.value.hint}"
    assert masked == [text]
