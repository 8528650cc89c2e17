"""One scenario for each way to authenticate: an Airflow, its token service, and inputs."""

from __future__ import annotations

import base64
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dev.airflow_settings import password_of
from tests.support import known_secrets
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.fake_airflow.v1.base import refuse
from tests.support.services import (
    FakeGitHubOidc,
    FakeGoogle,
    FakeMwaa,
    FakeSts,
    FakeTokenEndpoint,
    Gateway,
    KeycloakTokens,
    Tunnel,
    bearer,
    certificates,
    cloudflare_access,
    exactly,
    identity_aware_proxy,
)
from tests.support.services.google import ACCOUNT, ENVIRONMENT, PROVIDER, WEB_HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.fake_airflow import Version

AUDIENCE = "https://airflow.example.com"
WRONG = "wr0ng-Zq8-secret"


@dataclass(frozen=True, kw_only=True)
class AuthScenario:
    """One way to authenticate.

    `inputs` and `environment` lead to the Airflow. `wrong` replaces the credential by a wrong one,
    and `expire` expires all tokens and sessions granted so far. `grants` counts them; it stays 0
    for a ready-made credential.
    """

    airflow: FakeAirflow
    inputs: dict[str, str]
    wrong: dict[str, str]
    expire: Callable[[], None]
    grants: Callable[[], int] = lambda: 0
    environment: dict[str, str] = field(default_factory=dict)
    servers: tuple[Any, ...] = ()
    """The stand-ins whose `record` must have no refusal while a credential is renewed."""


def _dag() -> FakeDag:
    return FakeDag("sales", polls=2)


class ExpiringHeader:
    """Accepts one value of a header until `expire`."""

    def __init__(self, value: str, role: str) -> None:
        self._is_accepted: Any = exactly(value, role=role)
        known_secrets.add(value)

    def __call__(self, request: Any) -> str | None:
        """Return the role of the sender, or None."""
        return self._is_accepted(request)  # type: ignore[no-any-return]

    def expire(self) -> None:
        """Refuse every value from now on."""
        self._is_accepted = lambda _: None


class ChangeablePassword:
    """Leaves passwords to the Airflow until `change` makes every one wrong."""

    def __init__(self) -> None:
        self._changed = False

    def __call__(self, _: Any) -> None:
        """After `change`, refuse as Airflow 2.11.2 refuses a wrong password."""
        if self._changed:
            raise refuse(403, "Forbidden", None)

    def change(self) -> None:
        self._changed = True


@contextmanager
def airflow_3(role: str, **options: Any) -> Iterator[AuthScenario]:
    """An Airflow 3 with a user's password."""
    with FakeAirflow("3.3.2", dags=[_dag()], **options) as fake:
        yield AuthScenario(
            airflow=fake,
            inputs={"airflow_url": fake.url, "username": role, "password": password_of(role)},
            wrong={"password": WRONG},
            expire=fake.expire_tokens,
            grants=lambda: len(fake.received("POST", "/auth/token")),
        )


@contextmanager
def airflow_2(role: str) -> Iterator[AuthScenario]:
    """An Airflow 2 with the basic_auth backend and a user's password, which changes later."""
    credential = ChangeablePassword()
    with FakeAirflow("2.11.2", dags=[_dag()], accept=credential) as fake:
        yield AuthScenario(
            airflow=fake,
            inputs={"airflow_url": fake.url, "username": role, "password": password_of(role)},
            wrong={"password": WRONG},
            expire=credential.change,
        )


@contextmanager
def astro(role: str) -> Iterator[AuthScenario]:
    """An Airflow below a path, with a ready token."""
    with FakeAirflow("3.3.2", dags=[_dag()], prefix="/my-deployment") as fake:
        yield AuthScenario(
            airflow=fake,
            inputs={"airflow_url": f"{fake.url}/home", "token": fake.token(role)},
            wrong={"token": WRONG},
            expire=fake.expire_tokens,
        )


@contextmanager
def composer(role: str) -> Iterator[AuthScenario]:
    """An Airflow that accepts an opaque token."""
    token = f"ya29.{secrets.token_urlsafe(40)}"
    credential = ExpiringHeader(f"Bearer {token}", role)
    with FakeAirflow("3.3.2", dags=[_dag()], accept=credential) as fake:
        inputs = {"airflow_url": fake.url, "token": token}
        yield AuthScenario(
            airflow=fake, inputs=inputs, wrong={"token": f"ya29.{WRONG}"}, expire=credential.expire
        )


