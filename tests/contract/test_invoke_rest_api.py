"""Airflow's API through InvokeRestApi: the same results as over HTTP, from real Airflows too.

The stand-in of Amazon MWAA relays to the scripted and the real Airflows. Only what the way itself
cannot carry differs.
"""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests

from dev.runner import ActionStep, Process
from entrypoint.airflow.client import Airflow, connect
from entrypoint.airflow.invoke_rest_api import InvokeRestApi
from entrypoint.airflow.transport import Transport
from entrypoint.auth.credentials import AirflowCredentials
from entrypoint.credentials import AwsKeys, Header, Mwaa, Secret, Tls
from entrypoint.deadline import Deadline
from entrypoint.errors import ActionError, DagNotFound, NotSupported
from entrypoint.http.aws import MWAA
from entrypoint.http.client import HttpClient
from entrypoint.models import RunRequest, XComName
from tests.contract.api import Api, Server, new_id
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.services import FakeMwaa, Tunnel, certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from entrypoint.http.response import Service

DEADLINE = Deadline(time.monotonic, inf, 60.0)
STEP = 240.0
"""Seconds for a step with a real Airflow."""
SUCCESS, SLOW, SALES = "quick_success", "slow_sales", "nightly_sales"


class Ways(NamedTuple):
    """The same Airflow over HTTP and through AWS."""

    http: Airflow
    aws: Airflow
    mwaa: FakeMwaa
    tunnel: Tunnel

    def agree(self, ask: Callable[[Airflow], Any]) -> Any:
        """Return the result that both give, whether it is a value or an error."""
        first, second = (_result(ask, airflow) for airflow in (self.http, self.aws))
        assert first == second
        return first


def _result(ask: Callable[[Airflow], Any], airflow: Airflow) -> Any:
    try:
        return ask(airflow)
    except ActionError as error:
        return type(error), error.title


@pytest.fixture(scope="module")
def ways(server: Server) -> Iterator[Ways]:
    tls = Tls(ca=certificates.trusted_ca().pem)
    with FakeMwaa(server, name="sales") as mwaa, Tunnel(mwaa.ports) as tunnel:  # type: ignore[arg-type]  # only relays
        keys = mwaa.api.keys
        own = AwsKeys(keys.access_key, Secret(keys.secret_key), Secret(keys.session_token))

        def client(service: Service) -> HttpClient:
            return HttpClient(service, tls)

        with (
            server.session() as session,
            pytest.MonkeyPatch.context() as patch,
        ):
            for name, text in (tunnel.environment | {"NO_PROXY": "127.0.0.1"}).items():
                patch.setenv(name, text)
            request = session.prepare_request(requests.Request("GET", server.url))
            header = Header(Secret(request.headers["Authorization"]))
            aws = Mwaa("sales", mwaa.region, own, "rest_api")
            ui_url = server.url
            transport = InvokeRestApi("sales", mwaa.region, client(MWAA), ui_url)
            yield Ways(
                _connected(Transport(server.url, HttpClient()), header),
                _connected(transport, aws, client),
                mwaa,
                tunnel,
            )


def _connected(transport: Transport, credential: Any, client: Any = HttpClient) -> Airflow:
    return connect(transport, AirflowCredentials(credential, lambda _: None, client), DEADLINE)


def test_the_version_decides_the_api(ways: Ways, server: Server) -> None:
    assert ways.aws.version == ways.http.version == server.version
    assert type(ways.aws) is type(ways.http)


def test_dags_are_the_same(ways: Ways) -> None:
    assert ways.agree(lambda airflow: airflow.get_dag(SUCCESS)).dag_id == SUCCESS
    assert ways.agree(lambda airflow: airflow.get_dag("missing"))[0] is DagNotFound
    assert len(ways.agree(lambda airflow: airflow.list_dags())) > 5
    assert len(ways.agree(lambda airflow: airflow.list_dags("smoke"))) == 1
    ways.agree(lambda airflow: airflow.dagrun_timeout("too_slow"))


def test_a_run_whose_path_is_too_long_is_found_or_missing_for_certain(
    ways: Ways, success: str
) -> None:
    assert len(f"/dags/{SUCCESS}/dagRuns/{success}") > 64
    assert ways.agree(lambda airflow: airflow.get_run(SUCCESS, success)).state == "success"
    assert ways.agree(lambda airflow: airflow.get_run(SUCCESS, success[:-1])) is None
    assert ways.agree(lambda airflow: airflow.get_run("missing", success)) is None
    assert ways.agree(lambda airflow: airflow.get_run(SUCCESS, "short")) is None


def test_task_instances_are_the_same(ways: Ways, sales: str) -> None:
    def listed(airflow: Airflow, **options: Any) -> Any:
        found = airflow.task_instances(SALES, sales, **options)
        return sorted(found.instances), found.total

    tasks, total = ways.agree(listed)
    assert len(tasks) == total == 5
    ways.agree(lambda airflow: listed(airflow, states=("success",)))
    ways.agree(lambda airflow: listed(airflow, states=("failed", "none")))
    assert ways.aws.task_instances(SALES, sales, most=0).total == total
    assert ways.aws.task_instances(SALES, sales, most=2).total == total


def test_lists_and_health_are_the_same(ways: Ways, admin: Api) -> None:
    key = SUCCESS, admin.ended(SUCCESS)
    assert ways.agree(lambda airflow: airflow.list_runs([key])).keys() == {key}
    ways.agree(lambda airflow: airflow.recent_durations(SUCCESS))
    ways.agree(lambda airflow: airflow.import_errors())
    ways.agree(lambda airflow: airflow.pool("tiny"))
    ways.agree(lambda airflow: airflow.pool("missing"))
    assert ways.agree(lambda airflow: airflow.health()).scheduler in (True, None)


