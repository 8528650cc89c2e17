"""A real Airflow of one version, and what the scenarios find out about it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from dev.airflow import LocalAirflow
from dev.airflow_settings import ROOT
from tests.airflow.job import Job, verdict
from tests.airflow.repository import GitRepository, bundle_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dev.airflow_settings import Version
    from dev.runner import RunnerContext, StepResult

    Scenario = Callable[["VersionRun"], None]

AT_ONCE = 4
"""Scenarios that run at the same time. They mostly wait for Airflow's scheduler."""
LONGEST_RUN_ID = 230
"""Characters of a run id that these Airflows allow."""
REFUSED_RUN_ID = "no~tilde"
"""A run id that their pattern does not allow."""
BUNDLES = {"pinned": False, "broken": False, "never_parsed": True, "cleared": False}
"""The git bundles of an Airflow 3, and whether their first commit cannot be imported.

Each has a DAG of the same name.
"""
_SCENARIO_SECONDS = 900.0
_SETTINGS = {
    # Otherwise Airflow parses only files that contain the words "airflow" and "dag".
    "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE": "False",
    "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": f"^[A-Za-z0-9_.:+ -]{{1,{LONGEST_RUN_ID}}}$",
}
_KNOWN_CONNECTION = {"AIRFLOW_CONN_GIT_DEFAULT": "git://"}
"""A connection for the git bundles.

Airflow 3.1.8 looks for it in its database otherwise, which loses the bundles that it has just
added, and its DAG processor ends.
"""


class Limit(NamedTuple):
    """What a version cannot do, and the sentence with which the step says so."""

    feature: str
    sentence: str


class VersionRun:
    """One Airflow with all scenarios. They start together; `finish` waits for one of them.

    Args:
        version: release of Airflow.
        folder: folder for workspaces.
        scenarios: scenarios by name, those that take longest first.
    """

    def __init__(self, version: Version, folder: Path, scenarios: dict[str, Scenario]) -> None:
        self.release = version.release
        self.repositories = {
            name: GitRepository(folder / name, name, broken=broken)
            for name, broken in BUNDLES.items()
            if self.has(3)
        }
        bundles = bundle_settings(*self.repositories.values()) if self.repositories else {}
        if version.release[:2] == (3, 1):
            bundles |= _KNOWN_CONNECTION
        self.airflow = LocalAirflow(
            version,
            dags=ROOT / "tests" / "versions" / "dags",
            database="postgresql",
            settings=_SETTINGS | bundles,
        )
        self.limits: dict[str, list[Limit]] = {}
        self.passed: set[str] = set()
        self.left_out: set[str] = set()
        self._version = version
        self._folder = folder
        self._scenarios = scenarios
        self._name = threading.local()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._futures: dict[str, Future[None]] = {}

    def start(self) -> None:
        """Start Airflow, and then all scenarios."""
        self.airflow.start()
        self.airflow.wait_for_dag("plain_success", 120)
        for name in self._scenarios:
            self._futures[name] = self._pool.submit(self._run, name)

    def stop(self) -> None:
        """Stop Airflow; scenarios that still run fail."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.airflow.stop()

    def finish(self, name: str) -> None:
        """Wait for the end of a scenario; run it again if it has failed before."""
        future = self._futures.pop(name, None)
        if future is None:
            self._run(name)
        else:
            future.result(_SCENARIO_SECONDS)
        self.passed.add(name)

    def report(self) -> dict[str, object]:
        """Return what `dev.versions` writes into the table."""
        return {
            "version": self._version.name,
            "python": "{}.{}".format(*self._version.newest_python),
            "passed": len(self.passed - self.left_out),
            "failed": sorted(self._scenarios.keys() - self.passed),
            "limits": [limit for name in self._scenarios for limit in self.limits.get(name, ())],
        }

    def _run(self, name: str) -> None:
        self._name.value = name
        self.limits.pop(name, None)
        self._scenarios[name](self)

    # For the scenarios.

    def has(self, *release: int) -> bool:
        """Whether this Airflow is at least of this release."""
        return self.release >= release

    def job(self, context: RunnerContext | None = None) -> Job:
        """Return a job of a new workflow run."""
        folder = self._folder / uuid4().hex
        folder.mkdir()
        return Job(self.airflow, folder, context)

    def run(self, dag_id: str, /, **inputs: str) -> StepResult:
        """Return the result of the only step of a new job."""
        return self.job().run(dag_id, **inputs)

    def leave_out(self) -> None:
        """Record that the scenario is about something that this version does not have."""
        self.left_out.add(self._name.value)

    def cannot(self, feature: str, sentence: str) -> None:
        """Record what this version cannot do, and how the step has said so."""
        self.limits.setdefault(self._name.value, []).append(Limit(feature, sentence))

    def refuses(self, feature: str, title: str, /, **inputs: str) -> None:
        """Check that the step refuses these inputs with one sentence, and triggers nothing."""
        result = self.run("plain_untouched", **inputs)
        assert (result.exit_code, result.outputs["result"]) == (1, "error"), result.log
        assert verdict(result).startswith(f"{title}: "), result.log
        assert self.airflow.runs("plain_untouched") == []
        self.cannot(feature, title)

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        file.write_text(json.dumps(self.report()), encoding="utf-8")
