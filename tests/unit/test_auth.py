"""Each kind of credential as the header that it becomes, when it is renewed, and that what it derives is masked first."""

import base64
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth import Basic, Bearer, Exchanged, Presented
from entrypoint.models import Password, Secret, Token

PASSWORD = Password("admin", Secret("pa55word"))
KEY = "a key that is long enough for HS512 is a key of at least sixty-four bytes"
texts = st.text(st.characters(exclude_categories=["Cs"]))


def authorization(authorizer: Bearer | Basic | Exchanged) -> str:
    """The header that a request gets."""
    request = requests.Request("GET", "http://airflow.example.com/api").prepare()
    return str(authorizer(request).headers["Authorization"])


def token(claims: dict[str, Any]) -> str:
    """A signed token with these claims."""
    return jwt.encode(claims, KEY, "HS512")


@dataclass
class Login:
    """Airflow's login as a script: gives one token after the other, and notes who asked and what was masked by then."""

    tokens: list[str]
    asked: list[dict[str, str]] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    now: float = 1_000_000.0

    def __call__(self, body: dict[str, str]) -> str:
        """Exchange the credential."""
        self.asked.append(body)
        return self.tokens.pop(0)

    def authorizer(self) -> Exchanged:
        """A credential that logs in here."""
        return Exchanged(PASSWORD, self, self.masked.append, lambda: self.now)


def test_bearer() -> None:
    """A token is sent as it is, and cannot be renewed."""
    bearer = Bearer(Secret("t0ken"))

    assert authorization(bearer) == "Bearer t0ken"
    assert bearer.forget() is False


@given(texts.filter(lambda text: ":" not in text), texts)
def test_basic(username: str, password: str) -> None:
    """User name and password in any script arrive as UTF-8 in Base64, which is masked before it is used."""
    masked: list[str] = []
    basic = Basic(Password(username, Secret(password)), masked.append)
    encoded = authorization(basic).removeprefix("Basic ")

    assert base64.b64decode(encoded).decode() == f"{username}:{password}"
    assert masked == [encoded]
    assert basic.forget() is False


def test_exchange() -> None:
    """The first request logs in with exactly two keys and masks the token; the next ones use it again."""
    login = Login([token({"exp": 1_086_400})])
    exchanged = login.authorizer()

    assert login.asked == []
    header = authorization(exchanged)
    assert header == authorization(exchanged) == f"Bearer {login.masked[0]}"
    assert login.asked == [{"username": "admin", "password": "pa55word"}]


def test_a_password_that_json_escapes() -> None:
    """A password that looks different in JSON is masked in that form as well, before it is sent so."""
    masked: list[str] = []

    def login(body: dict[str, str]) -> str:
        assert masked == ['p\\u00e4ss\\"']
        return body["password"]

    assert authorization(Exchanged(Password("u", Secret('päss"')), login, masked.append)) == 'Bearer päss"'


def test_a_login_that_fails_leaves_no_token() -> None:
    """An error of the login reaches the caller, and the next request logs in anew."""
    login = Login([])
    exchanged = login.authorizer()
    with pytest.raises(IndexError):
        authorization(exchanged)
    login.tokens.append("opaque")

    assert authorization(exchanged) == "Bearer opaque"


@pytest.mark.parametrize(
    ("lifetime", "kept", "renewed"),
    [(86_400, 86_339, 86_341), (300, 239, 241), (100, 49, 51), (10, 4, 6)],
)
def test_renewal(lifetime: int, kept: int, renewed: int) -> None:
    """A token is replaced a minute before it dies, or at half its life if that is shorter."""
    login = Login([])
    start = int(login.now)
    login.tokens = [token({"exp": start + lifetime, "n": n}) for n in range(2)]
    first, second = (f"Bearer {one}" for one in login.tokens)
    exchanged = login.authorizer()

    assert authorization(exchanged) == first
    login.now = start + kept
    assert authorization(exchanged) == first
    login.now = start + renewed
    assert authorization(exchanged) == second
    assert len(login.masked) == 2


def test_a_token_that_is_dead_already() -> None:
    """A clock that differs from Airflow's costs logins, not the run."""
    login = Login([token({"exp": 999_000}), token({"exp": 999_001})])
    exchanged = login.authorizer()

    assert authorization(exchanged) != authorization(exchanged)


@pytest.mark.parametrize(
    "unreadable",
    [
        "opaque",
        "ya29.a0",
        token({}),
        token({"exp": None}),
        token({"exp": "soon"}),
        token({"exp": [1]}),
        token({"exp": 10**400}),
        token({"exp": float("inf")}),
    ],
    ids=["opaque", "dots", "no exp", "null", "word", "list", "huge", "infinite"],
)
def test_unreadable_expiry(unreadable: str) -> None:
    """A token whose expiry cannot be read is used until it is refused."""
    login = Login([unreadable])
    exchanged = login.authorizer()
    authorization(exchanged)
    login.now += 10**9

    assert authorization(exchanged) == f"Bearer {unreadable}"


def test_refused() -> None:
    """A refused token is dropped, and the next request presents a new one."""
    login = Login(["one", "two"])
    exchanged = login.authorizer()

    assert authorization(exchanged) == "Bearer one"
    assert exchanged.forget() is True
    assert authorization(exchanged) == "Bearer two"
    assert login.masked == ["one", "two"]


def test_presented_to_airflow_2() -> None:
    """Airflow 2 gets a token as Bearer and a password as Basic."""
    assert authorization(Presented(Token(Secret("t0ken")), lambda _: None).for_v1()) == "Bearer t0ken"
    assert authorization(Presented(PASSWORD, lambda _: None).for_v1()) == "Basic YWRtaW46cGE1NXdvcmQ="


def test_presented_to_airflow_3() -> None:
    """Airflow 3 gets a token as Bearer and a password exchanged for one."""
    assert authorization(Presented(Token(Secret("t0ken")), lambda _: None).for_v2(Login([]))) == "Bearer t0ken"
    assert authorization(Presented(PASSWORD, lambda _: None).for_v2(Login(["exchanged"]))) == "Bearer exchanged"


def test_reprs() -> None:
    """No repr of an authorizer shows what it holds."""
    login = Login(["exchanged"])
    exchanged = login.authorizer()
    authorization(exchanged)

    for one in (Bearer(Secret("t0ken")), Basic(PASSWORD, lambda _: None), exchanged):
        assert not any(secret in repr(one) for secret in ("t0ken", "pa55word", "YWRtaW46", "=exchanged"))
