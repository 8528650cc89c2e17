"""The token endpoint of the tests, checked against RFC 6749 and RFC 7523."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import jwt
import pytest

from tests.contract.services import ServiceClient, airflow
from tests.support.fake_airflow import Fault
from tests.support.services import FakeGitHubOidc, FakeTokenEndpoint, RedirectTrap, bearer
from tests.support.services.token_endpoint import ASSERTION_TYPE, AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import requests

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def client(tmp_path: Path) -> ServiceClient:
    return ServiceClient(tmp_path)


@pytest.fixture
def oidc() -> Iterator[FakeGitHubOidc]:
    """The issuer of the assertions."""
    with FakeGitHubOidc() as started:
        yield started


def in_body(endpoint: FakeTokenEndpoint) -> dict[str, Any]:
    return {
        "data": GRANT | {"client_id": endpoint.client_id, "client_secret": endpoint.client_secret}
    }


def as_basic(endpoint: FakeTokenEndpoint) -> dict[str, Any]:
    """Send the secret as HTTP Basic: form-encoded, joined, then in Base64."""
    pair = f"{quote_plus(endpoint.client_id)}:{quote_plus(endpoint.client_secret)}"
    return {
        "data": GRANT,
        "headers": {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
    }


def assertion(token: str) -> dict[str, Any]:
    return {"data": GRANT | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}}


def with_fields(options: dict[str, Any], **fields: str) -> dict[str, Any]:
    return options | {"data": options["data"] | fields}


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Return status and error of a refusal, after a check that RFC 6749 allows it."""
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("way", [in_body, as_basic])
def test_an_authenticated_client_gets_a_bearer_token_that_expires(
    client: ServiceClient, way: Callable[[FakeTokenEndpoint], dict[str, Any]]
) -> None:
    with FakeTokenEndpoint(takes=("body", "basic"), lifetime=1200) as endpoint:
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


def test_a_github_token_for_the_audience_is_accepted_as_an_assertion(
    client: ServiceClient, oidc: FakeGitHubOidc
) -> None:
    """With or without the client's id."""
    with FakeTokenEndpoint(takes=("assertion",), oidc=oidc) as endpoint:
        shown = assertion(oidc.issue(AUDIENCE))
        assert client("POST", endpoint.url, **shown).status_code == 200
        assert (
            client(
                "POST", endpoint.url, **with_fields(shown, client_id=endpoint.client_id)
            ).status_code
            == 200
        )
        assert len(set(endpoint.issued)) == 2


def test_an_invalid_assertion_is_refused(client: ServiceClient, oidc: FakeGitHubOidc) -> None:
    """For another audience, expired, forged, or of another client."""
    with FakeTokenEndpoint(takes=("assertion",), oidc=oidc) as endpoint:
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
def test_a_bad_request_gets_its_status_and_error(
    client: ServiceClient, change: dict[str, Any], status: int, error: str
) -> None:
    with FakeTokenEndpoint(scope="airflow/.default") as endpoint:
        good = with_fields(in_body(endpoint), scope="airflow/.default")
        assert client("POST", endpoint.url, **good).status_code == 200
        assert refusal(client("POST", endpoint.url, **with_fields(good, **change))) == (
            status,
            error,
        )
        assert len(endpoint.issued) == 1


@pytest.mark.parametrize("status", [400, 401])
def test_a_disabled_authentication_method_is_refused(client: ServiceClient, status: Any) -> None:
    """HTTP Basic always with a challenge."""
    with FakeTokenEndpoint(takes=("basic",), refuses_with=status) as endpoint:
        assert refusal(client("POST", endpoint.url, **in_body(endpoint))) == (
            status,
            "invalid_client",
        )
        assert refusal(client("POST", endpoint.url, data=GRANT)) == (status, "invalid_client")
        assert client("POST", endpoint.url, **as_basic(endpoint)).status_code == 200
    with FakeTokenEndpoint(takes=("body",), refuses_with=status) as endpoint:
        answer = client("POST", endpoint.url, **as_basic(endpoint))
        assert refusal(answer) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_basic_without_form_encoding_is_refused(client: ServiceClient) -> None:
    with FakeTokenEndpoint(takes=("basic",)) as endpoint:
        pair = base64.b64encode(f"{endpoint.client_id}:{endpoint.client_secret}".encode()).decode()
        answer = client(
            "POST", endpoint.url, data=GRANT, headers={"Authorization": f"Basic {pair}"}
        )
        assert refusal(answer) == (401, "invalid_client")


def test_json_a_query_and_a_get_are_refused(client: ServiceClient) -> None:
    with FakeTokenEndpoint() as endpoint:
        good = in_body(endpoint)["data"]
        assert refusal(client("POST", endpoint.url, json=good)) == (400, "invalid_request")
        assert refusal(client("POST", f"{endpoint.url}?scope=x", data=good)) == (
            400,
            "invalid_request",
        )
        assert client("GET", endpoint.url).status_code == 405
        assert client("POST", f"{endpoint.origin}/token", data=good).status_code == 404


def test_a_token_may_be_a_jwt_with_its_end(client: ServiceClient) -> None:
    """The response then need not have it."""
    with FakeTokenEndpoint(kind="jwt", lifetime=90, tells_lifetime=False) as endpoint:
        body = client("POST", endpoint.url, **in_body(endpoint)).json()
        assert set(body) == {"token_type", "access_token"}
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 90


def test_the_endpoint_can_redirect_answer_html_or_echo_once(client: ServiceClient) -> None:
    with FakeTokenEndpoint() as endpoint, RedirectTrap() as trap:
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
def test_an_airflow_may_accept_its_tokens_until_they_expire(
    client: ServiceClient, version: str
) -> None:
    with (
        FakeTokenEndpoint() as endpoint,
        airflow(version, accept=bearer(endpoint.is_good, role="viewer")) as fake,
    ):
        headers = {"Authorization": f"Bearer {endpoint.issue()}"}
        assert client.get_dag(fake, headers).status_code == 200
        assert client.trigger(fake, headers).status_code == 403
        assert fake.runs("d") == []
        endpoint.expire()
        answer = client.get_dag(fake, headers)
        assert answer.status_code == 403
        assert answer.json()["detail"] == (None if version == "2.11.2" else "Invalid JWT token")
