"""The action in GitLab CI, Jenkins, Azure Pipelines and a shell, without a GitHub runner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dev.airflow_settings import password_of
from tests.support.factories import SHA
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeError, FakeTask, Version
from tests.support.secrets import leaks_in
from tests.unit.runners.test_generic import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[2]
VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
LOAD_ERROR = FakeError("RuntimeError", "##vso[task.complete result=Succeeded;]no sales")
SHELL = {"INPUT_RUN_ID": "by-hand"}
JOBS: list[tuple[Version, str]] = [
    *(("3.3.2", system) for system in SYSTEMS),
    ("3.3.2", "shell"),
    ("2.11.2", "shell"),
]
ENVIRONMENTS: dict[str, dict[str, str]] = {**SYSTEMS, "shell": SHELL}


@dataclass(frozen=True)
class JobResult:
    exit_code: int
    log: str
    outputs: dict[str, Any] | None


def start(
    fake: FakeAirflow, folder: Path, environment: Mapping[str, str], **inputs: str
) -> subprocess.Popen[str]:
    """Start the action in this folder, as the image's entry point does."""
    action_inputs = {
        "airflow_url": fake.url,
        "username": "admin",
        "password": password_of("admin"),
        "dag_id": "sales",
        **inputs,
    }
    env = {
        "PATH": os.defpath,
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW_DAG_RUN_OUTPUTS": "outputs.json",
        **{f"INPUT_{name.upper()}": value for name, value in action_inputs.items()},
        **environment,
    }
    argv = [sys.executable, "-P", "-u", "-m", "entrypoint"]
    return subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_end(process: subprocess.Popen[str], folder: Path) -> JobResult:
    """Wait for the end of the process and check its output for secrets."""
    log, _ = process.communicate(timeout=120)
    path = folder / "outputs.json"
    outputs = path.read_text(encoding="utf-8") if path.exists() else ""
    assert leaks_in(f"{log}\n{outputs}", {password_of("admin")}) == []
    assert "/entrypoint/" not in log  # a path in a traceback of the action
    assert not any(line.startswith("::") for line in log.split("\n"))
    return JobResult(process.returncode, log, json.loads(outputs) if outputs else None)


def run_job(
    fake: FakeAirflow, folder: Path, environment: Mapping[str, str], **inputs: str
) -> JobResult:
    return wait_for_end(start(fake, folder, environment, **inputs), folder)


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


@pytest.mark.parametrize(("version", "system"), JOBS)
def test_a_successful_run_ends_the_job_with_exit_code_0(
    version: Version, system: str, tmp_path: Path
) -> None:
    """The outputs are JSON, and the log ends with a summary in plain text."""
    tasks = (FakeTask("load", xcom={"return_value": {"rows": 7}}),)
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=1)]) as fake:
        result = run_job(fake, tmp_path, ENVIRONMENTS[system], xcom="load")
        (made,) = fake.runs("sales")

    assert result.exit_code == 0, result.log
    assert result.outputs is not None
    assert (result.outputs["result"], result.outputs["state"], result.outputs["created"]) == (
        "success",
        "success",
        True,
    )
    assert (result.outputs["failed_tasks"], result.outputs["xcom"]) == ([], {"load": {"rows": 7}})
    assert result.outputs["run_id"] == made.run_id
    assert made.run_id.startswith(f"{system}__{SHA[:12]}__" if system != "shell" else "by-hand")
    assert "NOTICE: DAG run succeeded" in result.log
    assert "DAG run succeeded: sales\n========" in result.log
    assert "Tasks: 1 of 1 succeeded" in result.log


@pytest.mark.parametrize(("version", "system"), JOBS)
def test_a_failed_run_ends_the_job_with_exit_code_1(
    version: Version, system: str, tmp_path: Path
) -> None:
    """The log has the cause, and no text of Airflow acts as a logging command."""
    tasks = (FakeTask("load", ends="failed", error=LOAD_ERROR),)
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, polls=1, ends="failed")]) as fake:
        result = run_job(fake, tmp_path, ENVIRONMENTS[system])

    assert result.exit_code == 1
    assert result.outputs is not None
    assert (result.outputs["result"], result.outputs["failed_tasks"]) == ("failed", ["load"])
    assert "ERROR: DAG run failed" in result.log
    assert "load failed: RuntimeError" in result.log
    assert "##vso" not in result.log


