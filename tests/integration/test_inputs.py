"""Wrong inputs in a real process end the step with an annotation before any request."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.runner import ActionStep, Process, StepResult
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.known_secrets import add

SECRET = "s3cret-Zq8-do-not-show"
OFFSET = "2026-01-31T00:00:00Z"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAirflow]:
    with FakeAirflow(dags=[FakeDag("nightly_sales")]) as started:
        yield started


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout with one valid conf file and several invalid ones."""
    (tmp_path / "good.json").write_text("{}")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "cut.json").write_text('{"a": ')
    (tmp_path / "latin1.json").write_bytes(b'{"a": "\xe9"}')
    (tmp_path / "folder").mkdir()
    (tmp_path / "out.json").symlink_to("/etc/hostname")
    return tmp_path


def run_action(fake: FakeAirflow, workspace: Path, wrong: dict[str, str]) -> StepResult:
    """Run the step with valid inputs, except for the wrong ones."""
    valid = {"airflow_url": fake.url, "token": SECRET, "dag_id": "nightly_sales"}
    inputs = {
        name: text.replace("FAKE", fake.url.removeprefix("http://"))
        for name, text in (valid | wrong).items()
    }
    add(SECRET)  # an input may only contain it
    return ActionStep(inputs, launcher=Process(), workspace=workspace).run()


WRONG: list[tuple[str, dict[str, str]]] = [
    # connection
    ("airflow_url", {"airflow_url": ""}),
    ("airflow_url", {"airflow_url": "FAKE"}),
    ("airflow_url", {"airflow_url": "ftp://FAKE"}),
    ("airflow_url", {"airflow_url": "http://"}),
    ("airflow_url", {"airflow_url": f"http://admin:{SECRET}@FAKE"}),
    ("airflow_url", {"airflow_url": f"http://FAKE/?token={SECRET}"}),
    ("airflow_url", {"airflow_url": f"http://FAKE/home#{SECRET}"}),
    ("airflow_url", {"airflow_url": "http://FAKE/a b"}),
    ("airflow_url", {"airflow_url": "http://127.0.0.1:99999"}),
    ("airflow_url", {"airflow_url": "http://[::1"}),
    ("airflow_url", {"airflow_url": "http://a..b"}),
    ("airflow_url", {"airflow_url": "http://FAKE\nhttp://FAKE"}),
    # credential
    ("token", {"token": ""}),
    ("token", {"token": f"Bearer {SECRET}"}),
    ("token", {"token": f"{SECRET} {SECRET}"}),
    ("token", {"token": f"{SECRET}\n{SECRET}"}),
    ("token", {"token": f"\u201c{SECRET}\u201d"}),
    ("token", {"username": "admin", "password": SECRET}),
    ("token", {"username": "admin"}),
    ("password", {"token": "", "username": "admin"}),
    ("username", {"token": "", "password": SECRET}),
    # DAG run
    ("dag_id", {"dag_id": ""}),
    ("dag_id", {"dag_id": "nightly sales"}),
    ("dag_id", {"dag_id": "../dags"}),
    ("dag_id", {"dag_id": "x" * 251}),
    ("conf", {"conf": "region=APAC"}),
    ("conf", {"conf": "{'region': 'APAC'}"}),
    ("conf", {"conf": "[1]"}),
    ("conf", {"conf": "null"}),
    ("conf", {"conf": '{"a": NaN}'}),
    ("conf", {"conf": '{"a": 1e999}'}),
    ("conf", {"conf": '{"a": ' + "1" * 5000 + "}"}),
    ("conf", {"conf": '{"a": 1, "a": 2}'}),
    ("conf", {"conf": '{"a":' * 20_000}),
    ("conf_file", {"conf_file": "missing.json"}),
    ("conf_file", {"conf_file": "folder"}),
    ("conf_file", {"conf_file": "/etc/hostname"}),
    ("conf_file", {"conf_file": "../x.json"}),
    ("conf_file", {"conf_file": "out.json"}),
    ("conf_file", {"conf_file": "list.json"}),
    ("conf_file", {"conf_file": "cut.json"}),
    ("conf_file", {"conf_file": "latin1.json"}),
    ("conf_file", {"conf_file": '{"region": "' + "x" * 300 + '"}'}),
    ("conf_file", {"conf": "{}", "conf_file": "good.json"}),
    ("run_id", {"run_id": "deploy/main"}),
    ("run_id", {"run_id": "a..b"}),
    ("run_id", {"run_id": "~"}),
    ("run_id", {"run_id": "x" * 201}),
    ("run_id", {"run_id": "scheduled__2026-01-31"}),
    ("run_id", {"run_id": "a\n::error::b"}),
    ("logical_date", {"logical_date": "2026-01-31"}),
    ("logical_date", {"logical_date": "2026-02-30T00:00:00Z"}),
    ("logical_date", {"logical_date": "9999-12-31T23:59:59-12:00"}),
    ("run_after", {"run_after": "tomorrow"}),
    ("data_interval_end", {"data_interval_start": OFFSET}),
    ("data_interval_start", {"data_interval_end": OFFSET}),
    (
        "data_interval_end",
        {"data_interval_start": OFFSET, "data_interval_end": "2026-01-30T00:00:00Z"},
    ),
    ("note", {"note": "x" * 1001}),
    # waiting, policy, reporting
    ("wait", {"wait": "yes"}),
    ("timeout", {"timeout": "1 hour"}),
    ("timeout", {"timeout": "0"}),
    ("timeout", {"timeout": "1d"}),
    ("poll_interval", {"poll_interval": "0.1"}),
    ("poll_interval", {"poll_interval": "often"}),
    ("wait_for_dag", {"wait_for_dag": "soon"}),
    ("wait_for_dag", {"wait_for_dag": "-1"}),
    ("wait_for_dag", {"wait_for_dag": "5m", "trigger": "false", "run_id": "r1"}),
    ("expect_commit", {"expect_commit": "main"}),
    ("expect_commit", {"expect_commit": "0123456"}),
    ("expect_commit", {"expect_commit": "0123456789abcdef0123456789abcdef0123456g"}),
    ("github_token", {"github_token": f"{SECRET} {SECRET}"}),
    ("if_paused", {"if_paused": "##[error]ignore"}),
    ("summary", {"summary": "no"}),
    ("matrix", {"matrix": "{"}),
]


