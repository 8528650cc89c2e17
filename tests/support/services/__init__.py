"""Stand-ins for the doors that an Airflow may be behind. Each is a context manager with a `url` and
a `record`.

They exist because no cloud can be reached from a test; `tests/contract/test_doors_*.py` hold them
to the standards, and the MWAA one to botocore.

    certificates.private(), .stranger(), .old_fashioned() CAs: `.pem`, `.server("host",
                                             clients=...)`, `.client("name")` FakeAirflow(tls=...,
                                             accept=...)         over TLS; with credentials besides
                                             its own: `exactly("..")`, `bearer(is_good)`
                                             FakeAirflow(tokens=KeycloakTokens(...))  with Airflow
                                             3's Keycloak auth manager
                                             TokenEndpoint(takes=("basic",), ...)          an OAuth
                                             2.0 token endpoint GitHubOidc()
                                             GitHub's endpoint for OIDC tokens GitHubApi(history,
                                             can_write=...)        its API about commits, statuses,
                                             deployments: only what is documented;
                                             `.statuses_of(sha)`, `.deployments`,
                                             `.deployment_states(id)`, `.app` Mwaa(fake),
                                             Tunnel(mwaa.ports)           Amazon MWAA, and the way
                                             to its host names Gateway(fake.url, demands=...),
                                             Trap()   what stands in front, and what waits behind a
                                             redirect
"""

from tests.support.services import certificates
from tests.support.services.accepting import bearer, exactly
from tests.support.services.gateway import Gateway, Trap, cloudflare_access, identity_aware_proxy
from tests.support.services.github import GitHubApi
from tests.support.services.keycloak import KeycloakTokens
from tests.support.services.mwaa import Mwaa
from tests.support.services.oidc import GitHubOidc
from tests.support.services.token_url import TokenEndpoint
from tests.support.services.tunnel import Tunnel

__all__ = [
    "Gateway",
    "GitHubApi",
    "GitHubOidc",
    "KeycloakTokens",
    "Mwaa",
    "TokenEndpoint",
    "Trap",
    "Tunnel",
    "bearer",
    "certificates",
    "cloudflare_access",
    "exactly",
    "identity_aware_proxy",
]
