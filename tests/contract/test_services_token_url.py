"""The token endpoint of the tests' own, held to RFC 6749 and RFC 7523: who gets a token, and how
the others are refused.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import jwt
import pytest

from tests.contract.services import Client, airflow
from tests.support.fake_airflow import Fault
from tests.support.services import GitHubOidc, TokenEndpoint, Trap, bearer
from tests.support.services.token_url import ASSERTION_TYPE, AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import requests

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Who asks."""
    return Client(tmp_path)


@pytest.fixture
def oidc() -> Iterator[GitHubOidc]:
    """Whose tokens are assertions."""
    with GitHubOidc() as started:
        yield started


def in_body(endpoint: TokenEndpoint) -> dict[str, Any]:
    """The secret in the body."""
    return {
        "data": GRANT | {"client_id": endpoint.client_id, "client_secret": endpoint.client_secret}
    }


def as_basic(endpoint: TokenEndpoint) -> dict[str, Any]:
    """The secret as HTTP Basic: form-encoded, then joined and put into Base64."""
    pair = f"{quote_plus(endpoint.client_id)}:{quote_plus(endpoint.client_secret)}"
    return {
        "data": GRANT,
        "headers": {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
    }


def assertion(token: str) -> dict[str, Any]:
    """A signed assertion."""
    return {"data": GRANT | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}}


