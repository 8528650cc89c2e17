"""Runs that no step waits for, in an Airflow with the listener and a stand-in of GitHub.

All scenarios run once, most of them side by side. Their outcome is in GitHub's record; this module
does not know what is expected.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dev.airflow import AIRFLOW_2, LocalAirflow
from dev.airflow_settings import ROOT
from dev.runner import RunnerContext
from entrypoint.github_api.marker import Marker, note_with_marker
from tests.airflow.job import (
    REQUEST,
    TIMEOUT,
    Job,
    at_work,
    open_gate,
    patch,
    post,
    the_run,
    until,
)
from tests.support.fake_airflow.faults import Fault
from tests.support.services import GitHubApi
from tests.support.services.github import REPOSITORY
from tests.support.stub_server import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import Version
    from dev.runner import StepResult

LISTENER = ROOT / "listener"
SCENARIOS = ("success", "failure", "timeout", "by hand", "again", "killed", "deployed")
"""The scenarios; each has a commit of its own."""
SETTLES = 20.0
"""Seconds to wait for unwanted requests."""
FORGED = {
    "another repository": Marker("AIRFLOW", "API", "octo-org/secrets", "COMMIT", None),
    "another API": Marker("AIRFLOW", "https://evil.example.com", REPOSITORY, "COMMIT", None),
    "another Airflow": Marker("https://production.example.com", "API", REPOSITORY, "COMMIT", None),
    "another commit": Marker("AIRFLOW", "API", REPOSITORY, "f" * 40, None),
}


class DetachedScenarios:
    """The scenarios with one Airflow. `steps` and `commits` are by scenario."""

    def __init__(self, version: Version, dags: Path, folder: Path) -> None:
        self.github = GitHubApi(
            {secrets.token_hex(20): None for _ in (*SCENARIOS, "f")} | {"f" * 40: None}
        )
        self.commits = dict(zip(SCENARIOS, self.github.history, strict=False))
        self.version = version
        self.steps: dict[str, StepResult] = {}
        self.logs = ""
        self.forged: list[str] = []
        self.before_sweep: dict[str, list[str]] = {}
        self._dags, self._folder = dags, folder

    def run(self) -> DetachedScenarios:
        """Run all scenarios."""
        with self.github, self._started() as airflow:
            self._airflow = airflow
            self._run_side_by_side()
            self._forge()
            self._kill_scheduler()
            self.logs = "\n".join(
                file.read_text(errors="replace")
                for file in airflow.home.rglob("*.log")
                if file.is_file()
            )
        return self

    def states(self, scenario: str) -> list[str]:
        """Return the states that GitHub got, oldest first, of the commit's status or deployment."""
        commit = self.commits[scenario]
        if scenario != "deployed":
            return [status["state"] for status in self.github.statuses_of(commit)]
        (deployment,) = [one for one in self.github.deployments if one["sha"] == commit]
        return self.github.deployment_states(deployment["id"])

    def described(self, scenario: str) -> str:
        """Return the last description that GitHub got."""
        return str(self.github.statuses_of(self.commits[scenario])[-1]["description"])

    @contextmanager
    def _started(self) -> Iterator[LocalAirflow]:
        """Start Airflow.

        Airflow 2 has the listener as a package and uses a GitHub App, Airflow 3 has the file and
        uses a token.
        """
        extra: dict[str, Any] = {"repositories": [REPOSITORY.upper()]}
        connection: dict[str, Any] = {"conn_type": "http", "host": self.github.url, "extra": extra}
        settings = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(LISTENER)}
        if self.version == AIRFLOW_2:
            app = self.github.app
            connection |= {"login": app.app_id, "password": app.private_key}
            extra["installation_id"] = app.installation
            settings = {"PYTHONPATH": str(self._install_listener())}
        else:
            connection["password"] = self.github.token
        settings["AIRFLOW_CONN_AIRFLOW_DAG_RUN_GITHUB"] = json.dumps(connection)
        database = "sqlite" if self.version == AIRFLOW_2 else "postgresql"
        with LocalAirflow(
            self.version,
            dags=self._dags,
            database=database,  # type: ignore[arg-type]
            settings=settings,
        ) as airflow:
            yield airflow

    def _install_listener(self) -> Path:
        """Install the listener as a package; return the folder."""
        folder, source = self._folder / "package", self._folder / LISTENER.name
        shutil.copytree(
            LISTENER, source, ignore=shutil.ignore_patterns("__pycache__")
        )  # a build leaves files behind
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(folder),
            str(source),
        ]
        subprocess.run(command, check=True, timeout=300, cwd=self._folder)
        return folder

    def _step(self, scenario: str, dag_id: str, /, **inputs: str) -> StepResult:
        commit = self.commits.get(
            scenario.partition(" again")[0], next(iter(self.commits.values()))
        )
        context = RunnerContext(
            repository=REPOSITORY, sha=commit, api_url=self.github.url, token=self.github.token
        )
        workspace = self._folder / secrets.token_hex(4)
        workspace.mkdir()
        used = {
            "wait": "false",
            "report_to": "commit-status",
            "run_id": f"{scenario.replace(' ', '-')}-1",
        } | inputs
        self.steps[scenario] = Job(self._airflow, workspace, context).run(dag_id, **used)
        return self.steps[scenario]

    def _run_side_by_side(self) -> None:
        """Run DAGs that succeed, fail, time out, are set to failed, and are cleared."""
        self._step("by hand", "held")
        self._step("timeout", "gated_briefly")
        self._step("again", "quick_success")
        self._step("success", "quick_success")
        self._step("failure", "quick_failure")
        self._step("deployed", "quick_success", report_to="deployment", environment="production")
        self._wait_for_states("again", ["pending", "success"])
        body = {
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
            "dag_run_id": "again-1",
        }
        until(lambda: at_work(self._airflow, "held", "by-hand-1"), "at work")
        # A scheduler that has this run in its hands may overwrite the state, so it is paused first.
        self._airflow.pause("held")
        post(self._airflow, "/dags/quick_success/clearTaskInstances", body)
        self._wait_for_states("again", ["pending", "success", "pending", "success"])
        patch(self._airflow, "/dags/held/dagRuns/by-hand-1", state="failed")
        for scenario, end in (
            ("success", "success"),
            ("failure", "failure"),
            ("timeout", "failure"),
        ):
            self._wait_for_states(scenario, ["pending", end])
        self._wait_for_states("deployed", ["in_progress", "success"])
        if self.version != AIRFLOW_2:
            self._wait_for_states("by hand", ["pending", "failure"])
        self.before_sweep["by hand"] = self.states("by hand")
        for number in range(2):
            self._step(f"by hand again {number}", "held", trigger="false", run_id="by-hand-1")

    def _forge(self) -> None:
        """Create runs with forged notes.

        A good one follows, so that the listener has handled them.
        """
        began = len(self.github.record)
        commit = self.commits["success"]
        markers = [
            Marker(
                one.airflow.replace("AIRFLOW", self._airflow.url),
                one.api_url.replace("API", self.github.url),
                one.repository,
                one.commit.replace("COMMIT", commit),
                None,
            )
            for one in FORGED.values()
        ]
        good = note_with_marker(
            "", Marker(self._airflow.url, self.github.url, REPOSITORY, commit, None)
        )
        notes = [note_with_marker("Forged", one) for one in markers]
        notes += [
            good.replace(REPOSITORY, f"{REPOSITORY}\\n"),
            good.replace(",", ",\n"),
            f"{good}\n{good}",
            f"x {good}",
        ]
        notes += [
            good.replace(REPOSITORY, f"{REPOSITORY}/../secrets"),
            f"{'x' * (1000 - 20)}\n{good}"[:1000],
        ]
        for number, note in enumerate(notes):
            body: dict[str, Any] = {"dag_run_id": f"forged-{number}", "note": note}
            if self.version != AIRFLOW_2:
                body["logical_date"] = None
            post(self._airflow, "/dags/quick_success/dagRuns", body)
        until(
            lambda: all(self._ended(number) for number in range(len(notes))),
            "the forged ones to end",
        )
        time.sleep(SETTLES / 4)
        self.forged = [f"{one.method} {one.path}" for one in self.github.record[began:]]

    def _ended(self, number: int) -> bool:
        return bool(
            the_run(self._airflow, "quick_success", f"forged-{number}")["state"] == "success"
        )

    def _kill_scheduler(self) -> None:
        """Kill the scheduler between the end of a run and its report; then let a step report it."""
        self._step("killed", "gated")
        until(lambda: the_run(self._airflow, "gated", "killed-1")["state"] == "running", "running")
        self.github.fault(Fault.HTML_503, times=UNLIMITED)
        open_gate(self._airflow, "killed-1")
        until(lambda: the_run(self._airflow, "gated", "killed-1")["state"] == "success", "the end")
        until(lambda: any(one.status == 503 for one in self.github.record), "a report that failed")
        components = self._airflow.components
        components.end("scheduler", signal.SIGKILL, REQUEST)
        self.github.clear_faults()
        components.start_again("scheduler")
        time.sleep(SETTLES / 4)
        self.before_sweep["killed"] = self.states("killed")
        for number in range(2):
            self._step(f"killed again {number}", "gated", trigger="false", run_id="killed-1")

    def _wait_for_states(self, scenario: str, expected: list[str]) -> None:
        """Return when GitHub got these states, or after a timeout; the tests compare."""
        deadline = time.monotonic() + TIMEOUT / 2
        while len(self.states(scenario)) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.5)