@contextmanager
def astronomer_software(role: str) -> Iterator[AuthScenario]:
    """An Airflow 2 that accepts an API key without a scheme."""
    key = secrets.token_hex(20)
    credential = ExpiringHeader(key, role)
    with FakeAirflow(
        "2.11.2", dags=[_dag()], accept=credential, prefix="/my-release/airflow"
    ) as fake:
        inputs = {"airflow_url": fake.url, "headers": f"Authorization: {key}"}
        yield AuthScenario(
            airflow=fake,
            inputs=inputs,
            wrong={"headers": f"Authorization: {WRONG}"},
            expire=credential.expire,
        )


@contextmanager
def keycloak(role: str) -> Iterator[AuthScenario]:
    """An Airflow 3 with the Keycloak auth manager and a client secret."""
    tokens = KeycloakTokens(role=role)
    with FakeAirflow("3.3.2", dags=[_dag()], tokens=tokens) as fake:
        yield AuthScenario(
            airflow=fake,
            inputs={
                "airflow_url": fake.url,
                "client_id": tokens.client_id,
                "client_secret": tokens.client_secret,
            },
            wrong={"client_secret": WRONG},
            expire=tokens.expire,
            grants=lambda: len(fake.received("POST", "/auth/token")),
        )


@contextmanager
def keycloak_user(role: str) -> Iterator[AuthScenario]:
    """An Airflow 3 with the Keycloak auth manager and a user's password."""
    with airflow_3(role, tokens=KeycloakTokens()) as scenario:
        yield scenario


@contextmanager
def _token_url(role: str, version: Any, **options: Any) -> Iterator[AuthScenario]:
    with (
        FakeTokenEndpoint(**options) as idp,
        FakeAirflow(version, dags=[_dag()], accept=bearer(idp.is_good, role=role)) as fake,
    ):
        inputs = {
            "airflow_url": fake.url,
            "token_url": idp.url,
            "ca_certificate": certificates.trusted_ca().pem,
            "client_id": idp.client_id,
        }
        yield AuthScenario(
            airflow=fake,
            inputs=inputs if "oidc" in options else inputs | {"client_secret": idp.client_secret},
            wrong={"client_secret": WRONG},
            expire=idp.expire,
            grants=lambda: len(idp.issued),
        )


@contextmanager
def oauth_in_the_body(role: str) -> Iterator[AuthScenario]:
    """An Airflow 3 behind an identity provider that expects the secret in the body."""
    with _token_url(role, "3.3.2", takes=("body",), kind="jwt") as scenario:
        yield scenario


@contextmanager
def oauth_as_basic(role: str) -> Iterator[AuthScenario]:
    """An Airflow 2 behind an identity provider that expects the secret as HTTP Basic."""
    with _token_url(role, "2.11.2", takes=("basic",)) as scenario:
        yield scenario


@contextmanager
def entra(role: str) -> Iterator[AuthScenario]:
    """An Airflow behind an identity provider that accepts GitHub's token as the client assertion,
    for a scope.
    """
    with (
        FakeGitHubOidc() as github,
        _token_url(
            role, "2.11.2", takes=("assertion",), oidc=github, scope="5d13f7d7/.default"
        ) as scenario,
    ):
        entra_inputs = {"scope": "5d13f7d7/.default", "oidc_audience": "api://AzureADTokenExchange"}
        yield AuthScenario(
            airflow=scenario.airflow,
            inputs=scenario.inputs | entra_inputs,
            wrong={"oidc_audience": "another-audience"},
            expire=scenario.expire,
            grants=scenario.grants,
            environment=github.environment,
        )


@contextmanager
def github_oidc(role: str) -> Iterator[AuthScenario]:
    """An Airflow behind a proxy that accepts GitHub's own OIDC token."""
    expired: set[str] = set()
    with FakeGitHubOidc() as github:

        def is_valid(token: str) -> bool:
            return token not in expired and github.is_good(token, AUDIENCE)

        with FakeAirflow("3.3.2", dags=[_dag()], accept=bearer(is_valid, role=role)) as fake:
            yield AuthScenario(
                airflow=fake,
                inputs={"airflow_url": fake.url, "oidc_audience": AUDIENCE},
                wrong={"oidc_audience": "another-audience"},
                expire=lambda: expired.update(github.issued),
                grants=lambda: len(github.issued),
                environment=github.environment,
            )


