"""The image, and a launcher that leaves no container behind.

It is built once from the Dockerfile, unless IMAGE names one, as a release does.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator

import pytest

from dev.engine import REPOSITORY, docker, try_docker
from dev.runner import Container
from tests.support.missing import missing

# One name per checkout, because another checkout may use the same engine at the same time.
_TAG = f"airflow-dag-run:test-{hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:8]}"


@pytest.fixture(scope="session")
def image() -> str:
    remedy = "Install one (on Debian: apt-get install docker.io), start it, or set DOCKER_HOST"
    if not shutil.which("docker") or try_docker("version").returncode:
        missing("No Docker engine answers", remedy)
    if given := os.environ.get("IMAGE"):
        return given
    docker("build", "--network=host", f"--tag={_TAG}", ".", seconds=600)
    return _TAG


@pytest.fixture
def container(image: str) -> Iterator[Container]:
    """A launcher of the image. The test fails if a container outlives it."""
    launcher = Container(image)
    yield launcher
    leftovers = launcher.leftovers()
    launcher.remove_leftovers()
    assert leftovers == []
