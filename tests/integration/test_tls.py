"""TLS, always verified: private CAs, client certificates, and a job's environment that would like
to have a say.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.services import TokenEndpoint, Tunnel, bearer, certificates
from tests.support.step import run_step

if TYPE_CHECKING:
    from pathlib import Path

    from entrypoint.models import Outcome

PASSWORD = {"username": "user", "password": password_of("user"), "dag_id": "sales"}
NO_TRUST = "No trusted TLS connection to Airflow"


def served(tls: ssl.SSLContext | None) -> FakeAirflow:
    """An Airflow with these manners of TLS."""
    return FakeAirflow("3.3.2", dags=[FakeDag("sales", looks=2)], tls=tls)


def why(outcome: Outcome, title: str = NO_TRUST) -> str:
    """The evidence of the error with which a step ended before anything was sent."""
    assert outcome.result == "error"
    assert outcome.error is not None
    assert outcome.error.title == title
    return outcome.error.detail


@pytest.mark.parametrize(
    "authority", [certificates.private(), certificates.old_fashioned()], ids=["proper", "old"]
)
def test_a_private_ca(authority: certificates.Authority) -> None:
    """A CA that is given is trusted, also one as companies have them, without the extensions that
    Python asks for now.
    """
    with served(authority.server()) as fake:
        outcome = run_step(PASSWORD | {"airflow_url": fake.url, "ca_certificate": authority.pem})

        assert outcome.result == "success", outcome.error


def test_a_ca_in_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the path of a file in the workspace, with whatever else stands in there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text(
        f"# Größe: eine CA\n{certificates.stranger().pem}\n{certificates.private().pem}"
    )
    with served(certificates.private().server()) as fake:
        outcome = run_step(PASSWORD | {"airflow_url": fake.url, "ca_certificate": "ca.pem"})

        assert outcome.result == "success", outcome.error


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (certificates.stranger().server(), "unable to get local issuer certificate"),
        (certificates.private().server("airflow.example.com"), "IP address mismatch"),
    ],
    ids=["another CA", "another host"],
)
def test_no_trust(server: ssl.SSLContext, said: str) -> None:
    """Another CA's or another host's certificate ends the step before anything is sent, and the
    error says which it is.
    """
    with served(server) as fake:
        outcome = run_step(
            PASSWORD | {"airflow_url": fake.url, "ca_certificate": certificates.private().pem}
        )

        assert said in why(outcome)
        assert fake.record == []


def test_without_the_ca() -> None:
    """A private CA that nobody gave is not trusted."""
    with served(certificates.private().server()) as fake:
        assert "certificate" in why(run_step(PASSWORD | {"airflow_url": fake.url}))
        assert fake.record == []


def test_mutual_tls() -> None:
    """Every request shows the client certificate."""
    ca = certificates.private()
    pair = ca.client("gate")
    with served(ca.server(clients=ca)) as fake:
        own = {
            "client_certificate": pair.certificate,
            "client_key": pair.key,
            "ca_certificate": ca.pem,
        }
        outcome = run_step(PASSWORD | own | {"airflow_url": fake.url})

        assert outcome.result == "success", outcome.error
        assert {one.client for one in fake.record} == {"gate"}


@pytest.mark.parametrize("signed_by", [None, certificates.stranger()], ids=["none", "a stranger's"])
def test_the_wrong_client_certificate(signed_by: certificates.Authority | None) -> None:
    """A server that wants a client certificate, and gets none or another CA's, lets nothing
    through; the hint says what.
    """
    ca = certificates.private()
    pair = signed_by.client() if signed_by else None
    own = {"client_certificate": pair.certificate, "client_key": pair.key} if pair else {}
    with served(ca.server(clients=ca)) as fake:
        outcome = run_step(PASSWORD | own | {"airflow_url": fake.url, "ca_certificate": ca.pem})

        assert outcome.result == "error"
        assert outcome.error is not None
        assert "client_certificate" in outcome.error.hint
        assert fake.record == []


def test_the_client_certificate_is_shown_to_airflow_alone() -> None:
    """Who grants tokens does not see it, though it asks for one."""
    ca = certificates.private()
    pair = ca.client("gate")
    asking = ca.server(clients=ca)
    asking.verify_mode = ssl.CERT_OPTIONAL
    with (
        TokenEndpoint(tls=asking) as idp,
        FakeAirflow(
            "3.3.2", dags=[FakeDag("sales")], tls=ca.server(clients=ca), accept=bearer(idp.is_good)
        ) as fake,
    ):
        given = {
            "client_certificate": pair.certificate,
            "client_key": pair.key,
            "ca_certificate": ca.pem,
        }
        client = {
            "token_url": idp.url,
            "client_id": idp.client_id,
            "client_secret": idp.client_secret,
        }
        outcome = run_step(
            given
            | client
            | {"airflow_url": fake.url, "dag_id": "sales", "headers": "X-Key: Zq8-gateway"}
        )

        assert outcome.result == "success", outcome.error
        assert {one.client for one in fake.record} == {"gate"}
        assert {one.client for one in idp.record} == {""}
        assert {one.headers["X-Key"] for one in fake.record} == {"Zq8-gateway"}
        assert {one.headers["X-Key"] for one in idp.record} == {None}
        assert {one.headers["Authorization"] for one in idp.record} == {None}


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_does_not_choose_whom_to_trust(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA in the job's environment is not trusted; one that is given stays so beside it."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificates.stranger().pem)
    monkeypatch.setenv(variable, str(bundle))
    with served(certificates.stranger().server()) as fake:
        why(run_step(PASSWORD | {"airflow_url": fake.url}))
        assert fake.record == []
    with served(certificates.private().server()) as fake:
        outcome = run_step(
            PASSWORD | {"airflow_url": fake.url, "ca_certificate": certificates.private().pem}
        )
        assert outcome.result == "success", outcome.error


def test_netrc_does_not_choose_the_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in ~/.netrc, Airflow is shown what was given, and its login nothing."""
    (tmp_path / ".netrc").write_text("default login somebody password Zq8-somebody-else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with served(None) as fake:
        outcome = run_step(PASSWORD | {"airflow_url": fake.url})

        assert outcome.result == "success", outcome.error
        shown = {
            (one.headers["Authorization"] or "nothing").partition(" ")[0] for one in fake.record
        }
        assert shown == {"nothing", "Bearer"}


def test_a_proxy_sees_where_to_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through HTTPS_PROXY goes an encrypted connection: the proxy is shown neither credential nor
    header.
    """
    ca = certificates.private()
    with served(ca.server("airflow.example.com")) as fake:
        port = int(fake.url.rpartition(":")[2])
        with Tunnel({"airflow.example.com:443": port}) as tunnel:
            monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
            given = {
                "airflow_url": "https://airflow.example.com",
                "ca_certificate": ca.pem,
                "headers": "X-Key: Zq8-gateway",
            }
            outcome = run_step(PASSWORD | given)

            assert outcome.result == "success", outcome.error
            assert set(tunnel.targets) == {"airflow.example.com:443"}
            assert {name for one in tunnel.record for name in one.headers} & {
                "Authorization",
                "X-Key",
            } == set()
            assert {one.headers["X-Key"] for one in fake.record} == {"Zq8-gateway"}
