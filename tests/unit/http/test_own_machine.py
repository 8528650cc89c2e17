"""Addresses that mean the container of the step, and not the runner."""

import pytest

from entrypoint import form
from entrypoint.http.own_machine import is_own_machine, reach_advice


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *((host, True) for host in ("localhost", "localhost.localdomain", "airflow.localhost")),
        *((host, True) for host in ("127.0.0.1", "127.8.0.9", "0", "127.1", "2130706433")),
        *((host, True) for host in ("::1", "::", "::ffff:127.0.0.1", "0x7f.1", "ip6-localhost")),
        *((host, False) for host in ("localhost.example.com", "mylocalhost", "airflow", "")),
        *((host, False) for host in ("10.0.0.1", "172.17.0.1", "2001:db8::1", "::ffff:10.0.0.1")),
        *((host, False) for host in ("host.docker.internal", "a\0b", "1e400", "bücher")),
    ],
)
def test_loopback_is_the_machine_itself_in_any_notation(host: str, own: bool) -> None:
    assert is_own_machine(host) is own


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://LOCALHOST:8080/a", "localhost"),
        ("http://localhost.:8080", "localhost"),
        ("http://[::1]:8080", "::1"),
        ("http://0.0.0.0", "0.0.0.0"),  # noqa: S104 - nothing listens there
        ("http://host.docker.internal:8080", "host.docker.internal"),
        ("http://gateway.docker.internal", "gateway.docker.internal"),
        ("http://host.containers.internal", "host.containers.internal"),
        ("http://airflow:8080", None),
        ("https://internal", None),
        ("https://airflow.example.com/localhost", None),
    ],
)
def test_advice_names_the_address_and_the_ways_to_a_service_and_to_the_runner(
    url: str, named: str | None
) -> None:
    advice = reach_advice(url)

    assert advice.startswith(f"Give another address than {named}") is (named is not None)
    assert [word in advice for word in ("`services`", "the runner's address")] == [bool(named)] * 2


@pytest.mark.parametrize(
    ("host", "advised"), [("127.0.0.1", False), ("host.docker.internal", True)]
)
def test_without_docker_localhost_is_the_runner(
    monkeypatch: pytest.MonkeyPatch, host: str, advised: bool
) -> None:
    monkeypatch.setattr(form, "FROM_FILE", True)

    assert bool(reach_advice(f"http://{host}:8080")) is advised
