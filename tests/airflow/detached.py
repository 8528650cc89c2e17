"""An Airflow with the listener in it, GitHub's stand-in beside it, and everything that can become
of a run nobody waits for.

All of it is played once, most of it side by side; what came of it is in GitHub's record. It must
not know what is expected.
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
from dev.runner import Context
from entrypoint.github_api.marker import Marker, note_with_marker
from tests.airflow.job import (
    PATIENCE,
    REQUEST,
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
from tests.support.stand_in import WITHOUT_END

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.airflow import Version
    from dev.runner import StepResult

LISTENER = ROOT / "listener"
PLAYS = ("success", "failure", "timeout", "by hand", "again", "killed", "deployed")
"""What a commit is for: each play has one of its own."""
SETTLES = 20.0
"""Seconds in which nothing may happen any more."""
FORGED = {
    "another repository": Marker("AIRFLOW", "API", "octo-org/secrets", "COMMIT", None),
    "another API": Marker("AIRFLOW", "https://evil.example.com", REPOSITORY, "COMMIT", None),
    "another Airflow": Marker("https://production.example.com", "API", REPOSITORY, "COMMIT", None),
    "another commit": Marker("AIRFLOW", "API", REPOSITORY, "f" * 40, None),
}


class Detached:
    """What was played in front of one Airflow. `steps` are the results of the steps, `commits` what
    they were for.
    """

    def __init__(self, version: Version, dags: Path, folder: Path) -> None:
        self.github = GitHubApi(
            {secrets.token_hex(20): None for _ in (*PLAYS, "f")} | {"f" * 40: None}
        )
        self.commits = dict(zip(PLAYS, self.github.history, strict=False))
        self.version = version
        self.steps: dict[str, StepResult] = {}
        self.logs = ""
        self.forged: list[str] = []
        self.before_sweep: dict[str, list[str]] = {}
        self._dags, self._folder = dags, folder

    def perform(self) -> Detached:
        """Play, and return itself."""
        with self.github, self._started() as airflow:
            self._airflow = airflow
            self._side_by_side()
            self._forge()
            self._kill()
            self.logs = "\n".join(
                file.read_text(errors="replace")
                for file in airflow.home.rglob("*.log")
                if file.is_file()
            )
        return self

    def states(self, play: str) -> list[str]:
        """The states that GitHub has seen, oldest first: of the commit's status, or of its
        deployment.
        """
        commit = self.commits[play]
        if play != "deployed":
            return [status["state"] for status in self.github.statuses_of(commit)]
        (deployment,) = [one for one in self.github.deployments if one["sha"] == commit]
        return self.github.deployment_states(deployment["id"])

    def described(self, play: str) -> str:
        """What GitHub shows last beside the state."""
        return str(self.github.statuses_of(self.commits[play])[-1]["description"])

    @contextmanager
    def _started(self) -> Iterator[LocalAirflow]:
        """Airflow 2 with the listener as a package and as a GitHub App, Airflow 3 with the file and
        a token.
        """
        extra: dict[str, Any] = {"repositories": [REPOSITORY.upper()]}
        connection: dict[str, Any] = {"conn_type": "http", "host": self.github.url, "extra": extra}
        settings = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(LISTENER)}
        if self.version == AIRFLOW_2:
            app = self.github.app
            connection |= {"login": app.app_id, "password": app.private_key}
            extra["installation_id"] = app.installation
            settings = {"PYTHONPATH": str(self._installed())}
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

    def _installed(self) -> Path:
        """Where the listener lies as a package."""
        folder, source = self._folder / "package", self._folder / LISTENER.name
        shutil.copytree(
            LISTENER, source, ignore=shutil.ignore_patterns("__pycache__")
        )  # a build leaves things behind
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

    def _step(self, play: str, dag_id: str, /, **inputs: str) -> StepResult:
        commit = self.commits.get(play.partition(" again")[0], next(iter(self.commits.values())))
        context = Context(
            repository=REPOSITORY, sha=commit, api_url=self.github.url, token=self.github.token
        )
        workspace = self._folder / secrets.token_hex(4)
        workspace.mkdir()
        asked = {
            "wait": "false",
            "report_to": "commit-status",
            "run_id": f"{play.replace(' ', '-')}-1",
        } | inputs
        self.steps[play] = Job(self._airflow, workspace, context).run(dag_id, **asked)
        return self.steps[play]

    def _side_by_side(self) -> None:
        """Runs that end well, badly, by their own time limit, by hand, and twice."""
        self._step("by hand", "held")
        self._step("timeout", "gated_briefly")
        self._step("again", "quick_success")
        self._step("success", "quick_success")
        self._step("failure", "quick_failure")
        self._step("deployed", "quick_success", report_to="deployment", environment="production")
        self._settle("again", ["pending", "success"])
        body = {
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
            "dag_run_id": "again-1",
        }
        post(self._airflow, "/dags/quick_success/clearTaskInstances", body)
        until(lambda: at_work(self._airflow, "held", "by-hand-1"), "at work")
        patch(self._airflow, "/dags/held/dagRuns/by-hand-1", state="failed")
        self._settle("again", ["pending", "success", "pending", "success"])
        for play, end in (("success", "success"), ("failure", "failure"), ("timeout", "failure")):
            self._settle(play, ["pending", end])
        self._settle("deployed", ["in_progress", "success"])
        if self.version != AIRFLOW_2:
            self._settle("by hand", ["pending", "failure"])
        self.before_sweep["by hand"] = self.states("by hand")
        for number in range(2):
            self._step(f"by hand again {number}", "held", trigger="false", run_id="by-hand-1")

    def _forge(self) -> None:
        """Runs whose notes anybody may have written; then a good one, so that those before it have
        been looked at.
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

    def _kill(self) -> None:
        """The scheduler is killed when a run has ended and GitHub has not heard of it; a sweep
        tells it.
        """
        self._step("killed", "gated")
        until(lambda: the_run(self._airflow, "gated", "killed-1")["state"] == "running", "running")
        self.github.fault(Fault.HTML_503, times=WITHOUT_END)
        open_gate(self._airflow, "killed-1")
        until(lambda: the_run(self._airflow, "gated", "killed-1")["state"] == "success", "the end")
        until(lambda: any(one.status == 503 for one in self.github.record), "a report that failed")
        components = self._airflow.components
        components.end("scheduler", signal.SIGKILL, REQUEST)
        self.github.mend()
        components.start_again("scheduler")
        time.sleep(SETTLES / 4)
        self.before_sweep["killed"] = self.states("killed")
        for number in range(2):
            self._step(f"killed again {number}", "gated", trigger="false", run_id="killed-1")

    def _settle(self, play: str, expected: list[str]) -> None:
        """Return when GitHub has seen these states, or when it obviously will not: the tests tell
        what came instead.
        """
        deadline = time.monotonic() + PATIENCE / 2
        while len(self.states(play)) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.5)
