"""Every way into an Airflow as a scene: an Airflow, whoever grants the credential, and the inputs
that lead there.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dev.airflow_settings import password_of
from tests.support import known_secrets as ledger
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.fake_airflow.v1.base import refuse
from tests.support.services import (
    GitHubOidc,
    KeycloakTokens,
    Mwaa,
    TokenEndpoint,
    Tunnel,
    bearer,
    certificates,
    cloudflare_access,
    exactly,
    identity_aware_proxy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.fake_airflow import Version

AUDIENCE = "https://airflow.example.com"
WRONG = "wr0ng-Zq8-secret"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One way in.

    `inputs` and `environment` lead to the Airflow. `wrong` is what makes the credential a bad one,
    `expire` what makes all that was granted so far die. `granted` counts what was granted; a
    credential of which that is always 0 is ready made.
    """

    airflow: FakeAirflow
    inputs: dict[str, str]
    wrong: dict[str, str]
    expire: Callable[[], None]
    granted: Callable[[], int] = lambda: 0
    environment: dict[str, str] = field(default_factory=dict)


def _dag() -> FakeDag:
    return FakeDag("sales", looks=2)


class Perishable:
    """Takes one value of a header until `expire`."""

    def __init__(self, value: str, role: str) -> None:
        self._take: Any = exactly(value, role=role)
        ledger.note(value)

    def __call__(self, request: Any) -> str | None:
        """The role of who sent the request, None for nobody."""
        return self._take(request)  # type: ignore[no-any-return]

    def expire(self) -> None:
        """Take nothing any more."""
        self._take = lambda _: None


class Changeable:
    """Leaves passwords to the Airflow, until `change` makes every one a wrong one."""

    def __init__(self) -> None:
        self._changed = False

    def __call__(self, _: Any) -> None:
        """Refuse, as Airflow 2.11.2 does a wrong password; or say nothing."""
        if self._changed:
            raise refuse(403, "Forbidden", None)

    def change(self) -> None:
        """Everybody's password is another one now."""
        self._changed = True


@contextmanager
def airflow_3(role: str, **options: Any) -> Iterator[Scene]:
    """An Airflow 3, a user's password."""
    with FakeAirflow("3.3.2", dags=[_dag()], **options) as fake:
        yield Scene(
            airflow=fake,
            inputs={"airflow_url": fake.url, "username": role, "password": password_of(role)},
            wrong={"password": WRONG},
            expire=fake.expire_tokens,
            granted=lambda: len(fake.received("POST", "/auth/token")),
        )


@contextmanager
def airflow_2(role: str) -> Iterator[Scene]:
    """An Airflow 2 with the basic_auth backend, a user's password, which is changed in the end."""
    door = Changeable()
    with FakeAirflow("2.11.2", dags=[_dag()], accept=door) as fake:
        yield Scene(
            airflow=fake,
            inputs={"airflow_url": fake.url, "username": role, "password": password_of(role)},
            wrong={"password": WRONG},
            expire=door.change,
        )


@contextmanager
def astro(role: str) -> Iterator[Scene]:
    """An Airflow below a path, a ready token."""
    with FakeAirflow("3.3.2", dags=[_dag()], prefix="/my-deployment") as fake:
        yield Scene(
            airflow=fake,
            inputs={"airflow_url": f"{fake.url}/home", "token": fake.token(role)},
            wrong={"token": WRONG},
            expire=fake.expire_tokens,
        )


@contextmanager
def composer(role: str) -> Iterator[Scene]:
    """An Airflow that takes a token nobody can read."""
    token = f"ya29.{secrets.token_urlsafe(40)}"
    door = Perishable(f"Bearer {token}", role)
    with FakeAirflow("3.3.2", dags=[_dag()], accept=door) as fake:
        inputs = {"airflow_url": fake.url, "token": token}
        yield Scene(
            airflow=fake, inputs=inputs, wrong={"token": f"ya29.{WRONG}"}, expire=door.expire
        )


@contextmanager
def astronomer_software(role: str) -> Iterator[Scene]:
    """An Airflow 2 that takes an API key without a scheme."""
    key = secrets.token_hex(20)
    door = Perishable(key, role)
    with FakeAirflow("2.11.2", dags=[_dag()], accept=door, prefix="/my-release/airflow") as fake:
        inputs = {"airflow_url": fake.url, "headers": f"Authorization: {key}"}
        yield Scene(
            airflow=fake,
            inputs=inputs,
            wrong={"headers": f"Authorization: {WRONG}"},
            expire=door.expire,
        )


