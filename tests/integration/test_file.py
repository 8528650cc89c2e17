"""airflow-dag-run.pyz on the Pythons of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from dev.airflow_settings import password_of
from entrypoint import __version__
from entrypoint.inputs.settings import INPUT_NAMES
from entrypoint.signals import Interrupted, Interrupts
from pyz.build import build
from tests.container import attack
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask
from tests.support.file import FLAGS, newest_python, pythons, run_file
from tests.support.secrets import leaks_in
from tests.support.services import certificates
from tests.support.step import admin_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = [(python, "sources/") for python in pythons().values()] + [(newest_python(), "cpython-")]
WITH_CAS = """
import os, runpy, sys
start = runpy.run_path(sys.argv[1], run_name="start")
os.environ["SSL_CERT_FILE"] = sys.argv[2]  # the store of this machine
from entrypoint.command_line import run
sys.exit(run([], start["INTERRUPTS"], start["read_about"]))
"""


@pytest.fixture
def fake() -> Iterator[FakeAirflow]:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=1)]) as started:
        yield started


def variables(fake: FakeAirflow, **more: str) -> dict[str, str]:
    """Return the inputs of a step in a shell, as environment variables."""
    inputs = admin_inputs(fake) | {"run_id": "by-hand"} | more
    return {f"INPUT_{name.upper()}": value for name, value in inputs.items()}


def without(file: Path, folder: Path, pattern: str) -> Path:
    """Return a copy of the file without the members that match."""
    copy = folder / "copy.pyz"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for entry in old.infolist():
            if not re.match(pattern, entry.filename):
                new.writestr(entry, old.read(entry))
    return copy


@pytest.mark.parametrize(("python", "left_out"), PARTS)
def test_each_python_runs_a_step_from_its_bytecode_and_one_without_it_from_the_sources(
    file: Path, fake: FakeAirflow, tmp_path: Path, python: str, left_out: str
) -> None:
    copy = without(file, tmp_path, left_out)
    code, log = run_file(copy, env=variables(fake), python=python)

    assert code == 0, log
    assert "DAG run succeeded: sales" in log
    assert len(fake.runs("sales")) == 1


def test_a_second_build_has_the_same_bytes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.chdir(tmp_path)
    build(tmp_path / "again.pyz", list(pythons().values()))

    if "FILE" not in os.environ:
        assert (tmp_path / "again.pyz").read_bytes() == file.read_bytes()


def test_help_lists_every_input_and_version_the_version(file: Path) -> None:
    """Also on a console that cannot show all characters, and with a workspace's own modules."""
    env = {"PYTHONIOENCODING": "ascii"}
    code, text = run_file(file, "--help", env=env, flags=())

    assert code == 0
    options = re.findall(r"^  --([a-z-]+) (?:VALUE|FILE)\n      \S", text, re.MULTILINE)
    names = [name if name == "conf-file" else name.removesuffix("-file") for name in options]
    assert [name.replace("-", "_") for name in names] == [*INPUT_NAMES, "outputs"]
    code, text = run_file(file, "--version", env={})
    assert (code, text.split(" (")[0]) == (0, f"airflow-dag-run {__version__}")


@pytest.mark.parametrize(("arguments", "code"), [("--help >&-", 0), ("--wrong 2>&-", 2)])
def test_a_closed_stream_is_no_crash(file: Path, arguments: str, code: int) -> None:
    command = f'exec "{newest_python()}" -I "{file}" {arguments}'
    done = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout + done.stderr) == (code, "")


def test_options_stand_for_inputs_and_the_output_file(
    file: Path, fake: FakeAirflow, tmp_path: Path
) -> None:
    """An option overrides the variable. The password is in a file."""
    (tmp_path / "password").write_text(f"{password_of('admin')}\n")
    options = ["--airflow-url", fake.url, "--username=admin", "--dag-id", "sales"]
    options += ["--password-file", "password", "--conf", '{"day": 1}', "--run-id", "by-hand"]
    options += ["--outputs", "outputs.json"]
    code, log = run_file(file, *options, env={"INPUT_DAG_ID": "other"}, cwd=tmp_path)

    assert code == 0, log
    assert [run.conf for run in fake.runs("sales")] == [{"day": 1}]
    assert '"result": "success"' in (tmp_path / "outputs.json").read_text()
    assert leaks_in(log, {password_of("admin")}) == []


