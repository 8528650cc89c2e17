"""The action as GitLab CI, Jenkins, Azure Pipelines and a shell start it: a process and its
environment, no GitHub runner.
"""

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
from tests.unit.runners.test_generic_context import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[2]
VERSIONS: tuple[Version, ...] = ("3.3.2", "2.11.2")
BOOM = FakeError("RuntimeError", "##vso[task.complete result=Succeeded;]no sales")
SHELL = {"INPUT_RUN_ID": "by-hand"}
WAYS: list[tuple[Version, str]] = [
    *(("3.3.2", system) for system in SYSTEMS),
    ("3.3.2", "shell"),
    ("2.11.2", "shell"),
]
ENVIRONMENTS: dict[str, dict[str, str]] = {**SYSTEMS, "shell": SHELL}


@dataclass(frozen=True)
class Done:
    """What a job leaves behind."""

    exit_code: int
    log: str
    outputs: dict[str, Any] | None


def start(
    fake: FakeAirflow, folder: Path, environment: Mapping[str, str], **inputs: str
) -> subprocess.Popen[str]:
    """Start the action in this folder, as the image's entry point does."""
    given = {
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
        **{f"INPUT_{name.upper()}": value for name, value in given.items()},
        **environment,
    }
    argv = [sys.executable, "-P", "-u", "-m", "entrypoint"]
    return subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def end(process: subprocess.Popen[str], folder: Path) -> Done:
    """Wait for its end; no secret of it may be seen."""
    log, _ = process.communicate(timeout=120)
    path = folder / "outputs.json"
    outputs = path.read_text(encoding="utf-8") if path.exists() else ""
    assert leaks_in(f"{log}\n{outputs}", {password_of("admin")}) == []
    assert "/entrypoint/" not in log  # as a traceback of the action's own would have it
    assert not any(line.startswith("::") for line in log.split("\n"))
    return Done(process.returncode, log, json.loads(outputs) if outputs else None)


def run(fake: FakeAirflow, folder: Path, environment: Mapping[str, str], **inputs: str) -> Done:
    """Run the action."""
    return end(start(fake, folder, environment, **inputs), folder)


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    """Each version."""
    chosen: Version = request.param
    return chosen


@pytest.mark.parametrize(("version", "system"), WAYS)
def test_green(version: Version, system: str, tmp_path: Path) -> None:
    """A DAG run that succeeds ends the job with 0; the outputs are JSON, and the log ends with a
    summary in text.
    """
    tasks = (FakeTask("load", xcom={"return_value": {"rows": 7}}),)
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=1)]) as fake:
        done = run(fake, tmp_path, ENVIRONMENTS[system], xcom="load")
        (made,) = fake.runs("sales")

    assert done.exit_code == 0, done.log
    assert done.outputs is not None
    assert (done.outputs["result"], done.outputs["state"], done.outputs["created"]) == (
        "success",
        "success",
        True,
    )
    assert (done.outputs["failed_tasks"], done.outputs["xcom"]) == ([], {"load": {"rows": 7}})
    assert done.outputs["run_id"] == made.run_id
    assert made.run_id.startswith(f"{system}__{SHA[:12]}__" if system != "shell" else "by-hand")
    assert "NOTICE: DAG run succeeded" in done.log
    assert "DAG run succeeded: sales\n========" in done.log
    assert "Tasks: 1 of 1 succeeded" in done.log


@pytest.mark.parametrize(("version", "system"), WAYS)
def test_red(version: Version, system: str, tmp_path: Path) -> None:
    """A DAG run that fails ends the job with 1; the reason is in the log, and no text of Airflow's
    acts as a command.
    """
    tasks = (FakeTask("load", ends="failed", error=BOOM),)
    with FakeAirflow(version, dags=[FakeDag("sales", tasks=tasks, looks=1, ends="failed")]) as fake:
        done = run(fake, tmp_path, ENVIRONMENTS[system])

    assert done.exit_code == 1
    assert done.outputs is not None
    assert (done.outputs["result"], done.outputs["failed_tasks"]) == ("failed", ["load"])
    assert "ERROR: DAG run failed" in done.log
    assert "load failed: RuntimeError" in done.log
    assert "##vso" not in done.log


