"""Google's tokens for GitHub's OIDC token, and the address of a Composer environment."""

import jwt
import pytest

from entrypoint.auth.authorization import Grant
from entrypoint.auth.google import COMPOSER, GoogleTokens, composer_url
from entrypoint.credentials import GitHubToken, Google, Secret
from entrypoint.errors import ActionError, TransientError, Unauthorized, UnexpectedResponse
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

PROVIDER = "projects/1/locations/global/workloadIdentityPools/github/providers/my-repo"
ACCOUNT = "gate@my-project.iam.gserviceaccount.com"
NOW = 1_769_851_815.0
GITHUB = GitHubToken(
    f"https://iam.googleapis.com/{PROVIDER}", "https://token.example.com/?v=2", Secret("requ3st")
)
OIDC = http_response(200, {"value": "assert1on"})
FEDERATED = http_response(200, {"access_token": "fed3rated", "expires_in": 3600})
IAM = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}"
ENVIRONMENT = "projects/my-project/locations/europe-west1/environments/sales"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def grant(
    script: ScriptedAdapter, *masked: list[str], account: str = "", audience: str = ""
) -> Grant:
    google = Google(PROVIDER, GITHUB, account, audience)
    mask = masked[0].append if masked else lambda _: None
    return GoogleTokens(google, script.client, mask, lambda: NOW).grant(NO_DEADLINE)


def error_text(error: ActionError) -> str:
    return f"{error.title} {error.detail} {error.hint}"


def test_githubs_token_is_exchanged_for_a_federated_one() -> None:
    script, masked = ScriptedAdapter(OIDC, FEDERATED), list[str]()

    assert grant(script, masked) == Grant(Secret("Bearer fed3rated"), NOW + 3600)
    sts = script.sent[1]
    assert sts.url == "https://sts.googleapis.com/v1/token"
    assert sts.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": f"//iam.googleapis.com/{PROVIDER}",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": "assert1on",
        "scope": SCOPE,
    }
    assert masked == ["assert1on", "fed3rated"]


def test_service_account_gives_an_access_token_with_its_expiry() -> None:
    reply = http_response(200, {"accessToken": "acc3ss", "expireTime": "2026-01-31T10:30:15Z"})
    script, masked = ScriptedAdapter(OIDC, FEDERATED, reply), list[str]()

    assert grant(script, masked, account=ACCOUNT) == Grant(Secret("Bearer acc3ss"), NOW + 3600)
    iam = script.sent[2]
    assert iam.url == f"{IAM}:generateAccessToken"
    assert iam.headers["Authorization"] == "Bearer fed3rated"
    assert iam.request.body == b'{"scope": ["' + SCOPE.encode() + b'"]}'
    assert masked == ["assert1on", "fed3rated", "acc3ss"]


def test_service_account_gives_an_id_token_for_an_audience() -> None:
    token = jwt.encode({"exp": NOW + 3600}, "a key that is long enough for HS256", "HS256")
    script = ScriptedAdapter(OIDC, FEDERATED, http_response(200, {"token": token}))

    found = grant(script, account=ACCOUNT, audience="iap")
    assert found == Grant(Secret(f"Bearer {token}"), NOW + 3600)
    assert script.sent[2].url == f"{IAM}:generateIdToken"
    assert script.sent[2].request.body == b'{"audience": "iap", "includeEmail": true}'


@pytest.mark.parametrize(
    ("replies", "kind", "words"),
    [
        (
            [http_response(400, {"error": "invalid_grant", "error_description": "The audience"})],
            Unauthorized,
            "invalid_grant: The audience",
        ),
        ([http_response(200, [])], UnexpectedResponse, "not an object"),
        ([http_response(200, {})], UnexpectedResponse, "token service gave no token"),
        ([http_response(503, b"")], TransientError, "503"),
        (
            [FEDERATED, http_response(403, {"error": {"code": 403, "message": "denied on it"}})],
            Unauthorized,
            "denied on it",
        ),
        ([FEDERATED, http_response(200, {})], UnexpectedResponse, "IAM service gave no token"),
        ([FEDERATED, http_response(500, b"")], TransientError, "500"),
    ],
)
@pytest.mark.parametrize("audience", ["", "iap"])
def test_each_answer_of_google_has_its_error_without_a_secret(
    replies: list[bytes], kind: type[ActionError], words: str, audience: str
) -> None:
    with pytest.raises(kind) as caught:
        grant(ScriptedAdapter(OIDC, *replies), account=ACCOUNT, audience=audience)

    text = error_text(caught.value)
    assert words in text
    assert not [one for one in ("assert1on", "fed3rated", "requ3st") if one in text]
    if isinstance(caught.value, Unauthorized) and len(replies) == 2:
        assert ("OpenIdTokenCreator" in text) is bool(audience)


def find(reply: bytes) -> tuple[str, ScriptedAdapter]:
    script = ScriptedAdapter(reply)
    token = Grant(Secret("Bearer acc3ss"))
    return composer_url(ENVIRONMENT, token, script.client(COMPOSER), NO_DEADLINE), script


def test_composer_names_its_web_server() -> None:
    uri = "https://0a-dot-europe-west1.composer.googleusercontent.com"
    url, script = find(http_response(200, {"config": {"airflowUri": uri}}))

    assert url == uri
    (sent,) = script.sent
    assert sent.url == f"https://composer.googleapis.com/v1/{ENVIRONMENT}"
    assert sent.headers["Authorization"] == "Bearer acc3ss"


@pytest.mark.parametrize(
    "uri",
    [
        "http://0a.composer.googleusercontent.com",
        "https://evil.example.com",
        "https://evilcomposer.googleusercontent.com",
        "https://evil.example.com/.composer.googleusercontent.com",
        "https://evil.example.com#.composer.googleusercontent.com",
        "https://me:s3cret@0a.composer.googleusercontent.com",
        "https://0a.composer.googleusercontent.com:8443",
        "",
        None,
        7,
    ],
)
def test_web_server_on_another_host_gets_no_token(uri: object) -> None:
    with pytest.raises(UnexpectedResponse, match="returned no valid web server") as caught:
        find(http_response(200, {"config": {"airflowUri": uri}}))

    assert "s3cret" not in error_text(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (http_response(404, {"error": {"message": "not found"}}), Unauthorized, "not found"),
        (http_response(403, {"error": {"message": "denied"}}), Unauthorized, "composer.user"),
        (http_response(200, []), UnexpectedResponse, "not an object"),
        (http_response(200, {"config": None}), UnexpectedResponse, "no valid web server"),
        (http_response(503, b""), TransientError, "503"),
    ],
)
def test_each_answer_of_composer_has_its_error(
    reply: bytes, kind: type[ActionError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        find(reply)

    assert words in error_text(caught.value)
    assert "acc3ss" not in error_text(caught.value)