@pytest.mark.parametrize(("version", "system"), JOBS[:-2])
def test_a_retried_job_finds_the_dag_run_of_the_first_attempt(
    version: Version, system: str, tmp_path: Path
) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", polls=1)]) as fake:
        first, again = (run_job(fake, tmp_path, SYSTEMS[system]) for _ in range(2))
        runs = len(fake.runs("sales"))

    assert (first.exit_code, again.exit_code, runs) == (0, 0, 1)
    assert again.outputs is not None
    assert again.outputs["created"] is False


def test_a_shell_without_a_run_id_is_an_error_before_the_trigger(tmp_path: Path) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        result = run_job(fake, tmp_path, {})
        requests = len(fake.record)

    assert (result.exit_code, requests) == (1, 0)
    assert result.outputs == {"result": "error", "runs": []}
    assert "ERROR: The commit of this build is unknown" in result.log
    assert "INPUT_RUN_ID" in result.log


def test_a_missing_run_id_is_named_together_with_the_other_mistakes(tmp_path: Path) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        result = run_job(fake, tmp_path, {}, timeout="soon")
        requests = len(fake.record)

    assert (result.exit_code, requests) == (1, 0)
    assert "ERROR: 2 inputs are not usable" in result.log
    assert "run_id: The environment has neither" in result.log


def test_every_input_error_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        result = run_job(fake, tmp_path, SHELL, timeout="soon", wait="maybe", token="s3cret-token")
        requests = len(fake.record)

    assert (result.exit_code, requests) == (1, 0)
    assert all(name in result.log for name in ("timeout", "wait", "token"))
    assert "s3cret-token" not in result.log


def test_an_unwritable_outputs_file_is_an_error_before_the_trigger(tmp_path: Path) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        result = run_job(
            fake, tmp_path, SHELL | {"AIRFLOW_DAG_RUN_OUTPUTS": "missing/outputs.json"}
        )
        requests = len(fake.record)

    assert (result.exit_code, requests, result.outputs) == (1, 0, None)
    assert "ERROR: The file for the outputs cannot be written" in result.log


def test_summary_false_prints_the_result_without_a_summary(tmp_path: Path) -> None:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=1)]) as fake:
        result = run_job(fake, tmp_path, SHELL | {"AIRFLOW_DAG_RUN_OUTPUTS": ""}, summary="false")

    assert (result.exit_code, result.outputs) == (0, None)
    assert "NOTICE: DAG run succeeded" in result.log
    assert "======" not in result.log


def test_only_the_exact_commit_is_accepted_outside_github(tmp_path: Path) -> None:
    """Only GitHub's API could compare commits."""
    dag = FakeDag("sales", polls=1, bundle_version="f" * 40)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        other = run_job(fake, tmp_path, SYSTEMS["gitlab"], expect_commit=SHA)
        same = run_job(fake, tmp_path, SYSTEMS["gitlab"], expect_commit="f" * 40)

    assert (other.exit_code, same.exit_code) == (1, 0), other.log + same.log
    assert "Only in a GitHub workflow" in other.log


def test_a_run_is_stopped_although_the_log_has_no_reader(version: Version, tmp_path: Path) -> None:
    """Ctrl-C ends `| tee log` before the action."""
    with FakeAirflow(version, dags=[FakeDag("sales", polls=10**6)]) as fake:
        process = start(fake, tmp_path, SYSTEMS["jenkins"])
        deadline = time.monotonic() + 60
        while not (fake.runs("sales") and (tmp_path / "outputs.json").read_text().count("run_id")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
        (made,) = fake.runs("sales")

    assert made.state == "failed"
    assert json.loads((tmp_path / "outputs.json").read_text())["result"] == "cancelled"


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_job_stops_its_dag_run(
    version: Version, signal_number: signal.Signals, tmp_path: Path
) -> None:
    with FakeAirflow(version, dags=[FakeDag("sales", polls=10**6)]) as fake:
        process = start(fake, tmp_path, SYSTEMS["jenkins"])
        deadline = time.monotonic() + 60
        while not (fake.runs("sales") and (tmp_path / "outputs.json").read_text().count("run_id")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal_number)
        result = wait_for_end(process, tmp_path)
        (made,) = fake.runs("sales")

    assert (result.exit_code, made.state) == (1, "failed")
    assert result.outputs is not None
    assert result.outputs["result"] == "cancelled"
