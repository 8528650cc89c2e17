"""No credential and no header goes to another host, port or scheme, whoever sends it there."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import pytest
import requests

from tests.integration.scenarios import SCENES
from tests.support.fake_airflow import FakeAirflow, FakeDag, Version
from tests.support.services import (
    Gateway,
    GitHubOidc,
    Mwaa,
    TokenEndpoint,
    Trap,
    Tunnel,
    bearer,
    certificates,
)
from tests.support.step import run_step
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import Outcome

STATUSES = (301, 302, 307, 308)
HEADERS = (
    "X-Gateway-Key: Zq8-a-key-of-the-gateway\nCF-Access-Client-Secret: Zq8-a-secret-of-cloudflare"
)
BEFORE_THE_TRIGGER = {
    "version": ("GET", "/version"),
    "login": ("POST", "/auth/token"),
    "first look": ("GET", "/dagRuns/*"),
}
every_status = pytest.mark.parametrize("status", STATUSES)


@dataclass(frozen=True)
class Elsewhere:
    """Where a redirect may lead: each would answer as if all were well."""

    traps: dict[str, Trap]

    def url(self, target: str) -> str:
        """The address to be sent to."""
        host = "localhost" if target == "host" else "127.0.0.1"
        trap = self.traps[target]
        return f"{trap.origin.partition(':')[0]}://{host}:{trap.port}/api/v2/version"

    @property
    def arrived(self) -> int:
        """How many connections there were, to any of them."""
        return sum(trap.connections for trap in self.traps.values())


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Another host name, another port, another scheme."""
    with ExitStack() as stack:
        tls = certificates.private().server()
        traps = {"host": Trap(), "port": Trap(), "scheme": Trap(tls=tls)}
        yield Elsewhere({name: stack.enter_context(trap) for name, trap in traps.items()})


@contextmanager
def airflow(version: Version) -> Iterator[tuple[FakeAirflow, dict[str, str]]]:
    """An Airflow, and a step for it with a password, headers, and a CA by which every trap is
    trusted.
    """
    with FakeAirflow(version, dags=[FakeDag("sales", looks=2)]) as fake:
        with SCENES["airflow-3" if version == "3.3.2" else "airflow-2"]("user") as scene:
            given = scene.inputs
        yield (
            fake,
            given
            | {"dag_id": "sales", "headers": HEADERS, "ca_certificate": certificates.private().pem},
        )


def refused(outcome: Outcome) -> str:
    """The title of the error with which a step ended."""
    assert outcome.result == "error"
    assert outcome.error is not None
    return outcome.error.title


@pytest.mark.parametrize("version", get_args(Version))
@pytest.mark.parametrize("target", ["host", "port", "scheme"])
@every_status
def test_airflow_redirects(
    version: Version, status: Any, target: str, elsewhere: Elsewhere
) -> None:
    """Every request before the trigger, and the trigger: the step ends with an error, and nothing
    arrives there.
    """
    with airflow(version) as (fake, given):
        for on in BEFORE_THE_TRIGGER.values():
            if version == "2.11.2" and on[0] == "POST":
                continue
            with Gateway(fake.url) as gateway:
                gateway.redirect(status, elsewhere.url(target), on=on)
                assert (
                    refused(run_step(given | {"airflow_url": gateway.url}))
                    == "Airflow's address redirects"
                )
        with Gateway(fake.url) as gateway:
            gateway.redirect(status, elsewhere.url(target), on=("POST", "/dagRuns"))
            outcome = run_step(given | {"airflow_url": gateway.url, "timeout": "60"})
            assert outcome.result == "error"
        assert fake.runs("sales") == []
    assert elsewhere.arrived == 0


@pytest.mark.parametrize("target", ["host", "port", "scheme"])
@every_status
def test_airflow_redirects_while_waiting(status: Any, target: str, elsewhere: Elsewhere) -> None:
    """A redirect in the middle of a wait is ridden out, and nothing arrives there."""
    with airflow("3.3.2") as (fake, given), Gateway(fake.url) as gateway:
        time = VirtualTime()

        def begin(_: float) -> None:
            gateway.redirect(status, elsewhere.url(target), times=3)
            time.on_sleep = lambda _: None

        time.on_sleep = begin  # the first sleep is the one after the trigger
        outcome = run_step(given | {"airflow_url": gateway.url}, time=time, hang=1)

        assert (outcome.result, outcome.retries) == ("success", 3)
        assert [run.state for run in fake.runs("sales")] == ["success"]
    assert elsewhere.arrived == 0