@contextmanager
def _mwaa(role: str, version: Any, **options: Any) -> Iterator[AuthScenario]:
    with ExitStack() as stack:
        fake = stack.enter_context(FakeAirflow(version, dags=[_dag()]))
        mwaa = stack.enter_context(FakeMwaa(fake, user=role, **options))
        tunnel = stack.enter_context(Tunnel(mwaa.ports))
        yield AuthScenario(
            airflow=fake,
            inputs={"mwaa_environment": mwaa.name, "ca_certificate": certificates.trusted_ca().pem},
            wrong={"AWS_SECRET_ACCESS_KEY": WRONG},
            expire=mwaa.web.expire_sessions,
            grants=lambda: sum(
                "login" in one.path for one in mwaa.web.record if one.status in (200, 302)
            ),
            environment=mwaa.environment | tunnel.environment,
        )


@contextmanager
def mwaa_with_role(
    role: str, version: Any, access: str, *, lifetime: float = 3600, **options: Any
) -> Iterator[AuthScenario]:
    """An Amazon MWAA environment, with a role that is assumed with GitHub's token."""
    region = options.get("region", "eu-west-1")
    with ExitStack() as stack:
        github = stack.enter_context(FakeGitHubOidc())
        sts = stack.enter_context(FakeSts(github, region, lifetime=lifetime))
        fake = stack.enter_context(
            FakeAirflow(version, dags=[_dag()], token_lifetime=int(lifetime))
        )
        mwaa = stack.enter_context(FakeMwaa(fake, user=role, role=sts, **options))
        tunnel = stack.enter_context(Tunnel(mwaa.ports))

        def expire() -> None:
            sts.expire()
            mwaa.web.expire_sessions()

        inputs = {
            "mwaa_environment": mwaa.name,
            "aws_role": sts.role,
            "ca_certificate": certificates.trusted_ca().pem,
        }
        yield AuthScenario(
            airflow=fake,
            inputs=inputs | ({"mwaa_access": access} if access != "web" else {}),
            wrong={"aws_role": f"{sts.role}-of-others"},
            expire=expire,
            grants=lambda: len(sts.issued),
            environment=mwaa.environment | tunnel.environment | github.environment,
            servers=(mwaa.api, mwaa.web, sts, github),
        )


@contextmanager
def mwaa_role(role: str) -> Iterator[AuthScenario]:
    with mwaa_with_role(role, "3.3.2", "web") as scenario:
        yield scenario


@contextmanager
def mwaa_private(role: str) -> Iterator[AuthScenario]:
    """A private environment with Airflow 3, in AWS's partition for the US government."""
    with mwaa_with_role(role, "3.3.2", "rest_api", region="us-gov-west-1") as scenario:
        yield scenario


@contextmanager
def mwaa_private_2(role: str) -> Iterator[AuthScenario]:
    """A private environment with Airflow 2."""
    with mwaa_with_role(role, "2.11.2", "rest_api") as scenario:
        yield scenario


@contextmanager
def google(role: str, *, lifetime: float = 3600) -> Iterator[AuthScenario]:
    """Cloud Composer by its name, with an access token for GitHub's token."""
    with ExitStack() as stack:
        github = stack.enter_context(FakeGitHubOidc())
        cloud = stack.enter_context(FakeGoogle(github, lifetime=lifetime))
        fake = stack.enter_context(
            FakeAirflow("3.3.2", dags=[_dag()], accept=bearer(cloud.is_good, role=role))
        )
        tls = certificates.trusted_ca().server(WEB_HOST)
        web = stack.enter_context(Gateway(fake.url, tls=tls, host=WEB_HOST))
        tunnel = stack.enter_context(Tunnel(cloud.ports | {f"{WEB_HOST}:443": web.port}))
        yield AuthScenario(
            airflow=fake,
            inputs={
                "composer_environment": ENVIRONMENT,
                "google_workload_identity_provider": PROVIDER,
                "google_service_account": ACCOUNT,
                "ca_certificate": certificates.trusted_ca().pem,
            },
            wrong={"google_workload_identity_provider": f"{PROVIDER}-2"},
            expire=cloud.expire,
            grants=lambda: len(cloud.issued("access")),
            environment=github.environment | tunnel.environment,
            servers=(web, cloud, github),
        )


