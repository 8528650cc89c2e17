"""The docker client, as the tests of the image use it beside the runner's replay."""

import json
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def try_docker(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the client in the repository's root. Raises TimeoutExpired after so many seconds, OSError if there is none."""
    command = (shutil.which("docker") or "docker", *arguments)
    return subprocess.run(  # noqa: S603 - starting it is the purpose
        command, cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=seconds
    )


def docker(*arguments: str, seconds: float = 60) -> str:
    """What the client prints; an assertion fails, with its errors, if it does."""
    done = try_docker(*arguments, seconds=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def entrypoint(image: str) -> list[str]:
    """The image's ENTRYPOINT, which is in exec form if it begins with Python."""
    command: list[str] = json.loads(docker("inspect", "--format={{json .Config.Entrypoint}}", image))
    return command
