"""No credential and no header follows a redirect to another host, port or scheme."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import pytest
import requests

from tests.integration.scenarios import AUTH_SCENARIOS
from tests.support.fake_airflow import FakeAirflow, FakeDag, Version
from tests.support.services import (
    FakeGitHubOidc,
    FakeMwaa,
    FakeTokenEndpoint,
    Gateway,
    RedirectTrap,
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
    "first poll": ("GET", "/dagRuns/*"),
}
every_status = pytest.mark.parametrize("status", STATUSES)


@dataclass(frozen=True)
class RedirectTargets:
    """Servers to redirect to, each of which responds like a real one."""

    traps: dict[str, RedirectTrap]

    def url(self, target: str) -> str:
        host = "localhost" if target == "host" else "127.0.0.1"
        trap = self.traps[target]
        return f"{trap.origin.partition(':')[0]}://{host}:{trap.port}/api/v2/version"

    @property
    def connections(self) -> int:
        """How many connections the targets got."""
        return sum(trap.connections for trap in self.traps.values())


@pytest.fixture
def targets() -> Iterator[RedirectTargets]:
    """A redirect target on another host, another port and another scheme."""
    with ExitStack() as stack:
        tls = certificates.trusted_ca().server()
        traps = {"host": RedirectTrap(), "port": RedirectTrap(), "scheme": RedirectTrap(tls=tls)}
        yield RedirectTargets({name: stack.enter_context(trap) for name, trap in traps.items()})


@contextmanager
def airflow(version: Version) -> Iterator[tuple[FakeAirflow, dict[str, str]]]:
    """An Airflow, and inputs with a password, headers, and the CA of every target."""
    with FakeAirflow(version, dags=[FakeDag("sales", polls=2)]) as fake:
        with AUTH_SCENARIOS["airflow-3" if version == "3.3.2" else "airflow-2"]("user") as scenario:
            inputs = scenario.inputs
        yield (
            fake,
            inputs
            | {
                "dag_id": "sales",
                "headers": HEADERS,
                "ca_certificate": certificates.trusted_ca().pem,
            },
        )


def error_title(outcome: Outcome) -> str:
    assert outcome.result == "error"
    assert outcome.error is not None
    return outcome.error.title


@pytest.mark.parametrize("version", get_args(Version))
@pytest.mark.parametrize("target", ["host", "port", "scheme"])
@every_status
def test_a_redirect_of_airflow_before_or_at_the_trigger_is_an_error(
    version: Version, status: Any, target: str, targets: RedirectTargets
) -> None:
    with airflow(version) as (fake, inputs):
        for on in BEFORE_THE_TRIGGER.values():
            if version == "2.11.2" and on[0] == "POST":
                continue
            with Gateway(fake.url) as gateway:
                gateway.redirect(status, targets.url(target), on=on)
                assert (
                    error_title(run_step(inputs | {"airflow_url": gateway.url}))
                    == "Airflow's address redirects"
                )
        with Gateway(fake.url) as gateway:
            gateway.redirect(status, targets.url(target), on=("POST", "/dagRuns"))
            outcome = run_step(inputs | {"airflow_url": gateway.url, "timeout": "60"})
            assert outcome.result == "error"
        assert fake.runs("sales") == []
    assert targets.connections == 0


@pytest.mark.parametrize("target", ["host", "port", "scheme"])
@every_status
def test_a_redirect_of_airflow_while_waiting_is_retried(
    status: Any, target: str, targets: RedirectTargets
) -> None:
    with airflow("3.3.2") as (fake, inputs), Gateway(fake.url) as gateway:
        time = VirtualTime()

        def redirect_after_trigger(_: float) -> None:
            gateway.redirect(status, targets.url(target), times=3)
            time.on_sleep = lambda _: None

        time.on_sleep = redirect_after_trigger  # the first sleep comes after the trigger
        outcome = run_step(inputs | {"airflow_url": gateway.url}, time=time, hang=1)

        assert (outcome.result, outcome.retries) == ("success", 3)
        assert [run.state for run in fake.runs("sales")] == ["success"]
    assert targets.connections == 0


@pytest.mark.parametrize("target", ["host", "port", "scheme"])
@every_status
def test_a_redirect_of_token_url_is_not_followed(
    status: Any, target: str, targets: RedirectTargets
) -> None:
    with (
        FakeTokenEndpoint() as idp,
        FakeAirflow("3.3.2", dags=[FakeDag("sales")], accept=bearer(idp.is_good)) as fake,
    ):
        idp.redirect(status, targets.url(target))
        inputs = {
            "airflow_url": fake.url,
            "dag_id": "sales",
            "ca_certificate": certificates.trusted_ca().pem,
        }
        client = {
            "token_url": idp.url,
            "client_id": idp.client_id,
            "client_secret": idp.client_secret,
        }

        assert error_title(run_step(inputs | client)) == "The identity provider redirects"
        assert fake.record == []
    assert targets.connections == 0


@every_status
def test_a_redirect_of_the_oidc_service_is_not_followed(
    status: Any, targets: RedirectTargets
) -> None:
    with FakeGitHubOidc() as github, FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        github.redirect(status, targets.url("port"))
        inputs = {
            "airflow_url": fake.url,
            "dag_id": "sales",
            "oidc_audience": "https://airflow.example.com",
        }

        assert (
            error_title(run_step(inputs, github.environment)) == "GitHub's OIDC service redirects"
        )
        assert fake.record == []
    assert targets.connections == 0


@pytest.mark.parametrize("service", ["api", "web"])
@every_status
def test_a_redirect_of_mwaa_is_not_followed(
    status: Any, service: str, targets: RedirectTargets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the login's own redirect to /home."""
    with (
        FakeAirflow("2.11.2", dags=[FakeDag("sales")]) as fake,
        FakeMwaa(fake) as mwaa,
        Tunnel(mwaa.ports) as tunnel,
    ):
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        {"api": mwaa.api, "web": mwaa.web}[service].redirect(status, targets.url("scheme"))
        inputs = {
            "mwaa_environment": mwaa.name,
            "dag_id": "sales",
            "ca_certificate": certificates.trusted_ca().pem,
        }

        error_title(run_step(inputs, mwaa.environment))
        assert fake.record == []
    assert targets.connections == 0


