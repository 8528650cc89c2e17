"""`python -m dev.image NAME`: print an image's size, its packages and its start time."""

from __future__ import annotations

import json
import re
import sys
from statistics import median

from dev.engine import REPOSITORY, docker, try_docker

PYTHON = "/opt/action/bin/python"
_RUNS = 5  # repetitions
_DISTRIBUTIONS = (
    "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for "
    "d in m.distributions()}))"
)
_START = """
import resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
wall, use = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, use.ru_utime + use.ru_stime)
"""


def size(image: str) -> tuple[int, int, str]:
    """Return the image's size in bytes, its size beyond the base, and the base's name."""
    base = re.findall(r"^FROM (\S+)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)[-1]
    # BuildKit does not store the base as an image, and the image may come from another machine.
    if try_docker("image", "inspect", base).returncode:
        docker("pull", "--quiet", base, seconds=600)
    ours, theirs = (
        int(docker("image", "inspect", "--format={{.Size}}", name)) for name in (image, base)
    )
    return ours, ours - theirs, base


def installed(image: str) -> dict[str, str]:
    """Return the packages in the action's environment: lower-case name to version."""
    found: dict[str, str] = json.loads(_python(image, "-I", "-c", _DISTRIBUTIONS))
    return found


def start(image: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a step without inputs, from Python's start to its end.

    Medians, without the container engine's own time.
    """
    asked = ("-I", "-c", _START, PYTHON, "-I", "-u", "-B", "-m", "entrypoint")
    runs = [[float(number) for number in _python(image, *asked).split()] for _ in range(_RUNS)]
    wall, cpu = (median(one) for one in zip(*runs, strict=True))
    return wall, cpu


def _python(image: str, *arguments: str) -> str:
    return docker(
        "run", "--rm", "--network=none", "--read-only", f"--entrypoint={PYTHON}", image, *arguments
    )


def main(image: str) -> None:
    """Print an image's figures.

    Raises:
        EngineError: if there is no such image
    """
    ours, beyond, base = size(image)
    print(f"{image}: {ours / 1e6:.1f} MB, {beyond / 1e6:.1f} MB over {base}")
    found = installed(image)
    print(
        f"{len(found)} distributions: "
        f"{', '.join(f'{name} {version}' for name, version in sorted(found.items()))}"
    )
    wall, cpu = start(image)
    print(f"start: {wall:.2f} s, {cpu:.2f} s of CPU (median of {_RUNS} steps without inputs)")


if __name__ == "__main__":
    main(sys.argv[1])
