"""`python -m dev.image NAME`: print an image's weight, its packages and its start time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import zlib
from statistics import median
from typing import TYPE_CHECKING

from dev.engine import REPOSITORY, docker, entrypoint, try_docker

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = "/opt/action/bin/python"
RUNS = 5
"""Repetitions of a measurement."""
_LEVEL = 6  # of gzip, as registries have it
_DISTRIBUTIONS = (
    "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for "
    "d in m.distributions()}))"
)
_EVERYTHING = (
    "import entrypoint.stages, entrypoint.http.client, entrypoint.report.publish, "
    "entrypoint.report.summary, time; print(time.process_time())"
)


def base() -> str:
    """Return the name of the image that the Dockerfile takes Python from; pull it if needed."""
    (name,) = re.findall(
        r"^FROM (python\S+)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE
    )
    # BuildKit does not store the base as an image, and the image may come from another machine.
    if try_docker("image", "inspect", name).returncode:
        docker("pull", "--quiet", name, seconds=600)
    return str(name)


def unpacked(image: str) -> int:
    """Return the image's size in bytes on a disk."""
    return int(docker("image", "inspect", "--format={{.Size}}", image))


def compressed(image: str) -> int:
    """Return the image's size in bytes as a registry sends it, compressed by gzip."""
    client = shutil.which("docker") or "docker"
    packer, size = zlib.compressobj(_LEVEL), 0
    with subprocess.Popen([client, "save", image], stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None  # noqa: S101 - it was opened with a pipe
        while piece := saving.stdout.read(2**20):
            size += len(packer.compress(piece))
    return size + len(packer.flush())


def installed(image: str) -> dict[str, str]:
    """Return the packages in the action's environment: lower-case name to version."""
    found: dict[str, str] = json.loads(_python(image, "-I", "-c", _DISTRIBUTIONS))
    return found


def import_cpu(image: str, *options: str, runs: int = RUNS) -> float:
    """Return the CPU seconds until Python has started and imported what a step imports.

    The smallest value, because everything else on the machine can only add to it. `options` are
    those of `docker run`.
    """
    return min(
        float(_python(image, "-I", "-u", "-B", "-c", _EVERYTHING, options=options))
        for _ in range(runs)
    )


def refusal(
    image: str, *command: str, options: tuple[str, ...] = (), runs: int = RUNS
) -> list[float]:
    """Return the wall seconds of `docker run` until a step has refused its missing inputs."""
    found = []
    for _ in range(runs):
        began = time.monotonic()
        done = try_docker("run", "--rm", "--network=host", *options, image, *command)
        found.append(time.monotonic() - began)
        assert "ERROR: " in done.stdout, done.stderr  # noqa: S101 - else nothing was measured
    return found


def unpack_action(image: str, folder: Path) -> None:
    """Copy the action's environment out of the image, to `folder`/action."""
    name = docker("create", image).strip()
    try:
        docker("cp", f"{name}:/opt/action", str(folder / "action"))
    finally:
        docker("rm", name)


def on_base(image: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return options and command that start an unpacked action on the whole base.

    There the standard library has no bytecode.
    """
    start = entrypoint(image)
    return [f"--volume={folder / 'action'}:/opt/action:ro", f"--entrypoint={start[0]}"], start[1:]


def _python(image: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    fixed = ("--rm", "--network=none", "--read-only", f"--entrypoint={PYTHON}")
    return docker("run", *fixed, *options, image, *arguments)


def main(image: str) -> None:
    """Print an image's figures.

    Raises:
        EngineError: if there is no such image
    """
    print(f"{image}: {compressed(image) / 1e6:.1f} MB compressed, {unpacked(image) / 1e6:.1f} MB")
    found = installed(image)
    print(
        f"{len(found)} distributions: "
        f"{', '.join(f'{name} {version}' for name, version in sorted(found.items()))}"
    )
    print(f"start: {import_cpu(image):.2f} s of CPU until everything is imported")
    print(f"refusal: {median(refusal(image)):.2f} s for `docker run` without inputs")


if __name__ == "__main__":
    main(sys.argv[1])
