"""The image on other systems: a shell in it (GitLab CI), or the container alone."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dev.airflow_settings import password_of
from dev.engine import docker, try_docker
from tests.support.factories import SHA
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask
from tests.support.other_ci import FILES, IMAGE, job
from tests.support.secrets import leaks_in
from tests.support.step import admin_inputs
from tests.unit.runners.test_generic import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EXAMPLE = "https://airflow.example.com"
PROBE = """
import socket, sys
for address in (("1.1.1.1", 443), ("8.8.8.8", 53)):
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        continue
    sys.exit("there is a way out")
"""


def inputs(fake: FakeAirflow, **more: str) -> dict[str, str]:
    """Return the step's inputs as environment variables."""
    given = admin_inputs(fake) | more
    return {f"INPUT_{name.upper()}": value for name, value in given.items()}


def run(
    image: str, env: Mapping[str, str], *options: str, command: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Run the image on a read-only file system; return exit code and checked log."""
    variables = [option for name, value in env.items() for option in ("--env", f"{name}={value}")]
    done = try_docker(
        "run", "--rm", "--read-only", *variables, *options, image, *command, seconds=120
    )
    log = done.stdout + done.stderr
    assert leaks_in(log, {password_of("admin")}) == []
    return done.returncode, log


def shell(script: str, env: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run the script in a repository with a commit; return exit code and checked log."""
    commit = (
        "git init --quiet && git -c user.name=a -c user.email=a@b.c commit --quiet "
        "--allow-empty --message=Begin"
    )
    machine = {
        name: os.environ[name] for name in ("PATH", "DOCKER_HOST", "HOME") if name in os.environ
    }
    argv = [shutil.which("sh") or "sh", "-c", f"{commit} && {script}"]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**machine, **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    log = done.stdout + done.stderr
    assert leaks_in(log, {value for name, value in env.items() if name.endswith("TOKEN")}) == []
    return done.returncode, log


@contextmanager
def isolated_network() -> Iterator[tuple[str, str]]:
    """A network that reaches this machine only: its name, and this machine's address in it."""
    name = f"airflow-dag-run-test-{secrets.token_hex(4)}"
    docker("network", "create", "--internal", name)
    try:
        yield (
            name,
            docker(
                "network", "inspect", name, "--format={{(index .IPAM.Config 0).Gateway}}"
            ).strip(),
        )
    finally:
        docker("network", "rm", name)


def outputs(folder: Path) -> dict[str, Any]:
    """Return the content of the output file."""
    found: dict[str, Any] = json.loads((folder / "outputs.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("ends", ["success", "failed"])
@pytest.mark.parametrize("system", FILES)
def test_each_example_ends_with_the_result_of_the_run_and_its_outputs(
    image: str, tmp_path: Path, system: str, ends: str
) -> None:
    dag = FakeDag("nightly_sales", tasks=(FakeTask("load", ends=ends),), polls=1, ends=ends)
    with FakeAirflow("3.3.2", dags=[dag]) as fake:
        written, environment, inside = job(system, fake.token())
        script = (
            written.replace(IMAGE, image)
            .replace(EXAMPLE, fake.url)
            .replace("docker run", "docker run --network=host")
        )
        env = {name: value.replace(EXAMPLE, fake.url) for name, value in environment.items()}
        if inside:
            code, log = run(
                image,
                env,
                "--network=host",
                f"--volume={tmp_path}:/builds/octo/sales",
                "--workdir=/builds/octo/sales",
                "--entrypoint=sh",
                command=("-c", script),
            )
        else:
            code, log = shell(script, env, tmp_path)
        (made,) = fake.runs("nightly_sales")

    assert code == (ends == "failed"), log
    assert (outputs(tmp_path)["result"], outputs(tmp_path)["run_id"]) == (ends, made.run_id)
    assert f"DAG run {'succeeded' if ends == 'success' else 'failed'}: nightly_sales" in log
    assert made.run_id.startswith(f"{system}__{SHA[:12]}__" if system in SYSTEMS else "deploy-")


def test_the_container_alone_passes_read_only_and_with_access_to_airflow_only(
    image: str, tmp_path: Path
) -> None:
    """Its outputs are in a mounted folder."""
    with (
        isolated_network() as (network, host),
        FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=1)], host=host) as fake,
    ):
        env = inputs(fake, run_id="by-hand") | {"AIRFLOW_DAG_RUN_OUTPUTS": "/outputs/outputs.json"}
        code, log = run(
            image, env, f"--network={network}", f"--volume={tmp_path}:/outputs", "--cap-drop=ALL"
        )
        nowhere, reported = run(
            image,
            {},
            f"--network={network}",
            "--entrypoint=/opt/action/bin/python",
            command=("-Ic", PROBE),
        )

    assert code == 0, log
    assert nowhere == 0, reported
    assert (outputs(tmp_path)["result"], outputs(tmp_path)["run_id"]) == ("success", "by-hand")
    assert "DAG run succeeded: sales" in log


def test_the_container_writes_only_the_output_file(image: str, tmp_path: Path) -> None:
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", polls=1)]) as fake:
        name = f"airflow-dag-run-test-{secrets.token_hex(4)}"
        env = inputs(fake, run_id="by-hand") | {"AIRFLOW_DAG_RUN_OUTPUTS": "/outputs/outputs.json"}
        variables = [option for key, value in env.items() for option in ("--env", f"{key}={value}")]
        docker(
            "create",
            f"--name={name}",
            "--network=host",
            f"--volume={tmp_path}:/outputs",
            *variables,
            image,
        )
        try:
            done = try_docker("start", "--attach", name, seconds=120)
            changed = docker("diff", name).split("\n")
        finally:
            docker("rm", "--force", name)

    assert done.returncode == 0, done.stdout
    assert [line for line in changed if line and line != "A /outputs"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["outputs.json"]
