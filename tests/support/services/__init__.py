"""Stub servers for gateways, identity providers, GitHub and AWS.

Each is a context manager with a `url` and a `record`. They exist because a test cannot reach a
cloud; `tests/contract/test_services_*.py` check them against the standards, and MWAA against
botocore.

    certificates.trusted_ca(), .untrusted_ca(), .ca_without_key_usage()
        certificate authorities: `.pem`, `.server("host", clients=...)`, `.client("name")`
    FakeAirflow(tls=..., accept=...)
        over TLS, with further credentials: `exactly("...")`, `bearer(is_good)`
    FakeAirflow(tokens=KeycloakTokens(...))
        with Airflow 3's Keycloak auth manager
    TokenEndpoint(takes=("basic",), ...)
        an OAuth 2.0 token endpoint
    GitHubOidc()
        GitHub's endpoint for OIDC tokens
    GitHubApi(history, can_write=...)
        GitHub's API for commits, trees, statuses and deployments, documented requests only:
        `.statuses_of(sha)`, `.deployments`, `.deployment_states(id)`, `.app`
    GitHubApi(GitRepository(folder))
        the same with the commits of a real git repository
    FakeSts(oidc)
        AWS STS with a role that GitHub's OIDC tokens may assume
    Mwaa(fake, role=sts), Tunnel(mwaa.ports)
        Amazon MWAA, and a proxy that resolves its host names
    FakeGoogle(oidc)
        Google's STS, IAM and Composer APIs: `.ports`, for `Tunnel`
    Gateway(fake.url, demands=...), RedirectTrap()
        a gateway in front of Airflow, and a server behind a redirect
"""

from tests.support.services import certificates
from tests.support.services.credentials import bearer, exactly
from tests.support.services.gateway import (
    Gateway,
    RedirectTrap,
    cloudflare_access,
    identity_aware_proxy,
)
from tests.support.services.github import GitHubApi
from tests.support.services.google import FakeGoogle
from tests.support.services.history import GitRepository
from tests.support.services.keycloak import KeycloakTokens
from tests.support.services.mwaa import FakeMwaa
from tests.support.services.oidc import FakeGitHubOidc
from tests.support.services.sts import FakeSts
from tests.support.services.token_endpoint import FakeTokenEndpoint
from tests.support.services.tunnel import Tunnel

__all__ = [
    "FakeGitHubOidc",
    "FakeGoogle",
    "FakeMwaa",
    "FakeSts",
    "FakeTokenEndpoint",
    "Gateway",
    "GitHubApi",
    "GitRepository",
    "KeycloakTokens",
    "RedirectTrap",
    "Tunnel",
    "bearer",
    "certificates",
    "cloudflare_access",
    "exactly",
    "identity_aware_proxy",
]
