"""The Airflow that the self-test's jobs leave running, started with fake commands."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from dev.airflow import AIRFLOW_2, AIRFLOW_3, LocalAirflow, Version
from dev.airflow_settings import address
from dev.self_test import start_in_background

URL = "http://172.17.0.1:8080"
WAIT_SECONDS = 60.0


def printing(line: str, then: str = "time.sleep(600)") -> list[str]:
    """A command that prints this line and then runs this code."""
    return [sys.executable, "-c", f"import sys, time; print({line!r}, flush=True); {then}"]


def running_commands() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process has ended
            found.append(path.read_text(errors="replace"))
    return found


def test_a_process_that_is_ready_goes_on_in_its_own_session(tmp_path: Path) -> None:
    process, url = start_in_background(
        printing(f"Airflow 3.3.2: ready at {URL} after 9.1 s"), tmp_path / "log", WAIT_SECONDS
    )
    try:
        assert url == URL
        assert process.poll() is None
        assert os.getsid(process.pid) == process.pid
    finally:
        process.kill()
        process.wait()


def test_a_process_that_ends_before_it_is_ready_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3:\nno such package"):
        start_in_background(
            printing("no such package", then="sys.exit(3)"), tmp_path / "log", WAIT_SECONDS
        )


def test_a_process_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="not ready after 0 s"):
        start_in_background(printing(str(tmp_path)), tmp_path / "log", 0.0)

    assert [command for command in running_commands() if str(tmp_path) in command] == []


@pytest.mark.parametrize("version", [AIRFLOW_2, AIRFLOW_3], ids=lambda version: version.name)
def test_airflow_listens_on_the_host_of_its_url(version: Version, tmp_path: Path) -> None:
    """The default is the loopback address."""
    for airflow, host in (
        (LocalAirflow(version, dags=tmp_path, host="172.17.0.1"), "172.17.0.1"),
        (LocalAirflow(version, dags=tmp_path), "127.0.0.1"),
    ):
        assert airflow.url.startswith(f"http://{host}:")
        assert [
            value for name, value in address(version, airflow.url).items() if name.endswith("_HOST")
        ] == [host]