@pytest.mark.parametrize("flags", [FLAGS, ()], ids=["isolated", "plain"])
def test_modules_of_the_workspace_and_of_the_machine_are_not_imported(
    file: Path, fake: FakeAirflow, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """In a shell also without -I, except for what Python imports before its program."""
    attack.write_modules(tmp_path)
    for name in ("sitecustomize.py", "usercustomize.py"):
        (tmp_path / name).unlink()
    packages = tmp_path / "packages"
    (packages / "simplejson").mkdir(parents=True)
    (packages / "simplejson" / "__init__.py").write_text(f'print("{attack.MARK}")')
    env = variables(fake) | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{packages}"}
    code, log = run_file(file, env=env, flags=flags, cwd=tmp_path)

    assert code == 0, log
    assert attack.MARK not in log


def step_with_tls(
    file: Path, env: dict[str, str], *, store: Path | None = None, **inputs: str
) -> tuple[int, list[str]]:
    """Run a step with a server of a private CA; return the exit code and the run ids."""
    authority = certificates.trusted_ca()
    tls = authority.server("127.0.0.1")
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=1)], tls=tls) as fake:
        env = variables(fake, **inputs) | env
        if store is None:
            code, _ = run_file(file, env=env)
        else:
            store.write_text(authority.pem)
            command = [newest_python(), "-I", "-S", "-c", WITH_CAS, str(file), str(store)]
            code = subprocess.run(command, env=env, check=False, timeout=60).returncode
        return code, [run.run_id for run in fake.runs("sales")]


def test_the_machines_cas_are_trusted_and_those_of_the_job_are_not(
    file: Path, tmp_path: Path
) -> None:
    """And those of the input ca_certificate."""
    pem = certificates.trusted_ca().pem
    (tmp_path / "ca.pem").write_text(pem)
    of_the_job = {
        name: str(tmp_path / "ca.pem")
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    }

    assert step_with_tls(file, {}, store=tmp_path / "store.pem") == (0, ["by-hand"])
    assert step_with_tls(file, {}, ca_certificate=pem) == (0, ["by-hand"])
    assert step_with_tls(file, of_the_job) == (1, [])


def test_the_end_of_its_standard_input_cancels_a_launched_step(file: Path) -> None:
    """As native/ does it, also on Windows, where no process can send a signal to another."""
    with FakeAirflow(dags=[FakeDag("sales", tasks=(FakeTask("extract"),))]) as fake:
        fake.states("sales", ["running"])
        with subprocess.Popen(
            [newest_python(), *FLAGS, file, "--launched", "main"],
            env=variables(fake, poll_interval="60"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as step:
            assert step.stdin is not None
            assert step.stdout is not None
            watchdog = threading.Timer(60, step.kill)
            watchdog.start()
            lines = []
            for line in step.stdout:
                lines.append(line)
                if "The DAG run is queued" in line:
                    step.stdin.close()
            code = step.wait(timeout=7)
            watchdog.cancel()

        assert (code, [run.state for run in fake.runs("sales")]) == (1, ["failed"]), lines
    assert "Traceback" not in "".join(lines)


def test_a_signal_that_ends_no_wait_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that arrives between the last check of the main thread and its wait does not end it."""
    kill, sent = signal.pthread_kill, []

    def send(thread: int, number: signal.Signals) -> None:
        sent.append(number)
        if len(sent) == 3:
            kill(thread, number)

    monkeypatch.setattr(signal, "pthread_kill", send)
    reader, writer = os.pipe()
    interrupts = Interrupts()
    before = signal.signal(signal.SIGINT, interrupts._handle)
    try:
        with os.fdopen(reader) as pipe:
            interrupts.interrupt_at_end_of(pipe)
            interrupts.arm()
            os.close(writer)
            with pytest.raises(Interrupted):
                time.sleep(10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent == [signal.SIGINT] * 3


def test_an_old_python_says_what_it_needs(file: Path, tmp_path: Path) -> None:
    """The first module of the file is valid for it, and does nothing before."""
    with zipfile.ZipFile(file) as archive:
        source = archive.read("__main__.py").decode()
    old = "import sys; sys.version_info = (3, 6, 15, 'final', 0)\n"
    (tmp_path / "start.py").write_text(old + source)
    done = subprocess.run(
        [newest_python(), tmp_path / "start.py"], check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr == (
        "ERROR: airflow-dag-run.pyz needs Python 3.11 or later, and this is 3.6.\n"
    )


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_the_log_is_utf_8_whatever_the_code_page(file: Path, encoding: str) -> None:
    """Lines end with LF, also on Windows, where print would write CR LF."""
    env = {"PYTHONIOENCODING": encoding, "INPUT_NOTE": "größe ☃"}
    code, log = run_file(file, env=env, flags=())

    assert code == 1
    assert "docker run --env NAME …" in log