@contextmanager
def iap_with_google(
    role: str, *, lifetime: float = 3600, password: bool = True
) -> Iterator[AuthScenario]:
    """Google's Identity-Aware Proxy with an ID token for GitHub's token, in front of Airflow 3.

    With `password`, Airflow has a login of its own; otherwise the proxy's token is its credential.
    """
    audience = "123456789-abcdef.apps.googleusercontent.com"
    with ExitStack() as stack:
        github = stack.enter_context(FakeGitHubOidc())
        cloud = stack.enter_context(FakeGoogle(github, lifetime=lifetime))

        def is_id_token(token: str) -> bool:
            return cloud.is_good(token.removeprefix("Bearer "), f"id {audience}")

        accept: Any = (lambda _: None) if password else bearer(is_id_token, role=role)
        fake = stack.enter_context(FakeAirflow("3.3.2", dags=[_dag()], accept=accept))
        front = stack.enter_context(
            identity_aware_proxy(fake.url, is_id_token) if password else Gateway(fake.url)
        )
        tunnel = stack.enter_context(Tunnel(cloud.ports))
        user = {"username": role, "password": password_of(role)} if password else {}
        yield AuthScenario(
            airflow=fake,
            inputs={
                "airflow_url": front.url,
                "google_workload_identity_provider": PROVIDER,
                "google_service_account": ACCOUNT,
                "oidc_audience": audience,
                "ca_certificate": certificates.trusted_ca().pem,
            }
            | user,
            wrong={"google_workload_identity_provider": f"{PROVIDER}-2"},
            expire=cloud.expire,
            grants=lambda: len(cloud.issued(f"id {audience}")),
            environment=github.environment | tunnel.environment,
            servers=(front, cloud, github),
        )


@contextmanager
def google_id_token(role: str) -> Iterator[AuthScenario]:
    with iap_with_google(role, password=False) as scenario:
        yield scenario


@contextmanager
def keycloak_chain(role: str, *, lifetime: int = 300) -> Iterator[AuthScenario]:
    """An Airflow 3 with the Keycloak auth manager, and GitHub's token in place of a secret."""
    audience = "https://keycloak.example.com/realms/sales"
    with ExitStack() as stack:
        github = stack.enter_context(FakeGitHubOidc())
        realm = stack.enter_context(
            FakeTokenEndpoint(
                takes=("assertion",),
                oidc=github,
                audience=audience,
                lifetime=lifetime,
                kind="jwt",
                scope="openid",
            )
        )
        tokens = KeycloakTokens(role=role, federated=realm)
        fake = stack.enter_context(FakeAirflow("3.3.2", dags=[_dag()], tokens=tokens))
        yield AuthScenario(
            airflow=fake,
            inputs={
                "airflow_url": fake.url,
                "token_url": realm.url,
                "client_id": realm.client_id,
                "oidc_audience": audience,
                "scope": "openid",
                "ca_certificate": certificates.trusted_ca().pem,
            },
            wrong={"oidc_audience": "another-audience"},
            expire=tokens.expire,
            grants=lambda: len(fake.received("POST", "/auth/token")),
            environment=github.environment,
            servers=(fake, realm, github),
        )


@contextmanager
def mwaa_2(role: str) -> Iterator[AuthScenario]:
    with _mwaa(role, "2.11.2") as scenario:
        yield scenario


@contextmanager
def mwaa_3(role: str) -> Iterator[AuthScenario]:
    """An Amazon MWAA environment with Airflow 3, its newer host name, and AWS's China partition."""
    with _mwaa(
        role, "3.3.2", web_domain="c2.{region}.airflow.amazonaws.com.cn", region="cn-north-1"
    ) as scenario:
        yield scenario


@contextmanager
def behind_cloudflare(role: str) -> Iterator[AuthScenario]:
    """An Airflow 3 behind Cloudflare Access, with a service token and a user's password."""
    client_id, client_secret = f"{secrets.token_hex(16)}.access", secrets.token_hex(32)
    login = "https://team.cloudflareaccess.example.com/cdn-cgi/access/login"
    with (
        airflow_3(role) as scenario,
        cloudflare_access(scenario.airflow.url, client_id, client_secret, login=login) as gateway,
    ):
        headers = f"CF-Access-Client-Id: {client_id}\n\n  CF-Access-Client-Secret:{client_secret}  "
        yield AuthScenario(
            airflow=scenario.airflow,
            inputs=scenario.inputs | {"airflow_url": gateway.url, "headers": headers},
            wrong=scenario.wrong,
            expire=scenario.expire,
            grants=scenario.grants,
        )