@pytest.mark.parametrize(
    ("name", "wrong"), WRONG, ids=[f"{name}-{n}" for n, (name, _) in enumerate(WRONG)]
)
def test_a_wrong_input_is_named_in_one_annotation_before_any_request(
    fake: FakeAirflow, workspace: Path, name: str, wrong: dict[str, str]
) -> None:
    result = run_action(fake, workspace, wrong)

    assert (result.exit_code, result.conclusion, result.own_outputs) == (
        1,
        "failure",
        {"result": "error"},
    )
    (annotation,) = result.annotations
    assert (annotation.level, annotation.title) == ("error", "1 input is not usable")
    assert annotation.message.startswith(f"{name}: ")
    assert "Nothing was sent to Airflow." in annotation.message
    assert "Traceback" not in result.raw
    assert not result.unexpected_commands
    assert name in result.summary
    assert fake.record == []


def test_ten_input_errors_are_reported_in_one_annotation(
    fake: FakeAirflow, workspace: Path
) -> None:
    wrong = {
        "airflow_url": "FAKE",
        "dag_id": "nightly sales",
        "conf": "region=APAC",
        "run_id": "deploy/main",
        "logical_date": "2026-01-31",
        "note": "x" * 1001,
        "wait": "yes",
        "timeout": "1 hour",
        "poll_interval": "0.1",
        "if_paused": "ignore",
    }
    result = run_action(fake, workspace, wrong)

    (annotation,) = result.annotations
    assert (result.exit_code, result.own_outputs) == (1, {"result": "error"})
    assert annotation.title == "10 inputs are not usable"
    assert [line.partition(":")[0] for line in annotation.message.splitlines()[:10]] == list(wrong)
    assert all(f"{name}: " in result.summary for name in wrong)
    assert fake.record == []


def test_every_name_and_the_hint_fit_into_the_annotation_with_long_inputs(
    fake: FakeAirflow, workspace: Path
) -> None:
    names = ("run_id", "logical_date", "run_after", "wait", "timeout", "poll_interval", "if_paused")
    result = run_action(fake, workspace, dict.fromkeys(names, "x" * 10_000))

    (annotation,) = result.annotations
    assert [name for name in names if f"{name}: " not in annotation.message] == []
    assert annotation.message.endswith("Nothing was sent to Airflow.")


def test_valid_inputs_do_send_requests(workspace: Path) -> None:
    """Without this test the others could pass for a step that never sends anything."""
    (workspace / "conf.json").write_text(json.dumps({"region": "APAC"}))
    with FakeAirflow(dags=[FakeDag("nightly_sales")]) as running:
        result = run_action(
            running,
            workspace,
            {"token": running.token(), "conf_file": "conf.json", "wait": "false"},
        )

        assert (result.exit_code, result.outputs["result"]) == (0, "triggered")
        assert [one.json["conf"] for one in running.received("POST", "/dagRuns")] == [
            {"region": "APAC"}
        ]
