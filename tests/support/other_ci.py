"""Read the examples for other CI systems as these systems do: command and environment.

It must not know what the command does.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.unit.runners.test_generic import SYSTEMS

FOLDER = Path(__file__).parents[2] / "examples" / "other-ci"
IMAGE = "ghcr.io/OWNER/airflow-dag-run@sha256:DIGEST"
FILES = {
    "gitlab": "gitlab-ci.yml",
    "azure": "azure-pipelines.yml",
    "jenkins": "Jenkinsfile",
    "shell": "gate.sh",
}
_SECRET = re.compile(r"\$AIRFLOW_TOKEN|\$\(AIRFLOW_TOKEN\)|credentials\('airflow-token'\)")


class CiJob(NamedTuple):
    """A shell script and its environment.

    `inside`: the shell runs in the image itself, without docker.
    """

    script: str
    environment: dict[str, str]
    inside: bool


def text(system: str) -> str:
    return (FOLDER / FILES[system]).read_text(encoding="utf-8")


def job(system: str, token: str) -> CiJob:
    """Return the job of this system's example, with this token as its secret."""
    return {"gitlab": _gitlab, "azure": _azure, "jenkins": _jenkins, "shell": _shell}[system](token)


def _gitlab(token: str) -> CiJob:
    gate: dict[str, Any] = yaml.safe_load(text("gitlab"))["gate"]
    assert gate["image"] == {"name": IMAGE, "entrypoint": [""]}
    variables = {name: _SECRET.sub(token, value) for name, value in gate["variables"].items()}
    return CiJob("\n".join(["set -e", *gate["script"]]), SYSTEMS["gitlab"] | variables, inside=True)


def _azure(token: str) -> CiJob:
    (step,) = yaml.safe_load(text("azure"))["jobs"][0]["steps"]
    variables = {name: _SECRET.sub(token, value) for name, value in step["env"].items()}
    return CiJob(step["script"], SYSTEMS["azure"] | variables, inside=False)


def _jenkins(token: str) -> CiJob:
    stage = text("jenkins").partition("stage('Deploy')")[0]
    block = re.search(r"environment \{(.*?)\n      \}", stage, re.DOTALL)
    script = re.search(r"sh '''\n(.*?)'''", stage, re.DOTALL)
    assert block and script  # noqa: PT018 - one example
    variables = dict(line.strip().split(" = ") for line in block[1].strip().splitlines())
    given = {name: _SECRET.sub(token, value).strip("'") for name, value in variables.items()}
    return CiJob(textwrap.dedent(script[1]), SYSTEMS["jenkins"] | given, inside=False)


def _shell(token: str) -> CiJob:
    return CiJob(text("shell"), {"AIRFLOW_TOKEN": token}, inside=False)