@pytest.mark.parametrize("size", ["short", "long"])
def test_a_run_is_triggered_once_stopped_and_cleared(ways: Ways, admin: Api, size: str) -> None:
    """Before Airflow 3.3 a run with a long id cannot be stopped in this way."""
    run_id = new_id() if size == "long" else new_id()[:20]
    request = RunRequest(SLOW, run_id, {"seconds": 3}, note="through AWS")
    ways.aws.check(request)
    run = ways.aws.trigger(request)
    assert (run.run_id, run.conf, run.note) == (run_id, {"seconds": 3}, "through AWS")
    assert _result(lambda airflow: airflow.trigger(request), ways.aws) == _result(
        lambda airflow: airflow.trigger(request), ways.http
    )
    if size == "long" and admin.version == "2.11.2":
        with pytest.raises(NotSupported, match="cannot carry"):
            ways.aws.mark_failed(run)
        assert ways.http.mark_failed(run)
    else:
        stopped = ways.aws.mark_failed(run)
        assert stopped is not None
        assert (stopped.state, stopped.cancelled) == ("failed", True)
    unknown = run._replace(run_id=f"{run_id}-")
    if size == "short" or admin.version != "2.11.2":
        assert ways.aws.mark_failed(unknown) is None
    tasks = ways.aws.task_instances(SLOW, run_id).instances
    ways.aws.clear(SLOW, run_id, tasks, latest=False)
    found = ways.http.get_run(SLOW, run_id)
    assert found is not None
    assert not found.ended
    ways.http.mark_failed(found)


def test_what_aws_cannot_carry_is_one_error_each(ways: Ways, success: str) -> None:
    run = ways.http.get_run(SUCCESS, success)
    assert run is not None
    (task,) = ways.http.task_instances(SUCCESS, success).instances
    relayed = len(ways.mwaa.api.relayed)
    asks: tuple[Callable[[Airflow], Any], ...] = (
        lambda airflow: airflow.log(run, task, 10),
        lambda airflow: airflow.unmet_dependencies(run, task),
        lambda airflow: airflow.xcom(run, task.task_id, task.coordinates, "return_value", 100),
        lambda airflow: airflow.stream_states(run, 1, lambda _: True, 1, 1),
        lambda airflow: airflow.check(RunRequest("d" * 51, "r", {})),
        lambda airflow: airflow.check(
            RunRequest(SUCCESS, success, {}, xcoms=(XComName("t", "t", "k"),))
        ),
    )
    for ask in asks:
        with pytest.raises(NotSupported):
            ask(ways.aws)
    assert len(ways.mwaa.api.relayed) == relayed


def test_a_step_reports_a_failed_run_without_its_logs(ways: Ways, tmp_path: Path) -> None:
    """The whole action, with a DAG id that makes the path of its run too long."""
    inputs = {
        "mwaa_environment": ways.mwaa.name,
        "mwaa_access": "rest_api",
        "ca_certificate": certificates.trusted_ca().pem,
        "dag_id": "quick_failure",
        "poll_interval": "1",
    }
    env = ways.mwaa.environment | ways.tunnel.environment
    result = ActionStep(inputs, launcher=Process(), workspace=tmp_path, env=env).run(timeout=STEP)

    assert (result.exit_code, result.outputs["result"]) == (1, "failed"), result.log
    assert result.outputs["failed_tasks"] == '["fail"]'
    assert result.log.count("InvokeRestApi carries no task logs") == 1
    assert "InvokeRestApi carries no task logs" in result.summary


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_an_old_run_is_found_behind_many_newer_ones(
    version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 2 cannot filter by run id, so that pages are read until it is found."""
    name = "a_dag_with_a_name_that_is_rather_long"
    with FakeAirflow(version, dags=[FakeDag(name, polls=10_000)]) as fake:
        date = {"logical_date": None} if version == "3.3.2" else {}
        with fake.session() as session:
            for number in range(230):
                body = date | {"dag_run_id": f"a-run-with-a-rather-long-id-{number:03}"}
                if version == "2.11.2":
                    body["logical_date"] = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
                session.post(f"{fake.url}{fake.api}/dags/{name}/dagRuns", json=body, timeout=60)
        assert len(fake.runs(name)) == 230
        tls = Tls(ca=certificates.trusted_ca().pem)
        with FakeMwaa(fake) as mwaa, Tunnel(mwaa.ports) as tunnel:
            keys = mwaa.api.keys
            own = AwsKeys(keys.access_key, Secret(keys.secret_key), Secret(keys.session_token))
            monkeypatch.setenv("HTTPS_PROXY", tunnel.environment["HTTPS_PROXY"])
            airflow = _connected(
                InvokeRestApi(mwaa.name, mwaa.region, HttpClient(MWAA, tls)),
                Mwaa(mwaa.name, mwaa.region, own, "rest_api"),
                lambda service: HttpClient(service, tls),
            )
            before = len(mwaa.api.relayed)
            found = airflow.get_run(name, "a-run-with-a-rather-long-id-000")
            assert found is not None
            assert len(mwaa.api.relayed) - before == (3 if version == "2.11.2" else 1)
            assert airflow.get_run(name, "a-run-with-a-rather-long-id-999") is None
