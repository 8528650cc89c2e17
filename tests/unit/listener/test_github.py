"""The listener's requests to GitHub and the classification of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests

from tests.support.services.github_app import GitHubApp
from tests.unit.script import ScriptedAdapter, http_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "github_pat_Zq8-very-long"
API = "https://api.github.com"
NOW = 1_800_000_000.0
PATH = "/repos/octo-org/sales/deployments"


class ListenerGitHub:
    def __init__(
        self, listener: Any, *answers: bytes | Exception, app: GitHubApp | None = None
    ) -> None:
        self.now = NOW
        self.script = ScriptedAdapter(*answers)
        self.github = listener.GitHub()
        self.github._session.mount("https://", self.script)
        secret, login, where = (
            (app.private_key, app.app_id, str(app.installation)) if app else (TOKEN, "", "")
        )
        self.access = listener.GitHubAccess(API, ("octo-org/sales",), secret, login, where, ())

    def request(self, method: str = "GET", **how: Any) -> Any:
        return self.github.request(self.access, method, PATH, **how)

    @property
    def credentials_sent(self) -> list[str]:
        return [sent.headers["Authorization"] for sent in self.script.sent]


@pytest.fixture
def github(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ListenerGitHub]:
    """Create a ListenerGitHub whose clock the listener uses."""
    made: list[ListenerGitHub] = []

    def make(*answers: bytes | Exception, app: GitHubApp | None = None) -> ListenerGitHub:
        made.append(ListenerGitHub(listener, *answers, app=app))
        return made[-1]

    monkeypatch.setattr(listener.time, "time", lambda: made[-1].now if made else NOW)
    return make


def test_request_has_token_api_version_and_timeout(
    github: Callable[..., ListenerGitHub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ~/.netrc is ignored."""
    (tmp_path / ".netrc").write_text("default login somebody password Zq8-somebody-else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    one = github(http_response(200, [{"id": 1}]), http_response(201, {"id": 7}))

    assert one.request(per_page=100, environment="a&b") == [{"id": 1}]
    assert one.request("POST", body={"state": "success"}) == {"id": 7}
    get, post = one.script.sent
    assert [sent.request.method for sent in one.script.sent] == ["GET", "POST"]
    assert (get.url, post.url) == (f"{API}{PATH}?per_page=100&environment=a%26b", f"{API}{PATH}")
    assert (get.request.body, post.request.body) == (None, b'{"state": "success"}')
    for sent in one.script.sent:
        assert sent.headers["Accept"] == "application/vnd.github+json"
        assert sent.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert sent.options["timeout"] == (5.0, 15.0)
        assert sent.options["verify"]
    assert one.credentials_sent == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize(
    ("given", "pause"),
    [
        (http_response(500), 0),
        (http_response(503, Retry_After="30"), 30),
        (http_response(429, Retry_After="60"), 60),
        (http_response(429), 0),
        (http_response(429, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), 0),
        (http_response(429, Retry_After="86400"), 3600),
        (http_response(429, Retry_After="9" * 400), 3600),
        (http_response(408), 0),
        (http_response(401, {"message": "Bad credentials"}), 0),
        (http_response(403, {"message": "API rate limit exceeded for installation."}), 0),
        (http_response(403, {"message": "You have exceeded a secondary Rate Limit."}), 0),
        (http_response(403, {"message": "Slow down"}, Retry_After="60"), 60),
        (
            http_response(403, {}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) + 90)),
            90,
        ),
        (
            http_response(403, {}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) - 90)),
            1,
        ),
        (
            http_response(
                403, {}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW) + 90_000)
            ),
            3600,
        ),
        (
            http_response(429, {}, X_RateLimit_Remaining="1", X_RateLimit_Reset=str(int(NOW) + 90)),
            0,
        ),
        (http_response(200, b"<html>Sign in"), 0),
        (http_response(200, b""), 0),
        (http_response(200, {}), 0),
        (http_response(200, None), 0),
        (http_response(200, ["success"]), 0),
        (http_response(201, b'{"id": '), 0),
        (http_response(200, b"\xff\xfe[]", "application/json"), 0),
        (requests.ConnectionError("Zq8"), 0),
        (requests.Timeout("Zq8"), 0),
        (requests.exceptions.ChunkedEncodingError("Zq8"), 0),
    ],
)
def test_transient_errors_are_retried_later(
    github: Callable[..., ListenerGitHub], listener: Any, given: bytes | Exception, pause: float
) -> None:
    """Outages, rate limits, invalid responses and expired tokens."""
    one = github(given)
    with pytest.raises(listener.TransientError) as caught:
        one.request()
    assert caught.value.pause == pause
    assert str(caught.value).startswith(f"GET {PATH}")
    assert "Zq8" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            http_response(403, {"message": "Resource not accessible"}),
            "answered 403: 'Resource not accessible'",
        ),
        (http_response(404, {"message": "x" * 1000}), f"answered 404: '{'x' * 200}'"),
        (http_response(410, b"<html>"), "answered 410"),
        (http_response(422, ["message"]), "answered 422"),
        (
            http_response(301, {"message": None}, Location="https://evil.example.com/"),
            "answered 301: 'None'",
        ),
        (http_response(307, b"", Location="/repositories/7"), "answered 307"),
        (http_response(204), "answered 204"),
        (
            http_response(403, {"message": "Forbidden"}, X_RateLimit_Remaining="0"),
            "answered 403: 'Forbidden'",
        ),
    ],
)
def test_refusal_is_permanent_and_redirects_are_not_followed(
    github: Callable[..., ListenerGitHub], listener: Any, given: bytes, message: str
) -> None:
    one = github(given)
    with pytest.raises(listener.PermanentError) as caught:
        one.request("POST", body={})
    assert str(caught.value) == f"POST {PATH} {message}"
    assert len(one.script.sent) == 1


