"""Grants that need nobody but Airflow: what is presented, when it dies, and that what is derived is
masked first.
"""

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
from entrypoint.errors import UnexpectedResponse

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
"""What may stand where an issuer should have put seconds."""
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner) | st.dictionaries(texts | st.sampled_from(["exp", "access_token"]), inner)
    ),
    max_leaves=6,
)
moments = st.none() | st.integers(0, 2**40) | st.floats(0, 2**40)


def token(claims: dict[str, Any]) -> str:
    """A signed token with these claims."""
    return jwt.encode(claims, KEY, "HS512")


def unsigned(payload: bytes) -> str:
    """What looks like a token, with any bytes where its claims belong."""
    parts = (b'{"alg":"HS512","typ":"JWT"}', payload, b"signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def claims(exp: float | None, **more: Any) -> dict[str, Any]:
    """Claims with this expiry, or with none."""
    return more if exp is None else {"exp": exp, **more}


def test_bearer() -> None:
    """A token is presented as it is."""
    assert bearer("t0ken") == Grant(Secret("Bearer t0ken"))


@given(moments, moments, moments)
def test_expiry(issuers: float | None, own: float | None, nested: float | None) -> None:
    """A token dies when its issuer says, or its own exp, or that of the token in it: whichever is
    first.
    """
    text = token(claims(own, access_token=token(claims(nested))))
    known = [end for end in (issuers, own, nested) if end is not None]

    assert bearer(text, issuers) == Grant(
        Secret(f"Bearer {text}"), min(known, default=None), ambiguous_403=True
    )


def test_expiry_of_a_signature_that_nobody_can_check() -> None:
    """The expiry is read whoever signed the token, long over or not."""
    for key, algorithm in ((KEY, "HS256"), (KEY, "HS512"), ("", "none")):
        assert bearer(jwt.encode({"exp": 1}, key, algorithm)).expires == 1


@pytest.mark.parametrize("own", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("nested", [None, *HOSTILE.values()], ids=["nothing", *HOSTILE])
def test_hostile_expiry(own: Any, nested: Any) -> None:
    """An expiry that is no number of seconds is not known, and takes nothing from those that
    are.
    """
    text = token({"exp": own, "access_token": token({"exp": nested})})

    assert bearer(text).expires is None
    assert bearer(text, 300.0).expires == 300.0
    assert (
        bearer(token({"exp": 200, "access_token": token({"exp": nested})}), 300.0).expires == 200.0
    )
    assert bearer(token({"exp": own, "access_token": token({"exp": 100})}), 300.0).expires == 100.0


@pytest.mark.parametrize("issuers", [inf, -inf, nan])
def test_an_issuer_without_a_number(issuers: float) -> None:
    """An issuer's expiry that is no number is not known either."""
    assert bearer("opaque", issuers).expires is None
    assert bearer(token({"exp": 200}), issuers).expires == 200.0


@pytest.mark.parametrize(
    "text",
    [
        "opaque",
        "ya29.a0",
        "a.b.c",
        "..",
        token({}),
        unsigned(b""),
        unsigned(b"\xff\xfe"),
        unsigned(b"{"),
        unsigned(b"[1]"),
        unsigned(b"null"),
        unsigned(b'"exp"'),
        unsigned(b'{"exp": ' + b"9" * 5000 + b"}"),
        unsigned(b'{"exp": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
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
def test_unreadable_token(text: str) -> None:
    """A token that cannot be read is presented as it is, for as long as its issuer says."""
    assert bearer(text) == Grant(Secret(f"Bearer {text}"))
    assert bearer(text, 300.0).expires == 300.0


@given(st.dictionaries(texts | st.sampled_from(["exp", "access_token"]), json_values))
def test_any_claims(found: dict[str, Any]) -> None:
    """Whatever a token claims, it is presented as it is, and its expiry is a number or not
    known.
    """
    text = unsigned(json.dumps(found).encode())
    grant = bearer(text)

    assert grant.value.reveal() == f"Bearer {text}"
    assert grant.expires is None or (type(grant.expires) is float and isfinite(grant.expires))


@pytest.mark.parametrize(
    "nested", [token({"exp": 1}), "opaque", "", None, 7, [], {"exp": 1}, "\ud800"]
)
def test_a_token_in_a_token(nested: Any) -> None:
    """Behind a token that carries another, readable or not, any 403 may mean that the inner one is
    dead.
    """
    assert bearer(token({"access_token": nested})).ambiguous_403 is True
    assert bearer(token({"access_tokens": nested})).ambiguous_403 is False


@given(texts.filter(lambda text: ":" not in text), texts)
def test_basic(username: str, password: str) -> None:
    """User name and password in any script arrive as UTF-8 in Base64, which is masked before it is
    used.
    """
    masked: list[str] = []
    grant = basic(Password(username, Secret(password)), masked.append)
    scheme, _, encoded = grant.value.reveal().partition(" ")

    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == f"{username}:{password}"
    assert masked == [encoded]
    assert grant == Grant(Secret(f"Basic {encoded}"))


def test_pair() -> None:
    """A pair is the example of RFC 7617, and masked."""
    masked: list[str] = []

    assert pair("Aladdin", Secret("open sesame"), masked.append) == "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert masked == ["QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]


def test_exchanged() -> None:
    """A login is told exactly what it is to be told, and the token that it gives is masked."""
    asked: list[dict[str, str]] = []
    masked: list[str] = []
    given_ = token({"exp": 1_086_400})

    def login(body: dict[str, str]) -> str:
        assert masked == []
        asked.append(body)
        return given_

    assert exchange_token(PASSWORD, login, masked.append) == Grant(
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
def test_a_password_that_json_escapes(password: str, escaped: str) -> None:
    """A password that looks different in JSON is masked in that form as well, before it is sent
    so.
    """
    masked: list[str] = []

    def login(body: dict[str, str]) -> str:
        assert masked == [escaped]
        assert body == {"username": "jürgen", "password": password}
        assert escaped in json.dumps(body)
        return "opaque"

    exchange_token({"username": "jürgen", "password": Secret(password)}, login, masked.append)
    assert masked == [escaped, "opaque"]


def test_a_login_that_fails() -> None:
    """An error of the login reaches the caller."""

    def login(_: dict[str, str]) -> str:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        exchange_token(PASSWORD, login, lambda _: None)


@pytest.mark.parametrize("text", ["t0ken", "ya29.a0-_x", "a=b+c/d", "!~", "x" * 20_000])
def test_usable(text: str) -> None:
    """A token that a header can carry is returned as it is, masked."""
    masked: list[str] = []

    assert require_token(text, masked.append, "Somebody") == text
    assert masked == [text]


@pytest.mark.parametrize("nothing", [None, "", 7, True, ["t0ken"], {"token": "t0ken"}])
def test_no_token(nothing: Any) -> None:
    """An answer in which there is no token is named with who gave it."""
    with pytest.raises(UnexpectedResponse) as caught:
        require_token(nothing, lambda _: None, "Somebody")

    assert caught.value.title == "Somebody gave no token"
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
def test_a_token_that_no_header_can_carry(text: str) -> None:
    """A token that would break the header is refused, and not quoted; it is masked all the same."""
    masked: list[str] = []
    with pytest.raises(UnexpectedResponse) as caught:
        require_token(text, masked.append, "Somebody")

    assert caught.value.title == "Somebody gave no usable token"
    assert "s3" not in f"{caught.value.detail} {caught.value.hint}"
    assert masked == [text]
