"""Who is measured: how each of them is started to trigger one DAG run and to wait for it, and which
line tells its end.

It must not know what is measured. Nothing of this machine's environment reaches a contestant but
the path of the commands.
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
from dev.runner import Context
from dev.runner.files import CommandFiles
from dev.runner.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BASELINES = Path(__file__).parent / "baselines"
_STATE = re.compile(r"^(success|failed)$")


@dataclass(frozen=True, slots=True)
class Job:
    """What a contestant is to do: run this DAG at this address, with `conf` (JSON); `folder` is
    empty and its own.
    """

    url: str
    api: str
    user: str
    password: str
    dag_id: str
    conf: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Command:
    """A command ready to be started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to run a DAG and wait.

    Attributes:
        name: as in the tables.
        command: makes the command.
        end: finds the line that tells the end of the DAG run.
        environment: what it needs to be installed, if anything.
        package: what to name with its version.
    """

    name: str
    command: Callable[[Job], Command]
    end: re.Pattern[str]
    environment: str | None = None
    package: str | None = None


def _action(**inputs: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
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
        context = Context()
        env = {
            "LANG": "C.UTF-8",
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "HOME": str(job.folder),
            **Metadata.read(ROOT / "action.yml").input_environment(given, context),
            **context.environment(workspace=workspace, temp=job.folder, event_path=event),
            **CommandFiles(files).environment,
        }
        return Command((str(python(ACTION)), "-I", "-u", "-m", "entrypoint"), _with_path(env))

    return command


def _shell(script: str, environment: str | None = None, **env: str) -> Callable[[Job], Command]:
    bash = shutil.which("bash") or "bash"
    return lambda job: Command(
        (bash, str(_BASELINES / script), job.dag_id, job.conf), _env(job, environment, **env)
    )


def _requests(job: Job) -> Command:
    argv = (str(python("requests")), str(_BASELINES / "requests_script.py"), job.dag_id, job.conf)
    return Command(argv, _env(job, "requests"))


def _af(job: Job) -> Command:
    argv = ("runs", "trigger-wait", job.dag_id, "--conf", job.conf, "--poll-interval", "5")
    program = str(FOLDER / "af" / "bin" / "af")
    return Command(
        (program, *argv), _env(job, "af", AIRFLOW_API_URL=job.url, AF_TELEMETRY_DISABLED="1")
    )


def _env(job: Job, environment: str | None, **more: str) -> dict[str, str]:
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


_SAID_BY_THE_ACTION = re.compile(r"The DAG run is (success|failed)$")
THIS_ACTION = Contestant("this action", _action(), _SAID_BY_THE_ACTION, ACTION)
WITHOUT_LOGS = Contestant(
    "this action, logs: none", _action(logs="none"), _SAID_BY_THE_ACTION, ACTION
)
SCRIPT = Contestant("requests script @5", _requests, _STATE, "requests", "requests")
CURL = Contestant("curl + jq loop @5", _shell("curl.sh"), _STATE)
AF = Contestant("af @5", _af, re.compile(r'"state": "(success|failed)"'), "af", "astro-airflow-mcp")
PARADIME = Contestant(
    "paradime @10",
    _shell("paradime.sh", "paradime", PARADIME_DISABLE_TELEMETRY="true"),
    re.compile(r"Completed successfully|DAG run failed"),
    "paradime",
    "paradime-io",
)
AIRFLOWCTL = Contestant(
    "airflowctl loop @5",
    _shell("airflowctl.sh", "airflowctl"),
    _STATE,
    "airflowctl",
    "apache-airflow-ctl",
)
EVERYBODY = (THIS_ACTION, WITHOUT_LOGS, SCRIPT, CURL, AF, PARADIME, AIRFLOWCTL)