@pytest.mark.parametrize(
    "host", ["airflow.example.com", "amazonaws.com.example.com", "127.0.0.1", "xamazonaws.com"]
)
def test_a_web_server_outside_amazon_gets_no_connection(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake,
        FakeMwaa(fake) as mwaa,
        Tunnel(mwaa.ports) as tunnel,
    ):
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        monkeypatch.setattr(mwaa.api, "_web_host", host)
        inputs = {
            "mwaa_environment": mwaa.name,
            "dag_id": "sales",
            "ca_certificate": certificates.trusted_ca().pem,
        }

        assert (
            error_title(run_step(inputs, mwaa.environment))
            == "Amazon MWAA returned no valid web server"
        )
        assert set(tunnel.targets) == {f"{mwaa.api.host}:443"}


def test_the_targets_record_a_client_that_follows_redirects(targets: RedirectTargets) -> None:
    """Without this test the others could pass for targets that record nothing."""
    with FakeAirflow("3.3.2", dags=[]) as fake, Gateway(fake.url) as gateway:
        gateway.redirect(307, targets.url("port"))
        requests.post(
            gateway.url, data="a secret", headers={"X-Gateway-Key": "Zq8-a-key-of-ours"}, timeout=10
        )

    (connections,) = targets.traps["port"].record
    assert (connections.headers["X-Gateway-Key"], connections.body) == (
        "Zq8-a-key-of-ours",
        b"a secret",
    )
