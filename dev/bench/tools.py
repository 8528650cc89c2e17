"""The measured tools: a command that triggers a DAG run, and the pattern of its last line.

It must not know what is measured. Of this machine's environment a tool only gets PATH.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev.airflow_settings import ROOT
from dev.bench.install import ACTION, FOLDER, python
from dev.runner import RunnerContext
from dev.runner.files import CommandFiles
from dev.runner.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BASELINES = Path(__file__).parent / "baselines"
_STATE = re.compile(r"^(success|failed)$")


@dataclass(frozen=True, slots=True)
class ToolJob:
    """The DAG run that a tool has to trigger, at this address.

    `conf` is JSON. `folder` is empty, for this tool only.
    """

    url: str
    api: str
    user: str
    password: str
    dag_id: str
    conf: str
    folder: Path


@dataclass(frozen=True, slots=True)
class ToolCommand:
    """A command that can be started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can run a DAG and wait.

    Attributes:
        name: as in the tables
        command: returns the command for a job
        end: pattern of the line with the DAG run's end
        environment: name of the environment to install, if any
        package: package whose version the report shows
    """

    name: str
    command: Callable[[ToolJob], ToolCommand]
    end: re.Pattern[str]
    environment: str | None = None
    package: str | None = None


def _action(**inputs: str) -> Callable[[ToolJob], ToolCommand]:
    def command(job: ToolJob) -> ToolCommand:
        given = {
            "airflow_url": job.url,
            "username": job.user,
            "password": job.password,
            "dag_id": job.dag_id,
            "conf": job.conf,
            "timeout": "30m",
            **inputs,
        }
        workspace, files, event = (
            job.folder / "workspace",
            job.folder / "files",
            job.folder / "event.json",
        )
        for folder in (workspace, files):
            folder.mkdir()
        event.write_text("{}")
        context = RunnerContext()
        env = {
            "LANG": "C.UTF-8",
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "HOME": str(job.folder),
            **Metadata.read(ROOT / "action.yml").input_environment(given, context),
            **context.environment(workspace=workspace, temp=job.folder, event_path=event),
            **CommandFiles(files).environment,
        }
        return ToolCommand((str(python(ACTION)), "-I", "-u", "-m", "entrypoint"), _with_path(env))

    return command


def shell(
    script: str | Path, environment: str | None = None, **env: str
) -> Callable[[ToolJob], ToolCommand]:
    """Return the command of a script in `baselines/`, or of one with an absolute path."""
    bash = shutil.which("bash") or "bash"
    return lambda job: ToolCommand(
        (bash, str(_BASELINES / script), job.dag_id, job.conf), _env(job, environment, **env)
    )


def _requests(job: ToolJob) -> ToolCommand:
    argv = (str(python("requests")), str(_BASELINES / "requests_script.py"), job.dag_id, job.conf)
    return ToolCommand(argv, _env(job, "requests"))


def _af(job: ToolJob) -> ToolCommand:
    argv = ("runs", "trigger-wait", job.dag_id, "--conf", job.conf, "--poll-interval", "5")
    program = str(FOLDER / "af" / "bin" / "af")
    return ToolCommand(
        (program, *argv), _env(job, "af", AIRFLOW_API_URL=job.url, AF_TELEMETRY_DISABLED="1")
    )


def _env(job: ToolJob, environment: str | None, **more: str) -> dict[str, str]:
    known = {
        "AIRFLOW_URL": job.url,
        "AIRFLOW_API": job.api,
        "AIRFLOW_USERNAME": job.user,
        "AIRFLOW_PASSWORD": job.password,
        "HOME": str(job.folder),
        "LANG": "C.UTF-8",
    }
    return _with_path(known | more, environment)


def _with_path(env: Mapping[str, str], environment: str | None = None) -> dict[str, str]:
    first = [str(FOLDER / environment / "bin")] if environment else []
    return {**env, "PATH": os.pathsep.join([*first, os.environ.get("PATH", os.defpath)])}


ON_BASE = "this action on the whole base"
"""Name of this action on the image's base, without the bytecode that the image adds."""
_ACTION_END = re.compile(r"The DAG run is (success|failed)$")
THIS_ACTION = Tool("this action", _action(), _ACTION_END, ACTION)
WITHOUT_LOGS = Tool("this action, logs: none", _action(logs="none"), _ACTION_END, ACTION)
SCRIPT = Tool("requests script @5", _requests, _STATE, "requests", "requests")
CURL = Tool("curl + jq loop @5", shell("curl.sh"), _STATE)
AF = Tool("af @5", _af, re.compile(r'"state": "(success|failed)"'), "af", "astro-airflow-mcp")
PARADIME = Tool(
    "paradime @10",
    shell("paradime.sh", "paradime", PARADIME_DISABLE_TELEMETRY="true"),
    re.compile(r"Completed successfully|DAG run failed"),
    "paradime",
    "paradime-io",
)
AIRFLOWCTL = Tool(
    "airflowctl loop @5",
    shell("airflowctl.sh", "airflowctl"),
    _STATE,
    "airflowctl",
    "apache-airflow-ctl",
)
ALL_TOOLS = (THIS_ACTION, WITHOUT_LOGS, SCRIPT, CURL, AF, PARADIME, AIRFLOWCTL)
