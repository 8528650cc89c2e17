"""Stand-ins in front of an Airflow: gateways, redirects and a tunnel for host names."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest
import requests

from tests.contract.services import SOON, ServiceClient, airflow
from tests.support.fake_airflow import FakeAirflow, Fault
from tests.support.services import (
    FakeGitHubOidc,
    Gateway,
    RedirectTrap,
    Tunnel,
    certificates,
    cloudflare_access,
    exactly,
    identity_aware_proxy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = "https://team.cloudflareaccess.com/cdn-cgi/access/login/airflow.example.com"
PAIR = {"CF-Access-Client-Id": "id.access", "CF-Access-Client-Secret": "a long client secret"}
KEY = "a raw API key without a scheme"


@pytest.fixture
def client(tmp_path: Path) -> ServiceClient:
    return ServiceClient(tmp_path)


@pytest.fixture(params=["2.11.2", "3.3.2"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    """An Airflow that accepts a raw key."""
    with airflow(request.param, accept=exactly(KEY)) as started:
        yield started


def test_cloudflare_access_needs_the_whole_service_token(
    client: ServiceClient, fake: FakeAirflow
) -> None:
    """Without it the response is a redirect to a login page. Airflow does not get the token."""
    with cloudflare_access(fake.url, *PAIR.values(), login=LOGIN) as gateway:
        half = {"CF-Access-Client-Id": PAIR["CF-Access-Client-Id"]}
        for wrong in ({}, half, PAIR | {"CF-Access-Client-Secret": "a wrong client secret"}):
            answer = client.get_dag(fake, wrong | {"Authorization": KEY}, gateway.url)
            assert (answer.status_code, answer.headers["Location"]) == (302, LOGIN)
        assert fake.record == []
        answer = client.trigger(fake, PAIR | {"Authorization": KEY}, gateway.url)
        assert (answer.status_code, len(fake.runs("d"))) == (200, 1)
        assert client.trigger(fake, PAIR, gateway.url).status_code == (
            403 if fake.version == "2.11.2" else 401
        )
        assert not [
            name for one in fake.record for name in one.headers if name.lower().startswith("cf-")
        ]
        assert [one.status for one in gateway.record] == [
            302,
            302,
            302,
            200,
            fake.record[-1].status,
        ]


def test_identity_aware_proxy_needs_its_own_token(client: ServiceClient, fake: FakeAirflow) -> None:
    """It removes that token, and answers with a page if it is missing."""
    with FakeGitHubOidc() as oidc:
        token = oidc.issue("iap")

        def good(value: str) -> bool:
            return oidc.is_good(value.removeprefix("Bearer "), "iap")

        with identity_aware_proxy(fake.url, good) as gateway:
            answer = client.get_dag(fake, {"Authorization": KEY}, gateway.url)
            assert (answer.status_code, answer.headers["Content-Type"]) == (
                401,
                "text/html; charset=utf-8",
            )
            assert (
                client.get_dag(fake, {"Proxy-Authorization": "Bearer x"}, gateway.url).status_code
                == 401
            )
            assert fake.record == []
            both = {"Authorization": KEY, "Proxy-Authorization": f"Bearer {token}"}
            assert client.get_dag(fake, both, gateway.url).status_code == 200
            assert [one.headers["Proxy-Authorization"] for one in fake.record] == [None]


def test_a_gateway_terminates_tls_and_mutual_tls(client: ServiceClient, fake: FakeAirflow) -> None:
    tls = certificates.trusted_ca().server("127.0.0.1")
    with Gateway(fake.url, tls=tls) as gateway:
        assert gateway.url.startswith("https://")
        assert client.get_dag(fake, {"Authorization": KEY}, gateway.url).status_code == 200
        gateway.fail_requests(Fault.HTML_502, on=("GET", "/dags/d"), when="before")
        assert client.get_dag(fake, {"Authorization": KEY}, gateway.url).status_code == 502
        assert len(fake.record) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_reaches_the_client_only(
    client: ServiceClient, fake: FakeAirflow, status: Literal[301, 302, 303, 307, 308]
) -> None:
    """The target gets a request only if the client follows."""
    with Gateway(fake.url) as gateway, RedirectTrap() as trap:
        gateway.redirect(status, f"{trap.url}/elsewhere")
        answer = client.trigger(fake, {"Authorization": KEY}, gateway.url)
        assert (answer.status_code, answer.headers["Location"]) == (status, f"{trap.url}/elsewhere")
        assert (fake.record, trap.record, trap.connections) == ([], [], 0)


def test_a_redirect_applies_to_chosen_requests_for_a_limited_time(
    client: ServiceClient, fake: FakeAirflow
) -> None:
    """It may hide that the request took effect."""
    with Gateway(fake.url) as gateway:
        gateway.redirect(
            302, "https://login.example.com", on=("POST", "/dagRuns"), when="after", times=1
        )
        headers = {"Authorization": KEY}
        assert client.get_dag(fake, headers, gateway.url).status_code == 200
        assert client.trigger(fake, headers, gateway.url).status_code == 302
        assert len(fake.runs("d")) == 1
        assert client.trigger(fake, headers, gateway.url).status_code in {200, 409}


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("kind", ["host", "port", "scheme"])
def test_a_client_that_follows_to_another_origin_leaks_its_headers(
    client: ServiceClient, kind: str, status: Literal[302, 307]
) -> None:
    """With 307 the body as well."""
    tls = certificates.trusted_ca().server("127.0.0.1", "localhost")
    host = "localhost" if kind == "host" else "127.0.0.1"
    with (
        RedirectTrap(tls=None if kind == "scheme" else tls, host=host) as trap,
        Gateway(trap.url, tls=tls) as gateway,
    ):
        gateway.redirect(status, f"{trap.url}/x")
        answer = client(
            "POST",
            f"{gateway.url}/y",
            data=b"a body",
            headers={"X-Api-Key": KEY},
            allow_redirects=True,
        )
        assert answer.json()["state"] == "success"
        (caught,) = trap.record
        assert (caught.headers["X-Api-Key"], caught.path) == (KEY, "/x")
        assert (caught.method, caught.body) == (
            ("POST", b"a body") if status == 307 else ("GET", b"")
        )
        assert trap.connections == 1


def test_the_redirect_target_counts_connections_without_a_request() -> None:
    with RedirectTrap() as trap:
        address = urlsplit(trap.url)
        socket.create_connection((address.hostname, address.port), timeout=SOON).close()
        deadline = time.monotonic() + SOON
        while trap.connections != 1:
            assert time.monotonic() < deadline, "no connection was recorded"
            time.sleep(0.001)
        assert trap.record == []


@pytest.fixture
def host() -> str:
    """A public host name."""
    return "airflow.example.com"


def test_a_public_host_name_is_reached_through_the_tunnel(tmp_path: Path, host: str) -> None:
    """With TLS from end to end; the tunnel records the name."""
    with (
        airflow("3.3.2", tls=certificates.trusted_ca().server(host)) as fake,
        Tunnel({f"{host}:443": urlsplit(fake.url).port or 0}) as tunnel,
    ):
        client = ServiceClient(tmp_path, proxy=tunnel.environment["HTTPS_PROXY"])
        assert client("GET", f"https://{host}/api/v2/version").json()["version"] == "3.3.2"
        assert tunnel.targets == [f"{host}:443"]
        assert [one.headers["Host"] for one in fake.record] == [host]
        with pytest.raises(requests.exceptions.SSLError):
            ServiceClient(tmp_path, trusts=certificates.untrusted_ca().pem, proxy=tunnel.url)(
                "GET", f"https://{host}/api/v2/version"
            )


def test_the_tunnel_refuses_other_names_and_ports(tmp_path: Path, host: str) -> None:
    """With 403; 502 if the target is down, 405 for a request that needs no tunnel."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with Tunnel({f"{host}:443": closed.getsockname()[1]}) as tunnel:
            client = ServiceClient(tmp_path, proxy=tunnel.url)
            for url, status in (
                (f"https://{host}:8443/", 403),
                ("https://example.org/", 403),
                (f"https://{host}/", 502),
            ):
                with pytest.raises(requests.exceptions.ProxyError, match=str(status)):
                    client("GET", url)
            assert tunnel.targets == [f"{host}:8443", "example.org:443", f"{host}:443"]
            assert client("GET", tunnel.url).status_code == 405


def test_the_tunnel_carries_large_bodies_and_closes_with_its_target(
    tmp_path: Path, host: str
) -> None:
    with (
        RedirectTrap(tls=certificates.trusted_ca().server(host)) as server,
        Tunnel({f"{host}:443": server.port}) as tunnel,
    ):
        client, body = ServiceClient(tmp_path, proxy=tunnel.url), b"0123456789abcdef" * 100_000
        server.echo(200, "text/plain")
        assert client("POST", f"https://{host}/", data=body).content.endswith(body)
        server.fault(Fault.RESET)
        with pytest.raises(requests.exceptions.ConnectionError):
            client("GET", f"https://{host}/")
