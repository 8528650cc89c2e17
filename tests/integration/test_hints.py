"""Steps that people write in good faith: they work, or the error says what to do instead."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import pytest

from dev.airflow_settings import password_of
from dev.runner import ActionStep, Process
from entrypoint.errors import InvalidInputs
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Version, tokens
from tests.support.fake_airflow.v1 import trigger as v1_trigger
from tests.support.fake_airflow.v2 import trigger as v2_trigger
from tests.support.step import admin_inputs, run_against, run_step, run_whole_step
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dev.runner.launch import Host, Launch, Stage
    from dev.runner.metadata import Metadata

COLON = "team:deploy"


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales")]) as running:
        yield running


def test_a_user_name_may_have_a_colon_where_it_is_no_http_basic(
    fake: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3 takes it as JSON. Airflow 2 gets no credential."""
    monkeypatch.setitem(tokens.USERS, COLON, "user")
    outcome = run_against(fake, username=COLON, password=password_of(COLON))

    if fake.version.startswith("3"):
        assert (outcome.result, len(fake.runs("sales"))) == ("success", 1)
        return
    assert outcome.error is not None
    assert outcome.error.title == "HTTP Basic allows no colon in a user name"
    assert fake.runs("sales") == []
    assert [one for one in fake.record if "Authorization" in one.headers] == []


def test_a_host_name_may_have_characters_beyond_ascii(fake: FakeAirflow) -> None:
    """These are the full-width letters of localhost."""
    url = fake.url.replace("127.0.0.1", "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54")
    outcome = run_against(fake, airflow_url=url)

    assert outcome.result == "success"
    assert (outcome.run_url or "").startswith(f"{fake.url.replace('127.0.0.1', 'localhost')}/")


@pytest.mark.parametrize(
    ("size", "lines", "notices"),
    [(65_536, 0, 0), (65_537, 0, 1), (65_537, 3, 1), (1_000_000, 0, 1), (1_000_001, 0, None)],
)
def test_a_large_conf_is_a_notice_and_a_larger_one_is_refused(
    capsys: pytest.CaptureFixture[str], size: int, lines: int, notices: int | None
) -> None:
    """A notice names the size once, whether it is that of one DAG or of several."""
    conf = json.dumps({"a": "x" * (size - len('{"a": ""}'))})
    dags = [f"d{number}" for number in range(max(lines, 1))]
    with FakeAirflow("3.3.2", dags=[FakeDag(name) for name in dags]) as fake:
        several = {"dag_id": "", "dags": "\n".join(f"{name} {conf}" for name in dags)}
        given = admin_inputs(fake) | (several if lines else {"dag_id": "d0", "conf": conf})
        if notices is None:
            with pytest.raises(InvalidInputs, match="reference to it in the conf"):
                run_whole_step(given)
            assert fake.record == []
            return
        assert run_whole_step(given).result == "success"
        assert [len(fake.runs(name)) for name in dags] == [1] * len(dags)
    out = capsys.readouterr().out
    assert out.count("::notice title=The conf is large") == notices
    assert out.count(f"It has {size:,} bytes") == notices


@pytest.mark.parametrize(("failed", "good"), [(21, 20), (20, 21)])
@pytest.mark.parametrize("logs", ["all", "failed"])
def test_a_limit_of_logs_is_told_where_it_leaves_some_out(
    capsys: pytest.CaptureFixture[str], failed: int, good: int, logs: str
) -> None:
    tasks = [FakeTask(f"bad{one}", ends="failed") for one in range(failed)]
    tasks += [FakeTask(f"good{one}") for one in range(good)]
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", tasks=tuple(tasks), ends="failed")]) as fake:
        run_against(fake, logs=logs)
    out = capsys.readouterr().out

    assert ("Of 21 failed task instances, only the first 20 logs are read" in out) is (failed > 20)
    told = "logs: all shows only the first 20 logs of the 21 task instances" in out
    assert told is (logs == "all" and good > 20)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "host.docker.internal"])
def test_an_address_of_the_container_itself_is_named_if_nothing_answers(host: str) -> None:
    """Port 9 is that of the discard service, which no machine offers."""
    given = {"airflow_url": f"http://{host}:9", "token": "t-0-k-3-n", "dag_id": "sales"}
    outcome = run_step(given, time=VirtualTime())

    assert outcome.error is not None
    assert outcome.error.title == "Airflow does not answer"
    assert outcome.error.hint.startswith(f"Give another address than {host.strip('[]')}")


def test_a_run_id_that_airflow_does_not_allow_leads_to_its_setting(
    fake: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3 quotes its pattern. Airflow 2 answers 500 and no reason."""
    for trigger in (v1_trigger, v2_trigger):
        monkeypatch.setattr(trigger, "PATTERN", r"^deploy-\d+$")
    refused = run_against(fake)

    assert refused.error is not None
    told = refused.error.hint.partition("allowed_run_id_pattern")
    assert "run_id" in told[0] + told[2]
    assert told[1], refused.error.hint
    if fake.version.startswith("3"):
        assert refused.error.title == "Airflow does not allow this run id"
        assert r"^deploy-\d+$" in refused.error.detail
    assert (fake.runs("sales"), refused.result) == ([], "error")
    assert run_against(fake, run_id="deploy-7").result == "success"


@pytest.mark.parametrize(("value", "warnings"), [("sales", 1), ("k3y-Zq8", 0)])
def test_a_secret_that_is_a_common_word_is_a_warning(
    fake: FakeAirflow, tmp_path: Path, value: str, warnings: int
) -> None:
    inputs = admin_inputs(fake) | {"headers": f"X-Organization: {value}"}
    result = ActionStep(inputs, launcher=Process(), workspace=tmp_path).run()
    notes = [note for note in result.annotations if note.title == "A secret hides ordinary text"]

    assert result.exit_code == 0
    assert [note.level for note in notes] == ["warning"] * warnings
    assert all("The secret in headers occurs" in note.message for note in notes)


def test_an_empty_run_id_of_another_job_leads_to_the_dropped_output(fake: FakeAirflow) -> None:
    with pytest.raises(InvalidInputs, match="Skip output … since it may contain secret"):
        run_against(fake, trigger="false", run_id="")


@dataclass(frozen=True, slots=True)
class _OldHook(Process):
    """A container hook in Kubernetes that passes only what the runner names."""

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        launch = Process.prepare(self, stage, metadata, host, env)
        names = set(launch.env) - {"GITHUB_ACTIONS", "CI"}
        return replace(launch, env={name: launch.env[name] for name in names})


def test_a_step_without_github_actions_is_one_of_githubs_runner(
    fake: FakeAirflow, tmp_path: Path
) -> None:
    inputs = admin_inputs(fake)
    result = ActionStep(inputs, launcher=_OldHook(), workspace=tmp_path).run()

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert result.outputs["run_id"].startswith("github__")
    assert "DAG run succeeded" in result.summary
