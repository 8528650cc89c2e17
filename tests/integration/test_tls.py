"""TLS is always verified: private CAs, client certificates, and a hostile job environment."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.services import FakeTokenEndpoint, Tunnel, bearer, certificates
from tests.support.step import run_step

if TYPE_CHECKING:
    from pathlib import Path

    from entrypoint.models import Outcome

LOGIN = {"username": "user", "password": password_of("user"), "dag_id": "sales"}
NO_TRUSTED_TLS = "No trusted TLS connection to Airflow"


def airflow_with_tls(tls: ssl.SSLContext | None) -> FakeAirflow:
    return FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=2)], tls=tls)


def error_detail(outcome: Outcome, title: str = NO_TRUSTED_TLS) -> str:
    assert outcome.result == "error"
    assert outcome.error is not None
    assert outcome.error.title == title
    return outcome.error.detail


@pytest.mark.parametrize(
    "authority",
    [certificates.trusted_ca(), certificates.ca_without_key_usage()],
    ids=["proper", "old"],
)
def test_a_given_private_ca_is_trusted(authority: certificates.CertificateAuthority) -> None:
    """Companies have CAs without the extensions that Python requires by default now."""
    with airflow_with_tls(authority.server()) as fake:
        outcome = run_step(LOGIN | {"airflow_url": fake.url, "ca_certificate": authority.pem})

        assert outcome.result == "success", outcome.error


def test_ca_certificate_may_be_a_file_with_several_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text(
        f"# Größe: eine CA\n{certificates.untrusted_ca().pem}\n{certificates.trusted_ca().pem}"
    )
    with airflow_with_tls(certificates.trusted_ca().server()) as fake:
        outcome = run_step(LOGIN | {"airflow_url": fake.url, "ca_certificate": "ca.pem"})

        assert outcome.result == "success", outcome.error


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (certificates.untrusted_ca().server(), "unable to get local issuer certificate"),
        (certificates.trusted_ca().server("airflow.example.com"), "IP address mismatch"),
    ],
    ids=["another CA", "another host"],
)
def test_a_wrong_certificate_ends_the_step_before_anything_is_sent(
    server: ssl.SSLContext, message: str
) -> None:
    with airflow_with_tls(server) as fake:
        outcome = run_step(
            LOGIN | {"airflow_url": fake.url, "ca_certificate": certificates.trusted_ca().pem}
        )

        assert message in error_detail(outcome)
        assert fake.record == []


def test_a_private_ca_is_not_trusted_by_default() -> None:
    with airflow_with_tls(certificates.trusted_ca().server()) as fake:
        assert "certificate" in error_detail(run_step(LOGIN | {"airflow_url": fake.url}))
        assert fake.record == []


def test_every_request_has_the_client_certificate() -> None:
    ca = certificates.trusted_ca()
    pair = ca.client("action")
    with airflow_with_tls(ca.server(clients=ca)) as fake:
        client_inputs = {
            "client_certificate": pair.certificate,
            "client_key": pair.key,
            "ca_certificate": ca.pem,
        }
        outcome = run_step(LOGIN | client_inputs | {"airflow_url": fake.url})

        assert outcome.result == "success", outcome.error
        assert {one.client for one in fake.record} == {"action"}


@pytest.mark.parametrize(
    "signed_by", [None, certificates.untrusted_ca()], ids=["none", "a stranger's"]
)
def test_a_missing_or_wrong_client_certificate_is_named_in_the_hint(
    signed_by: certificates.CertificateAuthority | None,
) -> None:
    ca = certificates.trusted_ca()
    pair = signed_by.client() if signed_by else None
    client_inputs = {"client_certificate": pair.certificate, "client_key": pair.key} if pair else {}
    with airflow_with_tls(ca.server(clients=ca)) as fake:
        outcome = run_step(
            LOGIN | client_inputs | {"airflow_url": fake.url, "ca_certificate": ca.pem}
        )

        assert outcome.result == "error"
        assert outcome.error is not None
        assert "client_certificate" in outcome.error.hint
        assert fake.record == []


def test_the_client_certificate_is_sent_only_to_airflow() -> None:
    """The token endpoint requests one too."""
    ca = certificates.trusted_ca()
    pair = ca.client("action")
    tls = ca.server(clients=ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    with (
        FakeTokenEndpoint(tls=tls) as idp,
        FakeAirflow(
            "3.3.2", dags=[FakeDag("sales")], tls=ca.server(clients=ca), accept=bearer(idp.is_good)
        ) as fake,
    ):
        inputs = {
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
            inputs
            | client
            | {"airflow_url": fake.url, "dag_id": "sales", "headers": "X-Key: Zq8-gateway"}
        )

        assert outcome.result == "success", outcome.error
        assert {one.client for one in fake.record} == {"action"}
        assert {one.client for one in idp.record} == {""}
        assert {one.headers["X-Key"] for one in fake.record} == {"Zq8-gateway"}
        assert {one.headers["X-Key"] for one in idp.record} == {None}
        assert {one.headers["Authorization"] for one in idp.record} == {None}


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_in_the_environment_is_not_trusted(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not replace the given CA either."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificates.untrusted_ca().pem)
    monkeypatch.setenv(variable, str(bundle))
    with airflow_with_tls(certificates.untrusted_ca().server()) as fake:
        error_detail(run_step(LOGIN | {"airflow_url": fake.url}))
        assert fake.record == []
    with airflow_with_tls(certificates.trusted_ca().server()) as fake:
        outcome = run_step(
            LOGIN | {"airflow_url": fake.url, "ca_certificate": certificates.trusted_ca().pem}
        )
        assert outcome.result == "success", outcome.error


def test_netrc_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login other password Zq8-other-user\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with airflow_with_tls(None) as fake:
        outcome = run_step(LOGIN | {"airflow_url": fake.url})

        assert outcome.result == "success", outcome.error
        schemes = {
            (one.headers["Authorization"] or "nothing").partition(" ")[0] for one in fake.record
        }
        assert schemes == {"nothing", "Bearer"}


def test_a_proxy_sees_only_the_target_host(monkeypatch: pytest.MonkeyPatch) -> None:
    ca = certificates.trusted_ca()
    with airflow_with_tls(ca.server("airflow.example.com")) as fake:
        port = int(fake.url.rpartition(":")[2])
        with Tunnel({"airflow.example.com:443": port}) as tunnel:
            monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
            inputs = {
                "airflow_url": "https://airflow.example.com",
                "ca_certificate": ca.pem,
                "headers": "X-Key: Zq8-gateway",
            }
            outcome = run_step(LOGIN | inputs)

            assert outcome.result == "success", outcome.error
            assert set(tunnel.targets) == {"airflow.example.com:443"}
            assert {name for one in tunnel.record for name in one.headers} & {
                "Authorization",
                "X-Key",
            } == set()
            assert {one.headers["X-Key"] for one in fake.record} == {"Zq8-gateway"}
