"""The Airflow that the self-test's jobs leave running: how it is started (with other commands), and
where it listens.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from dev.airflow import AIRFLOW_2, AIRFLOW_3, LocalAirflow, Version
from dev.airflow_settings import address
from dev.self_test import left_running

URL = "http://172.17.0.1:8080"
PATIENCE = 60.0


def saying(line: str, then: str = "time.sleep(600)") -> list[str]:
    """A command that prints this line, and then goes on or ends."""
    return [sys.executable, "-c", f"import sys, time; print({line!r}, flush=True); {then}"]


def commands() -> list[str]:
    """The commands of all processes of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended while we looked
            found.append(path.read_text(errors="replace"))
    return found


def test_it_is_left_running(tmp_path: Path) -> None:
    """What says where it is ready goes on, in a session of its own, when the caller has been
    told.
    """
    process, url = left_running(
        saying(f"Airflow 3.3.2: ready at {URL} after 9.1 s"), tmp_path / "log", PATIENCE
    )
    try:
        assert url == URL
        assert process.poll() is None
        assert os.getsid(process.pid) == process.pid
    finally:
        process.kill()
        process.wait()


def test_it_ends_too_soon(tmp_path: Path) -> None:
    """What ends before it is ready is an error that shows the log's end."""
    with pytest.raises(RuntimeError, match="exit code 3:\nno such package"):
        left_running(saying("no such package", then="sys.exit(3)"), tmp_path / "log", PATIENCE)


def test_it_is_not_ready_in_time(tmp_path: Path) -> None:
    """What takes too long is an error, and is not left running."""
    with pytest.raises(TimeoutError, match="not ready after 0 s"):
        left_running(saying(str(tmp_path)), tmp_path / "log", 0.0)

    assert [command for command in commands() if str(tmp_path) in command] == []


@pytest.mark.parametrize("version", [AIRFLOW_2, AIRFLOW_3], ids=lambda version: version.name)
def test_where_it_listens(version: Version, tmp_path: Path) -> None:
    """An Airflow listens on the address of its URL, which is the loopback unless another one is
    named.
    """
    for airflow, host in (
        (LocalAirflow(version, dags=tmp_path, host="172.17.0.1"), "172.17.0.1"),
        (LocalAirflow(version, dags=tmp_path), "127.0.0.1"),
    ):
        assert airflow.url.startswith(f"http://{host}:")
        assert [
            value for name, value in address(version, airflow.url).items() if name.endswith("_HOST")
        ] == [host]