def with_fields(options: dict[str, Any], **fields: str) -> dict[str, Any]:
    """The same with other fields."""
    return options | {"data": options["data"] | fields}


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Status and error, once the answer is seen to be one that RFC 6749 allows."""
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("way", [in_body, as_basic])
def test_a_token(client: Client, way: Callable[[TokenEndpoint], dict[str, Any]]) -> None:
    """A client that authenticates in a way that is taken gets a bearer token, which is good until
    it expires.
    """
    with TokenEndpoint(takes=("body", "basic"), lifetime=1200) as endpoint:
        answer = client("POST", endpoint.url, **way(endpoint))
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json() == {
            "token_type": "Bearer",
            "access_token": endpoint.issued[0],
            "expires_in": 1200,
        }
        assert endpoint.is_good(endpoint.issued[0])
        assert not endpoint.is_good(endpoint.issued[0] + "x")
        endpoint.expire()
        assert not endpoint.is_good(endpoint.issued[0])
        assert endpoint.record[0].form["grant_type"] == ["client_credentials"]


def test_a_token_for_an_assertion(client: Client, oidc: GitHubOidc) -> None:
    """GitHub's token for the right audience is a client's assertion, with the client's id or
    without.
    """
    with TokenEndpoint(takes=("assertion",), oidc=oidc) as endpoint:
        shown = assertion(oidc.issue(AUDIENCE))
        assert client("POST", endpoint.url, **shown).status_code == 200
        assert (
            client(
                "POST", endpoint.url, **with_fields(shown, client_id=endpoint.client_id)
            ).status_code
            == 200
        )
        assert len(set(endpoint.issued)) == 2


def test_assertions_that_are_none(client: Client, oidc: GitHubOidc) -> None:
    """An assertion for somebody else, an expired, a forged, and one of another client is
    refused.
    """
    with TokenEndpoint(takes=("assertion",), oidc=oidc) as endpoint:
        good, for_another = oidc.issue(AUDIENCE), oidc.issue("api://other")
        head, claims, _ = good.split(".")
        oidc.lifetime = -1
        for wrong in (oidc.issue(AUDIENCE), for_another, f"{head}.{claims}.AAAA", "opaque"):
            assert refusal(client("POST", endpoint.url, **assertion(wrong))) == (
                401,
                "invalid_client",
            )
        other = with_fields(assertion(good), client_id="another")
        assert refusal(client("POST", endpoint.url, **other)) == (401, "invalid_client")
        unknown = with_fields(assertion(good), client_assertion_type="saml")
        assert refusal(client("POST", endpoint.url, **unknown)) == (400, "invalid_request")
        assert endpoint.issued == []


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "other/.default"}, 400, "invalid_scope"),
        ({"client_assertion": "x"}, 400, "invalid_request"),
        ({"scope": ["a", "b"]}, 400, "invalid_request"),
    ],
    ids=["secret", "id", "grant", "scope", "two ways", "twice"],
)
def test_what_is_wrong(client: Client, change: dict[str, Any], status: int, error: str) -> None:
    """What is wrong with a request is told by a status and an error."""
    with TokenEndpoint(scope="airflow/.default") as endpoint:
        good = with_fields(in_body(endpoint), scope="airflow/.default")
        assert client("POST", endpoint.url, **good).status_code == 200
        assert refusal(client("POST", endpoint.url, **with_fields(good, **change))) == (
            status,
            error,
        )
        assert len(endpoint.issued) == 1


@pytest.mark.parametrize("status", [400, 401])
def test_ways_that_are_not_taken(client: Client, status: Any) -> None:
    """A client that shows its secret where it is not wanted is refused; as HTTP Basic always with a
    challenge.
    """
    with TokenEndpoint(takes=("basic",), refuses_with=status) as endpoint:
        assert refusal(client("POST", endpoint.url, **in_body(endpoint))) == (
            status,
            "invalid_client",
        )
        assert refusal(client("POST", endpoint.url, data=GRANT)) == (status, "invalid_client")
        assert client("POST", endpoint.url, **as_basic(endpoint)).status_code == 200
    with TokenEndpoint(takes=("body",), refuses_with=status) as endpoint:
        answer = client("POST", endpoint.url, **as_basic(endpoint))
        assert refusal(answer) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_basic_is_form_encoded_first(client: Client) -> None:
    """Who puts id and secret into Base64 as they are is refused, since the secret holds what a form
    encodes.
    """
    with TokenEndpoint(takes=("basic",)) as endpoint:
        pair = base64.b64encode(f"{endpoint.client_id}:{endpoint.client_secret}".encode()).decode()
        answer = client(
            "POST", endpoint.url, data=GRANT, headers={"Authorization": f"Basic {pair}"}
        )
        assert refusal(answer) == (401, "invalid_client")


def test_only_a_form_in_the_body(client: Client) -> None:
    """JSON, parameters in the URL, and a GET are refused."""
    with TokenEndpoint() as endpoint:
        good = in_body(endpoint)["data"]
        assert refusal(client("POST", endpoint.url, json=good)) == (400, "invalid_request")
        assert refusal(client("POST", f"{endpoint.url}?scope=x", data=good)) == (
            400,
            "invalid_request",
        )
        assert client("GET", endpoint.url).status_code == 405
        assert client("POST", f"{endpoint.origin}/token", data=good).status_code == 404


def test_tokens_that_can_be_read(client: Client) -> None:
    """A token may be a JWT that says when it ends, while the answer may keep that to itself."""
    with TokenEndpoint(kind="jwt", lifetime=90, tells_lifetime=False) as endpoint:
        body = client("POST", endpoint.url, **in_body(endpoint)).json()
        assert set(body) == {"token_type", "access_token"}
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 90


def test_what_goes_wrong_on_demand(client: Client) -> None:
    """It redirects, answers with a page, and repeats what it was sent, once, and then is good
    again.
    """
    with TokenEndpoint() as endpoint, Trap() as trap:
        endpoint.fault(Fault.HTML_200)
        endpoint.redirect(307, trap.url, times=1)
        endpoint.echo(400)
        answers = [client("POST", endpoint.url, **in_body(endpoint)) for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 307, 400, 200]
        assert "text/html" in answers[0].headers["Content-Type"]
        assert answers[1].headers["Location"] == trap.url
        assert quote_plus(endpoint.client_secret) in answers[2].json()["detail"]
        assert len(endpoint.issued) == 1
        assert len(endpoint.record) == 4


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_an_airflow_that_takes_its_tokens(client: Client, version: str) -> None:
    """An Airflow may take its tokens while they are good, and refuses them afterwards in its own
    words.
    """
    with (
        TokenEndpoint() as endpoint,
        airflow(version, accept=bearer(endpoint.is_good, role="viewer")) as fake,
    ):
        headers = {"Authorization": f"Bearer {endpoint.issue()}"}
        assert client.look(fake, headers).status_code == 200
        assert client.trigger(fake, headers).status_code == 403
        assert fake.runs("d") == []
        endpoint.expire()
        answer = client.look(fake, headers)
        assert answer.status_code == 403
        assert answer.json()["detail"] == (None if version == "2.11.2" else "Invalid JWT token")
