"""The two forms of the action, and launchers that leave nothing behind.

The image is built once from the Dockerfile, unless IMAGE names one, as a release does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from dev.engine import REPOSITORY, docker, try_docker
from dev.runner import Container
from tests.container.forms import FORMS
from tests.support.file import native_launcher
from tests.support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.container.forms import AnyLauncher, MakeLauncher

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


@pytest.fixture(scope="session")
def form(request: pytest.FixtureRequest) -> str:
    """The form of the action that a test starts; see `both_forms`."""
    return str(getattr(request, "param", FORMS[0]))


@pytest.fixture(scope="session")
def make_launcher(form: str, request: pytest.FixtureRequest) -> MakeLauncher:
    """Make a launcher of this form."""
    if form == "image":
        image: str = request.getfixturevalue("image")
        return lambda: Container(image)
    file: Path = request.getfixturevalue("file")
    return lambda: native_launcher(file)


@pytest.fixture
def launcher(make_launcher: MakeLauncher) -> Iterator[AnyLauncher]:
    """A launcher of this form. The test fails if a container or process outlives it."""
    made = make_launcher()
    yield made
    leftovers = made.leftovers()
    made.remove_leftovers()
    assert leftovers == []


@pytest.fixture
def container(image: str) -> Iterator[Container]:
    """A launcher of the image. The test fails if a container outlives it."""
    launcher = Container(image)
    yield launcher
    leftovers = launcher.leftovers()
    launcher.remove_leftovers()
    assert leftovers == []
