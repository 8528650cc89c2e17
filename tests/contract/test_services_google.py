"""The stand-in of Google's token services, with the exchanges of google-auth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from google.auth import identity_pool
from google.auth.exceptions import OAuthError, RefreshError
from google.auth.transport.requests import Request

from tests.contract.services import ServiceClient, summary_of
from tests.support import known_secrets
from tests.support.services import FakeGitHubOidc, FakeGoogle, Tunnel, certificates
from tests.support.services.google import ACCOUNT, ENVIRONMENT, PROVIDER, SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMPERSONATION = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}"


class _Supplier(identity_pool.SubjectTokenSupplier):
    """Gives GitHub's token for an audience."""

    def __init__(self, oidc: FakeGitHubOidc, audience: str) -> None:
        self._oidc, self._audience = oidc, audience

    def get_subject_token(self, context: object, request: object) -> str:
        del context, request
        return self._oidc.issue(self._audience)


class GoogleAuth:
    """google-auth's credentials of the same workload identity, and its transport."""

    def __init__(self, oidc: FakeGitHubOidc, google: FakeGoogle, folder: Path) -> None:
        self.oidc, self.google = oidc, google
        self.session = requests.Session()
        self.session.trust_env = False
        (folder / "ca.pem").write_text(certificates.trusted_ca().pem)
        self.session.verify = str(folder / "ca.pem")
        self.request = Request(self.session)

    def credentials(self, *, audience: str = "", impersonate: bool = True) -> Any:
        supplier = _Supplier(self.oidc, audience or f"https://iam.googleapis.com/{PROVIDER}")
        return identity_pool.Credentials(
            audience=f"//iam.googleapis.com/{PROVIDER}",
            subject_token_type="urn:ietf:params:oauth:token-type:jwt",
            token_url="https://sts.googleapis.com/v1/token",
            subject_token_supplier=supplier,
            scopes=[SCOPE],
            service_account_impersonation_url=f"{IMPERSONATION}:generateAccessToken"
            if impersonate
            else None,
        )


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[GoogleAuth]:
    with (
        FakeGitHubOidc() as oidc,
        FakeGoogle(oidc) as google,
        Tunnel(google.ports) as tunnel,
    ):
        scenario = GoogleAuth(oidc, google, tmp_path)
        scenario.session.proxies = {"https": tunnel.url}
        yield scenario
        scenario.session.close()


@pytest.mark.parametrize(("impersonate", "kind"), [(True, "access"), (False, "federated")])
def test_google_auth_gets_an_access_token(
    scenario: GoogleAuth, impersonate: bool, kind: str
) -> None:
    credentials = scenario.credentials(impersonate=impersonate)
    credentials.refresh(scenario.request)

    assert scenario.google.issued(kind) == [credentials.token]
    assert scenario.google.is_good(credentials.token, kind)
    scenario.google.expire()
    assert not scenario.google.is_good(credentials.token, kind)


def test_google_auth_gets_an_id_token_for_an_audience(scenario: GoogleAuth) -> None:
    federated = scenario.credentials(impersonate=False)
    federated.refresh(scenario.request)
    body = {"audience": "iap", "includeEmail": True}
    answer = scenario.session.post(
        f"{IMPERSONATION}:generateIdToken",
        json=body,
        headers={"Authorization": f"Bearer {federated.token}"},
        timeout=60,
    )
    (token,) = scenario.google.issued("id iap")
    assert answer.json() == {"token": token}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["email"], claims["email_verified"]) == ("iap", ACCOUNT, True)


def test_google_auth_names_the_cause_of_a_refusal(scenario: GoogleAuth) -> None:
    with pytest.raises(OAuthError, match="invalid_grant"):
        scenario.credentials(audience="other").refresh(scenario.request)
    scenario.google.impersonation_denied = True
    with pytest.raises(RefreshError, match="Unable to acquire impersonated credentials"):
        scenario.credentials().refresh(scenario.request)


def test_composer_names_the_web_server_to_a_token_of_google(
    scenario: GoogleAuth, tmp_path: Path
) -> None:
    credentials = scenario.credentials()
    credentials.refresh(scenario.request)
    client = ServiceClient(tmp_path, proxy=scenario.session.proxies["https"])
    url = f"https://composer.googleapis.com/v1/{ENVIRONMENT}"
    answer = client("GET", url, headers={"Authorization": f"Bearer {credentials.token}"})
    assert answer.json()["config"]["airflowUri"] == scenario.google.airflow_uri
    status, body = summary_of(client("GET", url, headers={"Authorization": "Bearer x"}))
    assert (status, body["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert client("GET", f"{url}2").status_code == 404


def test_every_token_is_known_to_the_guard(scenario: GoogleAuth) -> None:
    scenario.credentials().refresh(scenario.request)
    issued = {*scenario.google.issued("access"), *scenario.google.issued("federated")}
    assert len(issued) == 2
    assert issued <= known_secrets.added_since()
