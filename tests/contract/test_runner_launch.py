"""The replay's launchers: arguments and environment of a container and of a process."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from dev.runner import Container, Native, Process
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
    """A variable of the machine that runs the tests; the step must not get it."""
    monkeypatch.setenv("AIRFLOW_HOME", "/x")


def test_paths_in_mounted_directories_are_translated() -> None:
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


def test_the_arguments_have_variable_names_mounts_and_the_image_last() -> None:
    """They have no values of variables."""
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


def test_the_post_stage_has_the_entry_point_of_action_yml() -> None:
    """CI is set unless the job sets it."""
    options = set(pairwise(Container("image").prepare("post", METADATA, HOST, {}).argv))

    assert {("--entrypoint", "/post"), ("-e", "CI=true")} <= options


def test_each_launcher_has_a_label_and_each_stage_a_name() -> None:
    """So leftovers can be found."""
    container = Container("image")
    first, second = (container.prepare("main", METADATA, HOST, {}).argv for _ in range(2))

    assert len(set(first) & set(second)) == len(set(first)) - 1
    assert f"--label={container.label}" in first
    assert Container("image").label != container.label


def test_a_process_gets_the_environment_of_the_step_and_the_import_path_only() -> None:
    launch = Process().prepare("main", METADATA, HOST, {**PATHS, "PYTHONPATH": "src"})

    assert launch.argv == (sys.executable, "-P", "-u", "-m", "entrypoint")
    assert launch.env.items() >= PATHS.items()
    assert launch.env["PYTHONPATH"] == str(Path(__file__).parents[2])
    assert launch.env.keys() - PATHS == {"PATH", "LANG", "CI", "GITHUB_ACTIONS", "PYTHONPATH"}
    assert launch.cwd == HOST.workspace


def test_a_javascript_action_gets_the_runners_path_and_a_mark_for_orphans() -> None:
    """The job may replace PATH. Nothing else of this machine reaches the step."""
    native = Native(
        "/externals/node24/bin/node", "/usr/bin", metadata=Path("/actions/native/x.yml")
    )
    scripts = Metadata(inputs={}, entrypoint="main.cjs", post_entrypoint="post.cjs", env={})
    launch = native.prepare("post", scripts, HOST, PATHS)

    assert launch.argv == ("/externals/node24/bin/node", "/actions/native/post.cjs")
    assert launch.env == {
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
        "GITHUB_ACTIONS": "true",
        "CI": "true",
        **PATHS,
        "RUNNER_TRACKING_ID": native.label,
    }
    assert native.prepare("main", scripts, HOST, {"PATH": "/mine"}).env["PATH"] == "/mine"
    assert launch.cwd == HOST.workspace
