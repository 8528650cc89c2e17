"""Start a stage of the step as the runner does: in a container, or with Node.

Measured: docs/notes/runner.md#docker-run-command, docs/notes/runner.md#javascript-actions.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from dev.runner.metadata import Metadata

Stage = Literal["main", "post"]

_REPOSITORY = Path(__file__).parents[2]
# The commands of the image's ENTRYPOINT and of its /opt/action/bin/post.
_CODE: dict[Stage, tuple[str, ...]] = {
    "main": ("-m", "entrypoint"),
    "post": (str(_REPOSITORY / "bin" / "post"),),
}
_DOCKER_SECONDS = 60
_NATIVE = _REPOSITORY / "native"


@dataclass(frozen=True, slots=True)
class Host:
    """The runner's directories."""

    temp: Path
    workspace: Path

    @property
    def mounts(self) -> dict[Path, str]:
        """Directory to path in the container.

        A later entry lies inside an earlier one, and takes precedence when paths are translated.
        """
        return {
            self.temp: "/github/runner_temp",
            self.home: "/github/home",
            self.workflow: "/github/workflow",
            self.file_commands: "/github/file_commands",
            self.workspace: "/github/workspace",
        }

    @property
    def home(self) -> Path:
        """HOME of the step."""
        return self.temp / "_github_home"

    @property
    def workflow(self) -> Path:
        """The directory of the event's payload."""
        return self.temp / "_github_workflow"

    @property
    def file_commands(self) -> Path:
        """The directory of GITHUB_OUTPUT and the other command files."""
        return self.temp / "_runner_file_commands"


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that can be started; `discard` cleans up after its process has ended."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    discard: Callable[[], None]


class Launcher(Protocol):
    """Prepares one stage; `env` is the step's whole environment, with paths as on the host."""

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """Return the command that runs `stage`."""


@dataclass(frozen=True, slots=True)
class Process:
    """Runs the repository's own code with `python`, without an image and without isolation.

    The environment has none of this process's variables. `-P` replaces the image's `-I`, which
    would hide the repository as well.
    """

    python: str = sys.executable

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """Return the command that runs `stage`, in the workspace."""
        del metadata
        image = {"PATH": os.defpath, "LANG": "C.UTF-8", "GITHUB_ACTIONS": "true", "CI": "true"}
        return Launch(
            argv=(self.python, "-P", "-u", *_CODE[stage]),
            env={**image, **env, "PYTHONPATH": str(_REPOSITORY)},
            cwd=host.workspace,
            discard=lambda: None,
        )


@dataclass(frozen=True, slots=True)
class Container:
    """Runs `image` with the docker client.

    It uses the host's network, because a local engine may have no bridge.
    """

    image: str
    label: str = field(default_factory=lambda: secrets.token_hex(3))

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """Return the `docker run` command of `stage`.

        Values are in the client's environment, never in its arguments.
        """
        inside = {name: _translate(value, host.mounts) for name, value in env.items()}
        name = f"{re.sub('[^A-Za-z0-9_]', '', self.image)}_{secrets.token_hex(3)}"
        entrypoint = metadata.entrypoint if stage == "main" else metadata.post_entrypoint
        options = [f"--name={name}", f"--label={self.label}", "--workdir=/github/workspace", "--rm"]
        options += [option for variable in inside for option in ("-e", variable)]
        options += ["-e", "GITHUB_ACTIONS=true"]
        options += [] if "CI" in inside else ["-e", "CI=true"]
        options += ["--entrypoint", entrypoint] if entrypoint else []
        options += ["--network=host"]
        volumes = {_docker_socket(): "/var/run/docker.sock", **host.mounts}
        options += [
            option for outside, path in volumes.items() for option in ("-v", f"{outside}:{path}")
        ]
        return Launch(
            argv=(_docker_client(), "run", *options, self.image),
            env={**_docker_environment(), **inside},
            cwd=host.workspace,
            discard=lambda: self._remove(name),
        )

    def leftovers(self) -> list[str]:
        """Return the names of our containers that still exist, running or not."""
        return _docker("ps", "--all", f"--filter=label={self.label}", "--format={{.Names}}").split()

    def remove_leftovers(self) -> None:
        """Kill and remove our containers that still exist."""
        for name in self.leftovers():
            self._remove(name)

    def _remove(self, name: str) -> None:
        if name in self.leftovers():
            _docker("rm", "--force", "--volumes", name)


@dataclass(frozen=True, slots=True)
class Native:
    """Runs a JavaScript action with Node, and without anything else of this machine.

    Attributes:
        node: path of Node.
        path: PATH of the runner; a job may set another one.
        label: of the job, by which the runner finds the processes that a step has left.
        metadata: action.yml in the folder of the scripts.
    """

    node: str
    path: str
    label: str = field(default_factory=lambda: secrets.token_hex(3))
    metadata: Path = _NATIVE / "action.yml"

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """Return the command that runs `stage`, in the workspace."""
        script = metadata.entrypoint if stage == "main" else metadata.post_entrypoint
        machine = {"PATH": self.path, "LANG": "C.UTF-8", "GITHUB_ACTIONS": "true", "CI": "true"}
        return Launch(
            argv=(self.node, str(self.metadata.parent / str(script))),
            env={**machine, **env, "RUNNER_TRACKING_ID": self.label},
            cwd=host.workspace,
            discard=self.remove_leftovers,
        )

    def leftovers(self) -> list[str]:
        """Return the ids of our processes that still run, Node and Python."""
        mark = f"RUNNER_TRACKING_ID={self.label}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended, or is not ours
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(folder.name)
        return found

    def pythons(self) -> list[str]:
        """Return the ids of our processes that run Python."""
        node = Path(self.node).resolve()
        return [pid for pid in self.leftovers() if Path(f"/proc/{pid}/exe").readlink() != node]

    def remove_leftovers(self) -> None:
        """Kill our processes that still run."""
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _translate(value: str, mounts: Mapping[Path, str]) -> str:
    """Return `value` as the container sees it, if it is a path in a mounted directory."""
    for outside, inside in reversed(list(mounts.items())):
        if value == str(outside) or value.startswith(f"{outside}/"):
            return inside + value.removeprefix(str(outside))
    return value


def _docker_client() -> str:
    """Return the docker client's path, because the step's environment may have another PATH."""
    return shutil.which("docker") or "docker"


def _docker_environment() -> dict[str, str]:
    """Return the variables of this process that the docker client needs."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == "PATH" or name.startswith("DOCKER_")
    }


def _docker_socket() -> Path:
    """Return the engine's socket, to mount it as the runner does.

    A path that does not exist would become a directory.
    """
    return Path(
        os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    )


def _docker(*arguments: str) -> str:
    command = (_docker_client(), *arguments)
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=_DOCKER_SECONDS,
    )
    return done.stdout
