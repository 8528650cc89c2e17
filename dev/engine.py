"""The docker client, for the tests of the image and for `make image`."""

import json
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


class EngineError(Exception):
    """The docker client failed."""


def try_docker(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the client in the repository's root.

    Raises:
        TimeoutExpired: after `seconds` seconds
        OSError: if there is no client
    """
    command = (shutil.which("docker") or "docker", *arguments)
    return subprocess.run(
        command, cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=seconds
    )


def docker(*arguments: str, seconds: float = 60) -> str:
    """Return the client's output.

    Raises:
        EngineError: if the client fails, with its output
    """
    done = try_docker(*arguments, seconds=seconds)
    if done.returncode:
        raise EngineError(done.stdout + done.stderr)
    return done.stdout


def entrypoint(image: str) -> list[str]:
    """Return the image's ENTRYPOINT, which is in exec form if it begins with Python."""
    command: list[str] = json.loads(
        docker("inspect", "--format={{json .Config.Entrypoint}}", image)
    )
    return command
