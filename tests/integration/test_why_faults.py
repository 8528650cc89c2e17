"""The proxy of `make why` fails once, in the chosen way (real sockets)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from dev.why import faults
from dev.why.faults import FaultyProxy
from tests.support.fake_airflow import FakeAirflow, FakeDag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUNS = "/api/v2/dags/sales/dagRuns"


@pytest.fixture
def airflow() -> Iterator[FakeAirflow]:
    with FakeAirflow("3.3.2", dags=(FakeDag("sales", polls=1),)) as fake:
        yield fake


def caller(airflow: FakeAirflow, proxy: FaultyProxy) -> Callable[..., requests.Response]:
    token = f"Bearer {airflow.token('admin')}"

    def call(method: str, path: str, **body: object) -> requests.Response:
        headers = {"Authorization": token}
        url = f"{proxy.url}{path}"
        return requests.request(method, url, json=body or None, headers=headers, timeout=10)

    return call


@pytest.mark.parametrize("end", ["", "/wait?interval=1"])
def test_the_first_request_for_the_run_after_the_trigger_gets_502(
    airflow: FakeAirflow, end: str
) -> None:
    with FaultyProxy(airflow.url, "bad gateway") as proxy:
        call = caller(airflow, proxy)
        statuses = [
            call("GET", f"{RUNS}/r").status_code,
            call("POST", RUNS, dag_run_id="r", logical_date=None).status_code,
            *(call("GET", f"{RUNS}/r{end}").status_code for _ in range(2)),
        ]

    assert statuses == [404, 200, 502, 200]


def test_only_the_first_trigger_loses_its_response_and_airflow_has_both_runs(
    airflow: FakeAirflow,
) -> None:
    with FaultyProxy(airflow.url, "lost response") as proxy:
        call = caller(airflow, proxy)
        with pytest.raises(requests.ConnectionError):
            call("POST", RUNS, logical_date=None)
        assert call("POST", RUNS, logical_date=None).status_code == 200

    assert len(airflow.runs("sales")) == 2


def test_a_token_is_refused_some_time_after_its_first_use(
    airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(airflow.url, "expired token") as proxy:
        call = caller(airflow, proxy)
        assert call("GET", RUNS).status_code == 200
        monkeypatch.setattr(faults, "TOKEN_LIFE", -1.0)
        refused = call("GET", RUNS)
        public = requests.get(f"{proxy.url}/api/v2/version", timeout=10)

    assert (refused.status_code, refused.json()) == (401, {"detail": "Token Expired"})
    assert public.status_code == 200


def test_without_a_fault_everything_passes(airflow: FakeAirflow) -> None:
    with FaultyProxy(airflow.url, None) as proxy:
        call = caller(airflow, proxy)
        answer = call("POST", RUNS, dag_run_id="r", logical_date=None)
        direct = call("GET", f"{RUNS}/nobody")

    assert answer.json()["dag_run_id"] == "r"
    assert direct.status_code == 404
