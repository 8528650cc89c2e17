"""native/ with Kerberos tickets, against a real Airflow 2 whose only API backend is Kerberos'."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.airflow import AIRFLOW_2
from dev.runner import ActionStep
from tests.airflow.job import TIMEOUT, post, the_run, verdict
from tests.support.file import native_launcher
from tests.support.kdc import HOST, REALM, Kdc, client_python, server_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow import LocalAirflow

BACKEND = "airflow.providers.fab.auth_manager.api.auth.backend.kerberos_auth"
# The backend calls its service airflow@<name of the machine>; a real server's DNS knows that name.
CONFIG = f"""
AUTH_ROLE_PUBLIC = None
import airflow.utils.net
airflow.utils.net.getfqdn = lambda name="": "{HOST}"
"""
SHORT = 15
"""Seconds of a ticket that expires while the step waits."""


@pytest.fixture(scope="session")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    """A KDC. Of its users, mallory is none of Airflow."""
    folder = tmp_path_factory.mktemp("kdc")
    with Kdc(folder, ("alice", "carol", "mallory"), ("airflow",)) as started:
        yield started


@pytest.fixture(scope="session")
def url(
    airflow_2: LocalAirflow, kdc: Kdc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Airflow's base URL with the host name of its principal."""
    config = tmp_path_factory.mktemp("config") / "webserver_config.py"
    config.write_text(CONFIG)
    for name in ("alice", "carol"):
        user = {"username": f"{name}@{REALM}", "email": f"{name}@example.com", "password": "unused"}
        names = {"first_name": name, "last_name": name, "roles": [{"name": "User"}]}
        post(airflow_2, "/users", user | names)
    airflow_2.wait_for_dag("slow_sales")
    settings = {
        "AIRFLOW__API__AUTH_BACKENDS": BACKEND,
        "AIRFLOW__KERBEROS__KEYTAB": str(kdc.keytab),
        "AIRFLOW__WEBSERVER__CONFIG_FILE": str(config),
        "PYTHONPATH": str(server_packages(AIRFLOW_2)),
        **kdc.env,
    }
    with airflow_2.extra_server(settings) as server:
        yield server.url.replace("127.0.0.1", HOST)


def step_of(
    url: str, file: Path, workspace: Path, env: dict[str, str], **inputs: str
) -> ActionStep:
    """Return a step that has only a ticket."""
    launcher = native_launcher(file, path=str(Path(client_python()).parent))
    given = {"airflow_url": url, "kerberos": "true", "dag_id": "slow_sales"} | inputs
    return ActionStep(given, launcher=launcher, workspace=workspace, env=env)


def test_a_step_with_a_ticket_passes_and_each_request_has_a_token_of_its_own(
    url: str, kdc: Kdc, file: Path, tmp_path: Path
) -> None:
    """All tokens are masked."""
    conf = '{"seconds": 5}'
    result = step_of(url, file, tmp_path, kdc.tickets("alice"), conf=conf).run(timeout=TIMEOUT)

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert len(result.masks) >= 5
    assert all(mask.startswith("YII") for mask in result.masks - {"ghs_replayed"})


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("", ("There is no Kerberos ticket", "No Kerberos credentials available")),
        ("mallory", ("Airflow refused the credential", f"a user with the name mallory@{REALM}")),
    ],
)
def test_without_a_ticket_or_a_user_nothing_is_triggered(  # noqa: PLR0917 - fixtures
    url: str,
    kdc: Kdc,
    airflow_2: LocalAirflow,
    file: Path,
    tmp_path: Path,
    user: str,
    said: tuple[str, str],
) -> None:
    env = kdc.tickets(user) if user else {**kdc.env, "KRB5CCNAME": f"FILE:{tmp_path}/none"}
    before = len(airflow_2.runs("slow_sales"))
    result = step_of(url, file, tmp_path, env).run(timeout=TIMEOUT)

    assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
    assert verdict(result).startswith(f"{said[0]}: "), result.log
    assert said[1] in verdict(result)
    assert len(airflow_2.runs("slow_sales")) == before


def test_a_service_that_kerberos_does_not_know_is_an_error(
    url: str, kdc: Kdc, file: Path, tmp_path: Path
) -> None:
    """As with an address, or an alias that has no keytab."""
    address = url.replace(HOST, "127.0.0.1")
    result = step_of(address, file, tmp_path, kdc.tickets("alice")).run(timeout=TIMEOUT)

    assert verdict(result).startswith("Kerberos gives no ticket for Airflow: "), result.log
    assert "not found in Kerberos database" in verdict(result)


def test_a_ticket_that_expires_during_the_wait_never_stops_the_run(
    url: str, kdc: Kdc, airflow_2: LocalAirflow, file: Path, tmp_path: Path
) -> None:
    """Renewed in time, the step goes on; otherwise it fails after a minute, and the run goes on."""
    steps, ids = {}, {user: f"{user}-{secrets.token_hex(4)}" for user in ("alice", "carol")}
    for user, run_id in ids.items():
        (tmp_path / user).mkdir()
        inputs = {"run_id": run_id, "conf": '{"seconds": 600}', "poll_interval": "1"}
        steps[user] = step_of(url, file, tmp_path / user, kdc.tickets(user, SHORT), **inputs)

    def state(user: str) -> str:
        return str(the_run(airflow_2, "slow_sales", ids[user])["state"])

    with steps["alice"].start() as alice, steps["carol"].start() as carol:
        for running in (alice, carol):
            running.wait_for("The Kerberos ticket has expired", TIMEOUT)
        kdc.tickets("carol")
        result = alice.wait(TIMEOUT)
        assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
        assert verdict(result).startswith("The Kerberos ticket has expired: "), result.log
        assert steps["alice"].run("post").raw == ""
        assert (state("alice"), state("carol")) == ("running", "running")

        cancelled = carol.cancel()
    assert cancelled.outputs["result"] == "cancelled", cancelled.log
    assert steps["carol"].run("post").exit_code == 0
    assert (state("alice"), state("carol")) == ("running", "failed")