@pytest.mark.parametrize(
    "given",
    [
        http_response(200, {}),
        http_response(200, {"id": 7}),
        http_response(201, []),
        http_response(200, b"<html>"),
    ],
)
def test_write_counts_only_with_201_and_a_json_object(
    github: Callable[..., ListenerGitHub], listener: Any, given: bytes
) -> None:
    """A gateway may answer anything with 200."""
    with pytest.raises(listener.TransientError):
        github(given).request("POST", body={})


def test_token_echoed_by_a_gateway_is_not_logged(
    github: Callable[..., ListenerGitHub], listener: Any
) -> None:
    for before in ("", "x" * 170):
        with pytest.raises(listener.PermanentError) as caught:
            github(
                http_response(403, {"message": f"{before}Authorization: Bearer {TOKEN}"})
            ).request()
        assert "Authorization: Bearer ***" in str(caught.value)
        assert TOKEN[:8] not in str(caught.value)


def test_no_error_or_repr_shows_a_secret(
    github: Callable[..., ListenerGitHub], listener: Any
) -> None:
    app = GitHubApp()
    one = github(http_response(500), app=app)
    with pytest.raises(listener.TransientError) as caught:
        one.request()
    texts = f"{caught.value!r} {one.github!r} {one.access!r} {one.access}"
    assert one.credentials_sent[0].partition(" ")[2] not in texts
    assert not [row for row in app.private_key.splitlines() if row in texts]
    with pytest.raises(listener.TransientError) as caught:
        github(requests.exceptions.InvalidHeader(f"Bearer {TOKEN}")).request()
    assert TOKEN not in repr(caught.value)
    assert caught.value.__suppress_context__


# An App.


def token_response(number: int) -> bytes:
    return http_response(
        201, {"token": f"ghs_Zq8-number-{number}", "expires_at": "2027-01-15T09:00:00Z"}
    )


def test_app_signs_a_jwt_and_reuses_its_token_for_50_minutes(
    github: Callable[..., ListenerGitHub],
) -> None:
    app = GitHubApp()
    one = github(
        token_response(1),
        *[http_response(200, [])] * 3,
        token_response(2),
        http_response(200, []),
        app=app,
    )
    for later in (0, 0, 2999):
        one.now = NOW + later
        one.request()
    one.now = NOW + 3000
    one.request()

    assert [sent.url.removeprefix(API).partition("?")[0] for sent in one.script.sent] == [
        (grant := f"/app/installations/{app.installation}/access_tokens"),
        *[PATH] * 3,
        grant,
        PATH,
    ]
    assert one.credentials_sent[1:4] == ["Bearer ghs_Zq8-number-1"] * 3
    assert one.credentials_sent[5] == "Bearer ghs_Zq8-number-2"
    proof = one.credentials_sent[0].partition(" ")[2]
    claims = jwt.decode(proof, options={"verify_signature": False})
    assert claims == {"iss": app.app_id, "iat": NOW - 60, "exp": NOW + 540}
    assert jwt.get_unverified_header(proof)["alg"] == "RS256"


def test_refused_app_token_is_replaced(
    github: Callable[..., ListenerGitHub], listener: Any
) -> None:
    one = github(
        token_response(1),
        http_response(401),
        token_response(2),
        http_response(200, []),
        app=GitHubApp(),
    )
    with pytest.raises(listener.TransientError):
        one.request()
    one.request()
    assert one.credentials_sent[3] == "Bearer ghs_Zq8-number-2"


def test_token_is_not_sent_for_a_replaced_connection(github: Callable[..., ListenerGitHub]) -> None:
    one = github(
        token_response(1),
        http_response(200, []),
        token_response(2),
        http_response(200, []),
        http_response(200, []),
        app=GitHubApp(),
    )
    one.request()
    one.access = one.access._replace(installation_id="8/../9")
    one.request()
    assert one.script.sent[2].url == f"{API}/app/installations/8%2F..%2F9/access_tokens"
    one.access = one.access._replace(app_id="", secret=TOKEN)
    one.request()
    assert one.credentials_sent[3:] == ["Bearer ghs_Zq8-number-2", f"Bearer {TOKEN}"]


def test_unknown_app_is_a_permanent_error(
    github: Callable[..., ListenerGitHub], listener: Any
) -> None:
    with pytest.raises(listener.PermanentError, match="access_tokens answered 404: 'Not Found'"):
        github(http_response(404, {"message": "Not Found"}), app=GitHubApp()).request()


@pytest.mark.parametrize(
    "key", ["no key at all", "-----BEGIN RSA PRIVATE KEY-----\nZq8\n-----END RSA PRIVATE KEY-----"]
)
def test_invalid_private_key_is_a_permanent_error_and_not_shown(
    github: Callable[..., ListenerGitHub], listener: Any, key: str
) -> None:
    one = github(app=GitHubApp())
    one.access = one.access._replace(secret=key)
    with pytest.raises(
        listener.PermanentError,
        match=r"^the private key in airflow_dag_run_github cannot be used \(\w+\)$",
    ):
        one.request()


def test_private_key_with_escaped_newlines_is_read(github: Callable[..., ListenerGitHub]) -> None:
    """Container variables often hold keys so."""
    one = github(token_response(1), http_response(200, []), app=GitHubApp())
    one.access = one.access._replace(secret=one.access.secret.replace("\n", "\\n"))
    assert one.request() == []
