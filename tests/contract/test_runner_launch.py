"""The replay's two ways to start a stage: what goes into arguments and environment, and what does
not.
"""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from dev.runner import Container, Process
from dev.runner.launch import Host
from dev.runner.metadata import Metadata

METADATA = Metadata(inputs={}, entrypoint=None, post_entrypoint="/post", env={})
HOST = Host(temp=Path("/home/runner/work/_temp"), workspace=Path("/home/runner/work/repo/repo"))
PATHS = {
    "INPUT_CONF_FILE": "/home/runner/work/repo/repo/conf.json",
    "GITHUB_WORKSPACE": "/home/runner/work/repo/repo",
    "GITHUB_OUTPUT": "/home/runner/work/_temp/_runner_file_commands/o",
    "HOME": "/home/runner/work/_temp/_github_home",
    "RUNNER_TEMP": "/home/runner/work/_temp",
    "RUNNER_WORKSPACE": "/home/runner/work/repo",
    "BESIDE": "/home/runner/work/repo/repository",
    "WITHIN": "see /home/runner/work/repo/repo",
}


@pytest.fixture(autouse=True)
def own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the machine that runs the tests, which is none of the step's."""
    monkeypatch.setenv("AIRFLOW_HOME", "/x")


def test_container_paths() -> None:
    """A value that is, or lies in, a mounted directory is translated; one that only looks like it
    is not.
    """
    launch = Container("image").prepare("main", METADATA, HOST, PATHS)

    assert {name: launch.env[name] for name in PATHS} == {
        "INPUT_CONF_FILE": "/github/workspace/conf.json",
        "GITHUB_WORKSPACE": "/github/workspace",
        "GITHUB_OUTPUT": "/github/file_commands/o",
        "HOME": "/github/home",
        "RUNNER_TEMP": "/github/runner_temp",
        "RUNNER_WORKSPACE": "/home/runner/work/repo",
        "BESIDE": "/home/runner/work/repo/repository",
        "WITHIN": "see /home/runner/work/repo/repo",
    }
    assert "AIRFLOW_HOME" not in launch.env


def test_container_arguments() -> None:
    """The client gets names of variables without values, the runner's mounts and working directory,
    and the image last.
    """
    launch = Container("owner/image:tag").prepare(
        "main", METADATA, HOST, {"INPUT_PASSWORD": "s3cret", "CI": "1"}
    )
    options = set(pairwise(launch.argv))

    assert not any("s3cret" in argument for argument in launch.argv)
    assert {("-e", "INPUT_PASSWORD"), ("-e", "CI"), ("-e", "GITHUB_ACTIONS=true")} <= options
    assert {
        ("-v", "/home/runner/work/repo/repo:/github/workspace"),
        ("-v", "/home/runner/work/_temp:/github/runner_temp"),
    } <= options
    assert {"--rm", "--workdir=/github/workspace"} <= set(launch.argv)
    assert not {"--user", "--init", "--tty", "-t", "-i", "--entrypoint"} & set(launch.argv)
    assert launch.argv[-1] == "owner/image:tag"


def test_container_post() -> None:
    """The post stage has the entry point that action.yml names, and CI is set where the job does
    not set it.
    """
    options = set(pairwise(Container("image").prepare("post", METADATA, HOST, {}).argv))

    assert {("--entrypoint", "/post"), ("-e", "CI=true")} <= options


def test_containers_are_told_apart() -> None:
    """Each launcher has its label and each stage its name, so that leftovers can be found."""
    container = Container("image")
    first, second = (container.prepare("main", METADATA, HOST, {}).argv for _ in range(2))

    assert len(set(first) & set(second)) == len(set(first)) - 1
    assert f"--label={container.label}" in first
    assert Container("image").label != container.label


def test_process() -> None:
    """A process gets the step's environment, its paths untouched, the repository to import from,
    and nothing else of ours.
    """
    launch = Process().prepare("main", METADATA, HOST, {**PATHS, "PYTHONPATH": "src"})

    assert launch.argv == (sys.executable, "-P", "-u", "-m", "entrypoint")
    assert launch.env.items() >= PATHS.items()
    assert launch.env["PYTHONPATH"] == str(Path(__file__).parents[2])
    assert launch.env.keys() - PATHS == {"PATH", "LANG", "CI", "GITHUB_ACTIONS", "PYTHONPATH"}
    assert launch.cwd == HOST.workspace
