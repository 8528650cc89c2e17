"""The measured tools in containers: images, a command each, and a container that is measured.

It must not know what a tool is compared with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dev.airflow_settings import ROOT
from dev.bench import cpu
from dev.bench.tools import AF, AIRFLOWCTL, ON_BASE, PARADIME, SCRIPT, THIS_ACTION
from dev.engine import docker, entrypoint
from dev.image import base, on_base, unpack_action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OURS = "airflow-dag-run:bench"
"""The tag of this action's image."""
_GONE = 20.0  # seconds until a removed container's client must have ended
_BUILD_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class ContainerJob:
    """The DAG run that a tool has to trigger: address, login, bearer token, DAG and conf (JSON)."""

    url: str
    user: str
    password: str
    token: str
    dag_id: str
    conf: str
    mark: str


@dataclass(frozen=True, slots=True)
class ContainerTool:
    """A tool in an image.

    Attributes:
        name: as in the tables
        image: the image's name
        options: further options of `docker run`
        argv: returns the arguments after the image for a job
        env: returns the environment for a job
        mounted: a folder of this machine that the container uses, if any
    """

    name: str
    image: str
    options: tuple[str, ...]
    argv: Callable[[ContainerJob], tuple[str, ...]]
    env: Callable[[ContainerJob], Mapping[str, str]]
    mounted: Path | None = None


def this_action() -> ContainerTool:
    """Build the image, and return this action in it."""
    docker("build", "--network=host", f"--tag={OURS}", ".", seconds=_BUILD_SECONDS)
    return ContainerTool(THIS_ACTION.name, OURS, (), lambda _: (), _inputs)


def this_action_on_base(folder: Path) -> ContainerTool:
    """Return this action, unpacked into `folder`, on the whole base without its bytecode."""
    unpack_action(OURS, folder)
    options, command = on_base(OURS, folder)
    return ContainerTool(
        ON_BASE, base(), tuple(options), lambda _: tuple(command), _inputs, folder / "action"
    )


def others() -> list[ContainerTool]:
    """Build the images of the other Python tools, and return these."""
    return [requests_script(), *(_other(name) for name in ("af", "paradime", "airflowctl"))]


def requests_script() -> ContainerTool:
    """Build the image of the script, and return it."""
    script = "/baselines/requests_script.py"
    return ContainerTool(
        SCRIPT.name,
        _built("requests"),
        (),
        lambda job: ("python", script, job.dag_id, job.conf),
        _env,
    )


def _other(lock: str) -> ContainerTool:
    tool, argv = _COMMANDS[lock]
    return ContainerTool(tool, _built(lock), (), argv, _env)


def _built(lock: str) -> str:
    tag = f"airflow-dag-run-bench:{lock}"
    docker(
        "build",
        "--network=host",
        f"--tag={tag}",
        f"--build-arg=LOCK={lock}",
        f"--file={ROOT / 'dev' / 'bench' / 'baselines' / 'Dockerfile'}",
        str(ROOT / "dev"),
        seconds=_BUILD_SECONDS,
    )
    return tag


def _inputs(job: ContainerJob) -> dict[str, str]:
    return {
        "INPUT_AIRFLOW_URL": job.url,
        "INPUT_USERNAME": job.user,
        "INPUT_PASSWORD": job.password,
        "INPUT_DAG_ID": job.dag_id,
        "INPUT_CONF": job.conf,
        "INPUT_RUN_ID": job.mark,
    }


def _env(job: ContainerJob) -> dict[str, str]:
    return {
        "AF_TELEMETRY_DISABLED": "1",
        "AIRFLOW_API": "/api/v2",
        "AIRFLOW_API_URL": job.url,
        "AIRFLOW_BEARER_TOKEN": job.token,
        "AIRFLOW_CLI_TOKEN": job.token,
        "AIRFLOW_PASSWORD": job.password,
        "AIRFLOW_URL": job.url,
        "AIRFLOW_USERNAME": job.user,
        "PARADIME_DISABLE_TELEMETRY": "true",
    }


def _airflowctl(job: ContainerJob) -> tuple[str, ...]:
    login = f"airflowctl auth login --api-url {job.url} --skip-keyring"
    trigger = f"airflowctl dags trigger {job.dag_id} --dag-run-id {job.mark} --output json"
    return ("sh", "-c", f"{login} && {trigger}")


_COMMANDS: dict[str, tuple[str, Callable[[ContainerJob], tuple[str, ...]]]] = {
    "af": (AF.name, lambda job: ("af", "runs", "trigger-wait", job.dag_id, "--conf", job.conf)),
    "paradime": (
        PARADIME.name,
        lambda job: (
            *("paradime", "run", "airflow-trigger", "--base-url", job.url),
            *("--dag-ids", job.dag_id, "--dag-run-conf", job.conf),
        ),
    ),
    "airflowctl": (AIRFLOWCTL.name, _airflowctl),
}


class MeasuredContainer:
    """A container of a tool, started with the context and removed when that is left."""

    def __init__(self, tool: ContainerTool, job: ContainerJob) -> None:
        self._tool = tool
        self._job = job

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        env = self._tool.env(self._job)
        argv = [
            shutil.which("docker") or "docker",
            *("run", "--rm", "--network=host", f"--cidfile={self._folder / 'id'}"),
            *(option for name in env for option in ("--env", name)),
            *self._tool.options,
            self._tool.image,
            *self._tool.argv(self._job),
        ]
        self.started_at = time.monotonic()
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            docker("rm", "--force", self.id)
        self._process.wait(_GONE)
        shutil.rmtree(self._folder)

    @property
    def id(self) -> str:
        """The container's id. The client writes it before it starts the container."""
        return (self._folder / "id").read_text()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (self._folder / "log").read_text(errors="replace")

    def cpu(self) -> float:
        """Return the CPU seconds of the container's processes so far."""
        return cpu.of_session(int(docker("inspect", "--format={{.State.Pid}}", self.id)))


def evict(tool: ContainerTool) -> bool:
    """Drop a tool's files from the page cache. Return False if this machine does not allow it.

    Files that a running process has mapped stay.
    """
    data = docker(
        "image", "inspect", "--format={{range .GraphDriver.Data}}{{.}}:{{end}}", tool.image
    )
    folders = [Path(name) for name in data.strip().split(":") if name.endswith("/diff")]
    folders += [tool.mounted] if tool.mounted else []
    if not folders or not all(os.access(folder, os.R_OK | os.X_OK) for folder in folders):
        return False
    os.sync()  # only pages that are on the disk can be dropped
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                number = os.open(path, os.O_RDONLY)
                os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(number)
    return True


def version_of_python(tool: ContainerTool) -> str:
    """Return the version of the Python in an image."""
    code = "import platform; print(platform.python_version())"
    start = (entrypoint(tool.image) or ["python"])[0]
    return docker("run", "--rm", f"--entrypoint={start}", tool.image, "-I", "-c", code).strip()
