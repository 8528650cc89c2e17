"""Dry runs against the scripted Airflow: what is found, what is said, and that nothing is sent."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

import pytest

from dev.airflow_settings import password_of
from entrypoint.report.annotations import annotate
from entrypoint.report.outputs import outputs
from entrypoint.report.plain_summary import plain_summary
from entrypoint.report.several import several_summary
from entrypoint.report.summary import summary
from entrypoint.runners import github as commands
from entrypoint.signals import Interrupted
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask, Fault, Version
from tests.support.services import GitHubApi
from tests.support.step import CONTEXT, run_against, run_dags
from tests.support.virtual_time import VirtualTime, after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrypoint.models import Outcome

SCHEMA = {"region": {"type": "string", "enum": ["APAC", "EMEA"], "default": "EMEA"}}
DAGS = (
    FakeDag("sales", params_schema=SCHEMA, tasks=(FakeTask("extract"),)),
    FakeDag("paused", paused=True),
    FakeDag("broken", broken="Traceback\n  File \"broken.py\"\nKeyError: 'x'"),
    FakeDag("scheduled", manual_runs=False),
    FakeDag("odd", params_schema={"mail": {"type": "string", "format": "email", "default": "x"}}),
)
VIEWER = {"username": "viewer", "password": password_of("viewer")}
DATE = "2026-01-31T00:00:00+00:00"
RUN_ID = "deploy-1"


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=DAGS) as started:
        yield started


def dry_run(fake: FakeAirflow, **inputs: Any) -> Outcome:
    """Run a dry run, and check that the scripted Airflow is as it was."""
    runs = [(run.run_id, run.state, run.note) for dag in DAGS for run in fake.runs(dag.dag_id)]
    outcome = run_against(fake, **{"dry_run": "true"} | inputs)
    assert runs == [
        (run.run_id, run.state, run.note) for dag in DAGS for run in fake.runs(dag.dag_id)
    ]
    done = [one for one in fake.record if one.method not in ("GET", "HEAD") and one.status == 200]
    assert done == []
    assert "PUT" not in {one.method for one in fake.record}
    return outcome


def checks(outcome: Outcome) -> dict[str, tuple[str, str]]:
    assert outcome.dry_run is not None
    return {one.name: (one.verdict, one.text) for one in outcome.dry_run.checks}


def test_a_dry_run_passes_and_leaves_nothing(
    fake: FakeAirflow, state_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = dry_run(fake)

    assert (outcome.result, outcome.passes, outcome.error) == ("checked", True, None)
    assert {verdict for verdict, _ in checks(outcome).values()} == {"ok"}
    assert set(outputs(outcome)) == {"airflow_version"}
    assert "RUNS<<" not in state_file.read_text() or '"sales"' not in state_file.read_text()
    assert "ENDED" in state_file.read_text()
    log = capsys.readouterr().out
    assert "ok      conf         It fits the DAG's params." in log
    assert "yes     trigger and wait (this step needs it)" in log
    text = summary(outcome, CONTEXT)
    assert text.startswith("## ✅ Dry run: the step would reach its trigger\n")
    assert "would trigger the DAG run" in plain_summary(outcome, CONTEXT)


@pytest.mark.parametrize(
    ("inputs", "title", "words"),
    [
        ({"dag_id": "unknown"}, "Airflow has no such DAG", "unknown"),
        ({"dag_id": "broken"}, "The DAG's file fails to import", "KeyError: 'x'"),
        ({"dag_id": "paused"}, "The DAG is paused", "paused"),
        ({"conf": '{"region": "Mars"}'}, "Airflow refused the DAG run's parameters", "region"),
        ({"password": "wrong"}, "Airflow refused the credential", ""),
        ({"run_id": RUN_ID, "if_run_exists": "fail"}, "The DAG run exists already", "failed"),
        (
            {"run_id": RUN_ID, "conf": '{"region": "APAC"}'},
            "The run id is taken by another",
            "APAC",
        ),
        ({"trigger": "false", "run_id": "none"}, "There is no such DAG run to wait for", "none"),
        ({"logical_date": DATE}, "The logical date is taken by another DAG run", RUN_ID),
        ({"if_paused": "drain"}, "This Airflow does not know if_paused: drain", "3.4"),
        ({"required_tasks": "extrct"}, "A required task does not exist", "extract"),
        (VIEWER, "A permission is missing", "trigger and wait"),
        (VIEWER | {"run_id": RUN_ID}, "A permission is missing", "if_run_exists: resume"),
    ],
)
def test_an_error_is_that_of_the_real_step(
    fake: FakeAirflow, inputs: dict[str, str], title: str, words: str
) -> None:
    fake.create_run("sales", RUN_ID, state="failed", logical_date=datetime.fromisoformat(DATE))
    outcome = dry_run(fake, **inputs)

    assert outcome.error is not None
    assert outcome.error.title.startswith(title)
    assert words in outcome.error.detail
    assert (outcome.result, outcome.passes) == ("error", False)
    annotate(outcome, commands)
    assert "❌" in summary(outcome, CONTEXT)


def test_the_real_step_ends_with_the_same_error(fake: FakeAirflow) -> None:
    cases: tuple[dict[str, Any], ...] = (
        {"dag_id": "unknown"},
        {"dag_id": "broken"},
        {"dag_id": "paused"},
        {"dag_id": "scheduled"} if fake.version == "3.3.2" else {"dag_id": "paused"},
        {"conf": '{"region": "Mars"}'},
        {"required_tasks": "extrct"},
        {"password": "wrong"},
        VIEWER,
    )
    for inputs in cases:
        dry, real = dry_run(fake, **inputs), run_against(fake, **inputs)
        assert dry.error is not None
        assert real.error is not None
        assert dry.error.title == real.error.title, inputs


def test_an_airflow_without_notes_is_no_reason_to_refuse() -> None:
    """The note of a run is only derived."""
    with FakeAirflow("2.4.3", dags=DAGS) as old:
        assert dry_run(old).result == "checked"


def test_all_that_is_wrong_is_in_one_error(fake: FakeAirflow) -> None:
    outcome = dry_run(fake, dag_id="paused", **VIEWER)

    assert outcome.error is not None
    assert outcome.error.title == "The DAG is paused"
    assert "Also: A permission is missing." in outcome.error.detail
    assert '"can create on DAG Runs"' in outcome.error.hint


@pytest.mark.parametrize(
    ("inputs", "state", "words"),
    [
        ({"if_paused": "unpause", "dag_id": "paused"}, "", "would unpause it"),
        ({"if_paused": "queue", "dag_id": "paused"}, "", "stays queued until"),
        ({"run_id": RUN_ID}, "failed", "run its tasks again that did not succeed"),
        ({"run_id": RUN_ID, "if_run_exists": "restart"}, "success", "run all its tasks again"),
        ({"run_id": RUN_ID}, "running", "trigger nothing, and wait for it"),
        ({"run_id": RUN_ID, "wait": "false"}, "running", "trigger nothing, and not wait for it"),
        ({"run_id": RUN_ID, "trigger": "false"}, "success", "take its result"),
        (VIEWER | {"run_id": RUN_ID, "trigger": "false"}, "running", "wait for it"),
        ({"run_id": "later", "trigger": "false", "start_timeout": "5m"}, "", "would wait for the"),
        ({"dag_id": "odd", "conf": '{"mail": "x"}'}, "", "mail: format"),
        ({"logs": "none", "summary": "false"}, "", "would trigger the DAG run"),
        ({"required_tasks": "ext*"}, "", "Each line of required_tasks fits a task"),
    ],
)
def test_a_dry_run_says_what_the_step_would_do(
    fake: FakeAirflow, inputs: dict[str, str], state: str, words: str
) -> None:
    if state:
        fake.create_run("sales", RUN_ID, state=state)
    outcome = dry_run(fake, **inputs)

    assert (outcome.result, outcome.error) == ("checked", None)
    assert outcome.dry_run is not None
    said = [text for _, text in checks(outcome).values()]
    assert any(words in text for text in [outcome.dry_run.next_step, *said])
    known = {"run_id", "run_url", "state", "created"} & outputs(outcome).keys()
    assert known == ({"run_id", "run_url", "state", "created"} if state else set())


def test_a_missing_permission_costs_its_feature_only(fake: FakeAirflow) -> None:
    fake.deny("logs", "pools")
    outcome = dry_run(fake)

    assert outcome.result == "checked"
    assert outcome.dry_run is not None
    refused = {one.label: one for one in outcome.dry_run.access if one.verdict == "refused"}
    assert [one.missing for one in refused.values()] == [
        ("can read on Task Logs",),
        ("can read on Pools",),
    ]
    assert "would go on without: the reasons of failures" in checks(outcome)["Permissions"][1]
    assert "| ⚠️ no | the reasons of failures" in summary(outcome, CONTEXT)


@pytest.mark.parametrize(
    ("denied", "inputs"),
    [
        ("task_instances", {"fail_on_failed_tasks": "true"}),
        ("task_instances", {"required_tasks": "extract", "run_id": "another"}),
        ("task_instances", {"run_id": RUN_ID}),
    ],
)
def test_a_permission_that_the_inputs_need_is_an_error(
    fake: FakeAirflow, denied: Any, inputs: dict[str, str]
) -> None:
    fake.create_run("sales", RUN_ID, state="failed")
    fake.deny(denied)
    outcome = dry_run(fake, **inputs)

    assert outcome.error is not None
    assert '"can read on Task Instances"' in outcome.error.hint


def test_a_gateway_that_refuses_the_trigger_is_named(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_403, on=("POST", "/dagRuns"))
    outcome = dry_run(fake)

    assert outcome.error is not None
    assert outcome.error.title == "A gateway in front of Airflow refused the request"


def test_a_gateway_that_refuses_what_the_step_does_not_need_is_no_error(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_403, on=("GET", "/importErrors"))
    outcome = dry_run(fake)

    assert outcome.result == "checked"
    assert outcome.dry_run is not None
    assert "import errors of DAG files" in [
        one.label for one in outcome.dry_run.access if one.verdict == "unknown"
    ]


@pytest.mark.parametrize("fault", [Fault.HTML_200, Fault.EMPTY_JSON, Fault.HTML_404])
def test_an_answer_that_shows_nothing_is_no_permission(fake: FakeAirflow, fault: Fault) -> None:
    fake.fault(fault, on=("POST", "/dagRuns"), times=50)
    outcome = run_against(fake, dry_run="true")

    assert outcome.error is not None
    assert outcome.error.title == "Airflow does not show whether a permission is there"
    assert "trigger and wait" in outcome.error.detail


def test_a_failing_server_ends_the_dry_run_after_a_minute(fake: FakeAirflow) -> None:
    fake.fault(Fault.HTML_503, times=1_000, skip=3)
    time = VirtualTime()
    outcome = dry_run(fake, time=time)

    assert outcome.error is not None
    assert outcome.error.title == "Airflow answers 503"
    assert time.now - 1000 < 200


def test_only_wait_for_dag_waits_for_the_dag(fake: FakeAirflow) -> None:
    fake.deploy(FakeDag("late", parsed_after=20))
    time = VirtualTime()
    assert dry_run(fake, dag_id="late", time=time).result == "error"
    assert sum(time.slept) < 5
    outcome = dry_run(fake, dag_id="late", time=time, wait_for_dag="20m")
    assert (outcome.result, checks(outcome)["New code"][0]) == ("checked", "ok")
    assert sum(time.slept) > 15


def test_a_dry_run_waits_for_new_code_without_a_request_to_parse_it(fake: FakeAirflow) -> None:
    time = VirtualTime(on_sleep=lambda _: fake.parse("sales"))
    outcome = dry_run(fake, time=time, wait_for_dag="5m")

    assert (outcome.result, checks(outcome)["New code"][0]) == ("checked", "ok")
    assert time.slept != []


def test_each_of_several_dags_has_its_own_report(fake: FakeAirflow) -> None:
    outcome = run_dags(fake, "sales", 'paused {"a": 1}', dry_run="true")

    assert [run.result for run in outcome.runs] == ["checked", "error"]
    assert (outcome.result, outcome.passes) == ("error", False)
    assert fake.runs("sales") == []
    text = several_summary(outcome, CONTEXT)
    assert text.startswith("## ❌ Dry run: the step would not reach its trigger\n")
    assert "## Dry run of `paused`" in text
    good = run_dags(fake, "sales", "odd", dry_run="true")
    assert (good.result, good.passes) == ("checked", True)
    assert several_summary(good, CONTEXT).startswith(
        "## ✅ Dry run: the step would reach its trigger"
    )


@pytest.mark.parametrize("can_write", [("statuses",), ("deployments",)])
def test_a_dry_run_checks_the_token_of_report_to_and_writes_nothing(
    fake: FakeAirflow, can_write: tuple[str, ...]
) -> None:
    with GitHubApi({"a" * 40: None}, can_write=can_write) as github:
        context = CONTEXT._replace(sha="a" * 40, api_url=github.url)
        outcome = dry_run(
            fake,
            context=context,
            wait="false",
            report_to="commit-status",
            github_token=github.token,
        )
        assert outcome.result == ("checked" if "statuses" in can_write else "error")
        assert "Report to GitHub" in checks(outcome)
        assert outcome.report is None
        assert github.statuses_of("a" * 40) == []


def test_a_cancelled_dry_run_stops_nothing(fake: FakeAirflow) -> None:
    def cancel() -> None:
        raise Interrupted

    fake.create_run("sales", RUN_ID, state="running")
    outcome = run_against(
        fake,
        dry_run="true",
        run_id=RUN_ID,
        dag_id="nothing",
        wait_for_dag="1h",
        time=after(60, cancel),
    )
    assert (outcome.result, outcome.owned) == ("cancelled", False)
    assert [run.state for run in fake.runs("sales")] == ["running"]