@contextmanager
def keycloak(role: str) -> Iterator[Scene]:
    """An Airflow 3 with the Keycloak auth manager, its client's secret."""
    tokens = KeycloakTokens(role=role)
    with FakeAirflow("3.3.2", dags=[_dag()], tokens=tokens) as fake:
        yield Scene(
            airflow=fake,
            inputs={
                "airflow_url": fake.url,
                "client_id": tokens.client_id,
                "client_secret": tokens.client_secret,
            },
            wrong={"client_secret": WRONG},
            expire=tokens.expire,
            granted=lambda: len(fake.received("POST", "/auth/token")),
        )


@contextmanager
def keycloak_user(role: str) -> Iterator[Scene]:
    """The same, a user's password."""
    with airflow_3(role, tokens=KeycloakTokens()) as scene:
        yield scene


@contextmanager
def _token_url(role: str, version: Any, **options: Any) -> Iterator[Scene]:
    with (
        TokenEndpoint(**options) as idp,
        FakeAirflow(version, dags=[_dag()], accept=bearer(idp.is_good, role=role)) as fake,
    ):
        inputs = {
            "airflow_url": fake.url,
            "token_url": idp.url,
            "ca_certificate": certificates.private().pem,
            "client_id": idp.client_id,
        }
        yield Scene(
            airflow=fake,
            inputs=inputs if "oidc" in options else inputs | {"client_secret": idp.client_secret},
            wrong={"client_secret": WRONG},
            expire=idp.expire,
            granted=lambda: len(idp.issued),
        )


@contextmanager
def oauth_in_the_body(role: str) -> Iterator[Scene]:
    """An Airflow 3 behind an identity provider that wants the secret in the body."""
    with _token_url(role, "3.3.2", takes=("body",), kind="jwt") as scene:
        yield scene


@contextmanager
def oauth_as_basic(role: str) -> Iterator[Scene]:
    """An Airflow 2 behind an identity provider that wants the secret as HTTP Basic."""
    with _token_url(role, "2.11.2", takes=("basic",)) as scene:
        yield scene


@contextmanager
def entra(role: str) -> Iterator[Scene]:
    """An Airflow behind an identity provider that takes GitHub's token as the client's proof, for a
    scope.
    """
    with (
        GitHubOidc() as github,
        _token_url(
            role, "2.11.2", takes=("assertion",), oidc=github, scope="5d13f7d7/.default"
        ) as scene,
    ):
        more = {"scope": "5d13f7d7/.default", "oidc_audience": "api://AzureADTokenExchange"}
        yield Scene(
            airflow=scene.airflow,
            inputs=scene.inputs | more,
            wrong={"oidc_audience": "somebody-else"},
            expire=scene.expire,
            granted=scene.granted,
            environment=github.environment,
        )


@contextmanager
def github_oidc(role: str) -> Iterator[Scene]:
    """An Airflow behind a proxy that takes GitHub's own token."""
    dead: set[str] = set()
    with GitHubOidc() as github:

        def is_good(token: str) -> bool:
            return token not in dead and github.is_good(token, AUDIENCE)

        with FakeAirflow("3.3.2", dags=[_dag()], accept=bearer(is_good, role=role)) as fake:
            yield Scene(
                airflow=fake,
                inputs={"airflow_url": fake.url, "oidc_audience": AUDIENCE},
                wrong={"oidc_audience": "somebody-else"},
                expire=lambda: dead.update(github.issued),
                granted=lambda: len(github.issued),
                environment=github.environment,
            )


@contextmanager
def _mwaa(role: str, version: Any, **options: Any) -> Iterator[Scene]:
    with ExitStack() as stack:
        fake = stack.enter_context(FakeAirflow(version, dags=[_dag()]))
        mwaa = stack.enter_context(Mwaa(fake, user=role, **options))
        tunnel = stack.enter_context(Tunnel(mwaa.ports))
        yield Scene(
            airflow=fake,
            inputs={"mwaa_environment": mwaa.name, "ca_certificate": certificates.private().pem},
            wrong={"AWS_SECRET_ACCESS_KEY": WRONG},
            expire=mwaa.web.expire_sessions,
            granted=lambda: sum(
                "login" in one.path for one in mwaa.web.record if one.status in (200, 302)
            ),
            environment=mwaa.environment | tunnel.environment,
        )


