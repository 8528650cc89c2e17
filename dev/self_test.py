"""`python -m dev.self_test 3.3.2`: start a real Airflow for later steps of a GitHub job.

It knows how a container action reaches its runner; it must not know the action. The runner starts a
container action in Docker's own network, unless the job has a container or services
(docs/notes/runner.md#network-of-a-container), so it cannot reach the loopback. The gateway of
Docker's bridge is an address of the runner that every container can reach, but no other machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3, password_of
from dev.engine import docker
from dev.processes import tail

if TYPE_CHECKING:
    from collections.abc import Sequence

_READY = "ready at "
_START_TIMEOUT = 600.0  # installation included
_POLL = 0.2  # seconds between polls
_USER = "user"


def start_in_background(
    command: Sequence[str], log: Path, timeout: float
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a command with its output in `log`, and return it with its URL.

    The command prints the URL after `ready at`.

    Raises:
        RuntimeError: if it ends before, with the log's end
        TimeoutError: after `timeout` seconds, with the log's end
    """
    with log.open("wb") as output:
        # A session of its own, so that the end of this step does not end it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + timeout
    while True:
        ended = process.poll() is not None
        _, found, rest = log.read_text(errors="replace").rpartition(_READY)
        if found and "\n" in rest:
            return process, rest.split()[0]
        if ended:
            raise RuntimeError(f"It ended with exit code {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise TimeoutError(f"It was not ready after {timeout:.0f} s:\n{tail(log)}")
        time.sleep(_POLL)


def _gateway() -> str:
    return docker(
        "network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Gateway}}"
    ).strip()


def main() -> None:
    """Start Airflow, and write its URL and a user's credentials to the step's outputs."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.self_test", description="An Airflow for a job's later steps."
    )
    parser.add_argument("version", choices=[version.name for version in (AIRFLOW_3, AIRFLOW_2)])
    version = parser.parse_args().version
    log = Path(os.environ["RUNNER_TEMP"], "airflow.log")
    command = [sys.executable, "-u", "-m", "dev.airflow", version, "--host", _gateway()]
    _, url = start_in_background(command, log, _START_TIMEOUT)
    print(tail(log))
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"url={url}\nusername={_USER}\npassword={password_of(_USER)}\n")


if __name__ == "__main__":
    main()