@pytest.mark.parametrize("target", ["host", "port", "scheme"])
@every_status
def test_a_token_url_redirects(status: Any, target: str, elsewhere: Elsewhere) -> None:
    """The client's secret arrives nowhere but at token_url."""
    with (
        TokenEndpoint() as idp,
        FakeAirflow("3.3.2", dags=[FakeDag("sales")], accept=bearer(idp.is_good)) as fake,
    ):
        idp.redirect(status, elsewhere.url(target))
        given = {
            "airflow_url": fake.url,
            "dag_id": "sales",
            "ca_certificate": certificates.private().pem,
        }
        client = {
            "token_url": idp.url,
            "client_id": idp.client_id,
            "client_secret": idp.client_secret,
        }

        assert refused(run_step(given | client)) == "The identity provider redirects"
        assert fake.record == []
    assert elsewhere.arrived == 0


@every_status
def test_github_redirects(status: Any, elsewhere: Elsewhere) -> None:
    """The token by which one asks GitHub for tokens arrives nowhere else."""
    with GitHubOidc() as github, FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        github.redirect(status, elsewhere.url("port"))
        given = {
            "airflow_url": fake.url,
            "dag_id": "sales",
            "oidc_audience": "https://airflow.example.com",
        }

        assert refused(run_step(given, github.environment)) == "GitHub's OIDC service redirects"
        assert fake.record == []
    assert elsewhere.arrived == 0


@pytest.mark.parametrize("party", ["api", "web"])
@every_status
def test_mwaa_redirects(
    status: Any, party: str, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither AWS's signature nor a web token arrives elsewhere; the login's own redirect to /home
    is not followed either.
    """
    with (
        FakeAirflow("2.11.2", dags=[FakeDag("sales")]) as fake,
        Mwaa(fake) as mwaa,
        Tunnel(mwaa.ports) as tunnel,
    ):
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        {"api": mwaa.api, "web": mwaa.web}[party].redirect(status, elsewhere.url("scheme"))
        given = {
            "mwaa_environment": mwaa.name,
            "dag_id": "sales",
            "ca_certificate": certificates.private().pem,
        }

        refused(run_step(given, mwaa.environment))
        assert fake.record == []
    assert elsewhere.arrived == 0


@pytest.mark.parametrize(
    "host", ["airflow.example.com", "amazonaws.com.example.com", "127.0.0.1", "xamazonaws.com"]
)
def test_mwaa_names_a_stranger(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server that is not Amazon's is sent nothing, not even a connection."""
    with (
        FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake,
        Mwaa(fake) as mwaa,
        Tunnel(mwaa.ports) as tunnel,
    ):
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        monkeypatch.setattr(mwaa.api, "_web_host", host)
        given = {
            "mwaa_environment": mwaa.name,
            "dag_id": "sales",
            "ca_certificate": certificates.private().pem,
        }

        assert (
            refused(run_step(given, mwaa.environment))
            == "Amazon MWAA named no web server of its own"
        )
        assert set(tunnel.targets) == {f"{mwaa.api.host}:443"}


def test_a_trap_would_notice(elsewhere: Elsewhere) -> None:
    """A client that follows redirects does arrive, headers and all: what was asserted above could
    be false.
    """
    with FakeAirflow("3.3.2", dags=[]) as fake, Gateway(fake.url) as gateway:
        gateway.redirect(307, elsewhere.url("port"))
        requests.post(
            gateway.url, data="a secret", headers={"X-Gateway-Key": "Zq8-a-key-of-ours"}, timeout=10
        )

    (arrived,) = elsewhere.traps["port"].record
    assert (arrived.headers["X-Gateway-Key"], arrived.body) == ("Zq8-a-key-of-ours", b"a secret")