@contextmanager
def mwaa_2(role: str) -> Iterator[Scene]:
    """An Amazon MWAA environment with Airflow 2."""
    with _mwaa(role, "2.11.2") as scene:
        yield scene


@contextmanager
def mwaa_3(role: str) -> Iterator[Scene]:
    """An Amazon MWAA environment with Airflow 3, under its newer host name, in China's partition of
    AWS.
    """
    with _mwaa(
        role, "3.3.2", web_domain="c2.{region}.airflow.amazonaws.com.cn", region="cn-north-1"
    ) as scene:
        yield scene


@contextmanager
def behind_cloudflare(role: str) -> Iterator[Scene]:
    """An Airflow 3 behind Cloudflare Access, with a service token beside a user's password."""
    ids = f"{secrets.token_hex(16)}.access", secrets.token_hex(32)
    login = "https://team.cloudflareaccess.example.com/cdn-cgi/access/login"
    with (
        airflow_3(role) as scene,
        cloudflare_access(scene.airflow.url, *ids, login=login) as gateway,
    ):
        given = f"CF-Access-Client-Id: {ids[0]}\n\n  CF-Access-Client-Secret:{ids[1]}  "
        yield Scene(
            airflow=scene.airflow,
            inputs=scene.inputs | {"airflow_url": gateway.url, "headers": given},
            wrong=scene.wrong,
            expire=scene.expire,
            granted=scene.granted,
        )


@contextmanager
def behind_iap(role: str) -> Iterator[Scene]:
    """An Airflow 2 behind Google's Identity-Aware Proxy, with its token beside a user's
    password.
    """
    token = secrets.token_urlsafe(40)
    with (
        airflow_2(role) as scene,
        identity_aware_proxy(scene.airflow.url, f"Bearer {token}") as gateway,
    ):
        yield Scene(
            airflow=scene.airflow,
            inputs=scene.inputs
            | {"airflow_url": gateway.url, "headers": f"Proxy-Authorization: Bearer {token}"},
            wrong=scene.wrong,
            expire=scene.expire,
        )


@contextmanager
def private_ca(role: str) -> Iterator[Scene]:
    """An Airflow 3 with a private CA's certificate, to which one has to present a certificate
    too.
    """
    ca = certificates.private()
    pair = ca.client()
    own = {"ca_certificate": ca.pem, "client_certificate": pair.certificate, "client_key": pair.key}
    with airflow_3(role, tls=ca.server(clients=ca)) as scene:
        yield replace(scene, inputs=scene.inputs | own)


SCENES = {
    "airflow-3": airflow_3,
    "airflow-2": airflow_2,
    "private-ca": private_ca,
    "astro": astro,
    "astronomer-software": astronomer_software,
    "composer": composer,
    "mwaa": mwaa_3,
    "mwaa-2": mwaa_2,
    "keycloak": keycloak,
    "keycloak-user": keycloak_user,
    "entra": entra,
    "oauth-body": oauth_in_the_body,
    "oauth-basic": oauth_as_basic,
    "github-oidc": github_oidc,
    "cloudflare-access": behind_cloudflare,
    "iap": behind_iap,
}
"""By name; that of a workflow in `examples/workflows` where there is one for it."""

DEPLOYMENTS: dict[str, Version] = {
    "git-bundle": "3.3.2",
    "git-sync": "3.3.2",
    "image-build": "3.3.2",
    "object-storage": "2.11.2",
}
"""The workflows in `examples/workflows` that are about how DAGs get to an Airflow, each with one
that it may be.
"""

RECIPES = (
    "deploy-then-gate",
    "manual-approval",
    "matrix",
    "nightly",
    "pull-request",
    "rollback",
    "trigger-then-wait",
)
"""The workflows in `examples/workflows` that are about what a DAG run is good for, whichever
Airflow it is on.
"""

DETACHED = (
    "detached-after-deployment",
    "detached-after-status",
    "detached-deployment",
    "detached-status",
    "detached-sweep",
)
"""The workflows in `examples/workflows` for runs that nobody waits for."""
