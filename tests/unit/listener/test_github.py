"""The listener's way to GitHub: what each request carries, and whether an answer is one for later
or one for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests

from tests.support.services.github_app import App
from tests.unit.script import Script, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "github_pat_Zq8-very-long"
API = "https://api.github.com"
NOW = 1_800_000_000.0
PATH = "/repos/octo-org/sales/deployments"


class World:
    """A GitHub that answers by a script, at a moment. `access` is a token's, or an App's."""

    def __init__(self, listener: Any, *answers: bytes | Exception, app: App | None = None) -> None:
        self.now = NOW
        self.script = Script(*answers)
        self.github = listener.GitHub()
        self.github._session.mount("https://", self.script)
        secret, login, where = (
            (app.private_key, app.app_id, str(app.installation)) if app else (TOKEN, "", "")
        )
        self.access = listener.Access(API, ("octo-org/sales",), secret, login, where, ())

    def ask(self, method: str = "GET", **how: Any) -> Any:
        """Ask."""
        return self.github.ask(self.access, method, PATH, **how)

    @property
    def shown(self) -> list[str]:
        """The credential of each request."""
        return [sent.headers["Authorization"] for sent in self.script.sent]


@pytest.fixture
def world(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Make one, whose moment is the listener's."""
    made: list[World] = []

    def make(*answers: bytes | Exception, app: App | None = None) -> World:
        made.append(World(listener, *answers, app=app))
        return made[-1]

    monkeypatch.setattr(listener.time, "time", lambda: made[-1].now if made else NOW)
    return make