@contextmanager
def behind_iap(role: str) -> Iterator[AuthScenario]:
    """An Airflow 2 behind Google's Identity-Aware Proxy, with its token and a user's password."""
    token = secrets.token_urlsafe(40)
    with (
        airflow_2(role) as scenario,
        identity_aware_proxy(scenario.airflow.url, f"Bearer {token}") as gateway,
    ):
        yield AuthScenario(
            airflow=scenario.airflow,
            inputs=scenario.inputs
            | {"airflow_url": gateway.url, "headers": f"Proxy-Authorization: Bearer {token}"},
            wrong=scenario.wrong,
            expire=scenario.expire,
        )


@contextmanager
def behind_basic(role: str) -> Iterator[AuthScenario]:
    """An Airflow 2 behind a gateway that asks for the same user with HTTP Basic."""

    def is_user(value: str) -> bool:
        pair = f"{role}:{password_of(role)}"
        return value == f"Basic {base64.b64encode(pair.encode()).decode()}"

    with (
        airflow_2(role) as scenario,
        Gateway(scenario.airflow.url, demands={"Authorization": is_user}, strips=False) as gateway,
    ):
        yield replace(scenario, inputs=scenario.inputs | {"airflow_url": gateway.url})


@contextmanager
def private_ca(role: str) -> Iterator[AuthScenario]:
    """An Airflow 3 with a private CA's certificate that requires a client certificate."""
    ca = certificates.trusted_ca()
    pair = ca.client()
    tls_inputs = {
        "ca_certificate": ca.pem,
        "client_certificate": pair.certificate,
        "client_key": pair.key,
    }
    with airflow_3(role, tls=ca.server(clients=ca)) as scenario:
        yield replace(scenario, inputs=scenario.inputs | tls_inputs)


AUTH_SCENARIOS = {
    "airflow-3": airflow_3,
    "airflow-2": airflow_2,
    "private-ca": private_ca,
    "astro": astro,
    "astronomer-software": astronomer_software,
    "composer": composer,
    "mwaa": mwaa_3,
    "mwaa-2": mwaa_2,
    "mwaa-role": mwaa_role,
    "mwaa-private": mwaa_private,
    "mwaa-private-2": mwaa_private_2,
    "composer-renewed": google,
    "iap-renewed": iap_with_google,
    "google-id-token": google_id_token,
    "keycloak": keycloak,
    "keycloak-oidc": keycloak_chain,
    "keycloak-user": keycloak_user,
    "entra": entra,
    "oauth-body": oauth_in_the_body,
    "oauth-basic": oauth_as_basic,
    "github-oidc": github_oidc,
    "basic-gateway": behind_basic,
    "cloudflare-access": behind_cloudflare,
    "iap": behind_iap,
}
"""By name, which is also that of its workflow in `examples/workflows`, if it has one."""

DEPLOYMENTS: dict[str, Version] = {
    "git-bundle": "3.3.2",
    "git-sync": "3.3.2",
    "image-build": "3.3.2",
    "object-storage": "2.11.2",
}
"""The workflows in `examples/workflows` about deploying DAGs, each with a suitable version."""

RECIPES = (
    "deploy-then-gate",
    "manual-approval",
    "matrix",
    "nightly",
    "pull-request",
    "rollback",
    "trigger-then-wait",
)
"""The workflows in `examples/workflows` about uses of a DAG run, with any Airflow."""

DECIDED = ("required-tasks",)
"""The workflow about tasks that decide, of a DAG that has them."""

WITHOUT_DOCKER = ("kerberos",)
"""The workflow with native/, whose step `tests/kerberos` runs."""

CHECKED = ("check",)
"""The workflow that only checks, before a merge."""

SEVERAL = ("changed-dags", "smoke-suite")
"""The workflows about several DAGs in one step, with any Airflow."""

DETACHED = (
    "detached-after-deployment",
    "detached-after-status",
    "detached-deployment",
    "detached-status",
    "detached-sweep",
)
"""The workflows in `examples/workflows` for detached runs."""