@pytest.mark.parametrize(("version", "system"), WAYS[:-2])
def test_again(version: Version, system: str, tmp_path: Path) -> None:
    """A job that is run again in the same build finds the DAG run of the time before: none is made
    twice.
    """
    with FakeAirflow(version, dags=[FakeDag("sales", looks=1)]) as fake:
        first, again = (run(fake, tmp_path, SYSTEMS[system]) for _ in range(2))
        runs = len(fake.runs("sales"))

    assert (first.exit_code, again.exit_code, runs) == (0, 0, 1)
    assert again.outputs is not None
    assert again.outputs["created"] is False


def test_nobody_says_for_which_commit(tmp_path: Path) -> None:
    """In a shell without a run id nothing is triggered, and the error says what to give."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        done = run(fake, tmp_path, {})
        asked = len(fake.record)

    assert (done.exit_code, asked) == (1, 0)
    assert done.outputs == {"result": "error"}
    assert "ERROR: Nothing says for which commit this is" in done.log
    assert "INPUT_RUN_ID" in done.log


def test_mistakes(tmp_path: Path) -> None:
    """Every mistake in the inputs is named, before anything is sent."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        done = run(fake, tmp_path, SHELL, timeout="soon", wait="maybe", token="s3cret-token")
        asked = len(fake.record)

    assert (done.exit_code, asked) == (1, 0)
    assert all(name in done.log for name in ("timeout", "wait", "token"))
    assert "s3cret-token" not in done.log


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    """Where the file for the outputs cannot be written nothing is triggered."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales")]) as fake:
        done = run(fake, tmp_path, SHELL | {"AIRFLOW_DAG_RUN_OUTPUTS": "missing/outputs.json"})
        asked = len(fake.record)

    assert (done.exit_code, asked, done.outputs) == (1, 0, None)
    assert "ERROR: The file for the outputs cannot be written" in done.log


def test_without_a_summary(tmp_path: Path) -> None:
    """`summary: false` leaves the verdict, and not the summary."""
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", looks=1)]) as fake:
        done = run(fake, tmp_path, SHELL | {"AIRFLOW_DAG_RUN_OUTPUTS": ""}, summary="false")

    assert (done.exit_code, done.outputs) == (0, None)
    assert "NOTICE: DAG run succeeded" in done.log
    assert "======" not in done.log


def test_only_the_very_commit_counts(tmp_path: Path) -> None:
    """Nobody can be asked whether a later commit contains this one, and the error says so."""
    dag = FakeDag("sales", looks=1, bundle_version="f" * 40)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        other = run(fake, tmp_path, SYSTEMS["gitlab"], expect_commit=SHA)
        same = run(fake, tmp_path, SYSTEMS["gitlab"], expect_commit="f" * 40)

    assert (other.exit_code, same.exit_code) == (1, 0), other.log + same.log
    assert "Only in a GitHub workflow" in other.log


def test_a_log_that_nobody_reads_any_more(version: Version, tmp_path: Path) -> None:
    """Ctrl-C ends `| tee log` before this: the run is stopped all the same."""
    with FakeAirflow(version, dags=[FakeDag("sales", looks=10**6)]) as fake:
        process = start(fake, tmp_path, SYSTEMS["jenkins"])
        until = time.monotonic() + 60
        while not (fake.runs("sales") and (tmp_path / "outputs.json").read_text().count("run_id")):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
        (made,) = fake.runs("sales")

    assert made.state == "failed"
    assert json.loads((tmp_path / "outputs.json").read_text())["result"] == "cancelled"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_job(version: Version, how: signal.Signals, tmp_path: Path) -> None:
    """A job that is ended stops the DAG run that it made, and says so."""
    with FakeAirflow(version, dags=[FakeDag("sales", looks=10**6)]) as fake:
        process = start(fake, tmp_path, SYSTEMS["jenkins"])
        until = time.monotonic() + 60
        while not (fake.runs("sales") and (tmp_path / "outputs.json").read_text().count("run_id")):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(how)
        done = end(process, tmp_path)
        (made,) = fake.runs("sales")

    assert (done.exit_code, made.state) == (1, "failed")
    assert done.outputs is not None
    assert done.outputs["result"] == "cancelled"