def test_what_a_request_carries(
    world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request shows the token, whatever a ~/.netrc says, names the version of the API, and is
    bounded in time.
    """
    (tmp_path / ".netrc").write_text("default login somebody password Zq8-somebody-else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    one = world(answer(200, [{"id": 1}]), answer(201, {"id": 7}))

    assert one.ask(per_page=100, environment="a&b") == [{"id": 1}]
    assert one.ask("POST", body={"state": "success"}) == {"id": 7}
    get, post = one.script.sent
    assert [sent.request.method for sent in one.script.sent] == ["GET", "POST"]
    assert (get.url, post.url) == (f"{API}{PATH}?per_page=100&environment=a%26b", f"{API}{PATH}")
    assert (get.request.body, post.request.body) == (None, b'{"state": "success"}')
    for sent in one.script.sent:
        assert sent.headers["Accept"] == "application/vnd.github+json"
        assert sent.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert sent.how["timeout"] == (5.0, 15.0)
        assert sent.how["verify"]
    assert one.shown == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize(
    ("given", "pause"),
    [
        (answer(500), 0),
        (answer(503, Retry_After="30"), 30),
        (answer(429, Retry_After="60"), 60),
        (answer(429), 0),
        (answer(429, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), 0),
        (answer(429, Retry_After="86400"), 3600),
        (answer(429, Retry_After="9" * 400), 3600),
        (answer(408), 0),
        (answer(401, {"message": "Bad credentials"}), 0),
        (answer(403, {"message": "API rate limit exceeded for installation."}), 0),
        (answer(403, {"message": "You have exceeded a secondary Rate Limit."}), 0),
        (answer(403, {"message": "Slow down"}, Retry_After="60"), 60),
        (answer(403, {}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) + 90)), 90),
        (answer(403, {}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) - 90)), 1),
        (
            answer(403, {}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) + 90_000)),
            3600,
        ),
        (answer(429, {}, X_RateLimit_Remaining="1", X_RateLimit_Reset=str(int(NOW) + 90)), 0),
        (answer(200, b"<html>Sign in"), 0),
        (answer(200, b""), 0),
        (answer(200, {}), 0),
        (answer(200, None), 0),
        (answer(200, ["success"]), 0),
        (answer(201, b'{"id": '), 0),
        (answer(200, b"\xff\xfe[]", "application/json"), 0),
        (requests.ConnectionError("Zq8"), 0),
        (requests.Timeout("Zq8"), 0),
        (requests.exceptions.ChunkedEncodingError("Zq8"), 0),
    ],
)
def test_what_may_work_later(
    world: Callable[..., World], listener: Any, given: bytes | Exception, pause: float
) -> None:
    """An outage, a limit, a broken answer and a token that is to be replaced are for later, when
    GitHub says if it does.
    """
    one = world(given)
    with pytest.raises(listener.LaterError) as caught:
        one.ask()
    assert caught.value.pause == pause
    assert str(caught.value).startswith(f"GET {PATH}")
    assert "Zq8" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            answer(403, {"message": "Resource not accessible"}),
            "answered 403: 'Resource not accessible'",
        ),
        (answer(404, {"message": "x" * 1000}), f"answered 404: '{'x' * 200}'"),
        (answer(410, b"<html>"), "answered 410"),
        (answer(422, ["message"]), "answered 422"),
        (
            answer(301, {"message": None}, Location="https://evil.example.com/"),
            "answered 301: 'None'",
        ),
        (answer(307, b"", Location="/repositories/7"), "answered 307"),
        (answer(204), "answered 204"),
        (
            answer(403, {"message": "Forbidden"}, X_RateLimit_Remaining="0"),
            "answered 403: 'Forbidden'",
        ),
    ],
)
def test_what_will_not_work(
    world: Callable[..., World], listener: Any, given: bytes, said: str
) -> None:
    """A refusal is for good, with GitHub's words as far as they are any; nobody follows a redirect,
    with the token.
    """
    one = world(given)
    with pytest.raises(listener.GivenUpError) as caught:
        one.ask("POST", body={})
    assert str(caught.value) == f"POST {PATH} {said}"
    assert len(one.script.sent) == 1


@pytest.mark.parametrize(
    "given", [answer(200, {}), answer(200, {"id": 7}), answer(201, []), answer(200, b"<html>")]
)
def test_what_was_not_made(world: Callable[..., World], listener: Any, given: bytes) -> None:
    """A write is done only when GitHub says that it has made something: a gateway may answer 200 to
    anything.
    """
    with pytest.raises(listener.LaterError):
        world(given).ask("POST", body={})


def test_a_token_that_comes_back(world: Callable[..., World], listener: Any) -> None:
    """A gateway that shows the request in its refusal does not get the token into Airflow's log,
    not by half either.
    """
    for before in ("", "x" * 170):
        with pytest.raises(listener.GivenUpError) as caught:
            world(answer(403, {"message": f"{before}Authorization: Bearer {TOKEN}"})).ask()
        assert "Authorization: Bearer ***" in str(caught.value)
        assert TOKEN[:8] not in str(caught.value)


def test_no_secret_is_shown(world: Callable[..., World], listener: Any) -> None:
    """Neither errors nor whatever is printed of the parts show a token or a key."""
    app = App()
    one = world(answer(500), app=app)
    with pytest.raises(listener.LaterError) as caught:
        one.ask()
    shown = f"{caught.value!r} {one.github!r} {one.access!r} {one.access}"
    assert one.shown[0].partition(" ")[2] not in shown
    assert not [row for row in app.private_key.splitlines() if row in shown]
    with pytest.raises(listener.LaterError) as caught:
        world(requests.exceptions.InvalidHeader(f"Bearer {TOKEN}")).ask()
    assert TOKEN not in repr(caught.value)
    assert caught.value.__suppress_context__


# An App.


def granted(number: int) -> bytes:
    """A token, as GitHub answers."""
    return answer(201, {"token": f"ghs_Zq8-number-{number}", "expires_at": "2027-01-15T09:00:00Z"})


def test_an_app(world: Callable[..., World]) -> None:
    """An App proves by its key who it is, for ten minutes at the most, and what it is granted is
    used for 50 minutes.
    """
    app = App()
    one = world(granted(1), *[answer(200, [])] * 3, granted(2), answer(200, []), app=app)
    for later in (0, 0, 2999):
        one.now = NOW + later
        one.ask()
    one.now = NOW + 3000
    one.ask()

    assert [sent.url.removeprefix(API).partition("?")[0] for sent in one.script.sent] == [
        (grant := f"/app/installations/{app.installation}/access_tokens"),
        *[PATH] * 3,
        grant,
        PATH,
    ]
    assert one.shown[1:4] == ["Bearer ghs_Zq8-number-1"] * 3
    assert one.shown[5] == "Bearer ghs_Zq8-number-2"
    proof = one.shown[0].partition(" ")[2]
    claims = jwt.decode(proof, options={"verify_signature": False})
    assert claims == {"iss": app.app_id, "iat": NOW - 60, "exp": NOW + 540}
    assert jwt.get_unverified_header(proof)["alg"] == "RS256"


def test_a_granted_token_that_is_refused(world: Callable[..., World], listener: Any) -> None:
    """A token that GitHub refuses is used no more: the next report gets another one."""
    one = world(granted(1), answer(401), granted(2), answer(200, []), app=App())
    with pytest.raises(listener.LaterError):
        one.ask()
    one.ask()
    assert one.shown[3] == "Bearer ghs_Zq8-number-2"


def test_another_connection(world: Callable[..., World]) -> None:
    """A token is not shown for a connection that was replaced meanwhile."""
    one = world(
        granted(1), answer(200, []), granted(2), answer(200, []), answer(200, []), app=App()
    )
    one.ask()
    one.access = one.access._replace(installation_id="8/../9")
    one.ask()
    assert one.script.sent[2].url == f"{API}/app/installations/8%2F..%2F9/access_tokens"
    one.access = one.access._replace(app_id="", secret=TOKEN)
    one.ask()
    assert one.shown[3:] == ["Bearer ghs_Zq8-number-2", f"Bearer {TOKEN}"]


def test_an_app_that_github_does_not_know(world: Callable[..., World], listener: Any) -> None:
    """An App that is not installed there is told so, for good."""
    with pytest.raises(listener.GivenUpError, match="access_tokens answered 404: 'Not Found'"):
        world(answer(404, {"message": "Not Found"}), app=App()).ask()


@pytest.mark.parametrize(
    "key", ["no key at all", "-----BEGIN RSA PRIVATE KEY-----\nZq8\n-----END RSA PRIVATE KEY-----"]
)
def test_a_key_that_is_none(world: Callable[..., World], listener: Any, key: str) -> None:
    """A private key that cannot be used is for good, and is not shown."""
    one = world(app=App())
    one.access = one.access._replace(secret=key)
    with pytest.raises(
        listener.GivenUpError,
        match=r"^the private key in airflow_dag_run_github cannot be used \(\w+\)$",
    ):
        one.ask()


def test_a_key_on_one_line(world: Callable[..., World]) -> None:
    r"""A key whose lines are parted by a written \n, as variables of containers often are, is
    one.
    """
    one = world(granted(1), answer(200, []), app=App())
    one.access = one.access._replace(secret=one.access.secret.replace("\n", "\\n"))
    assert one.ask() == []
