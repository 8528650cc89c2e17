"""What the image has in place of a distribution: names, time zones, characters, CAs, a shell."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from dev.engine import REPOSITORY, docker, try_docker
from dev.image import PYTHON
from image.rootfs import COMMANDS
from tests.container.test_generic import inputs, run
from tests.container.test_image import probe
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.services import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME_SERVER = "127.53.53.53"
"""An address of the loopback, so that no other server has its port 53."""
DOMAIN = "corp.test"
SOON = 15
"""Seconds."""


@contextmanager
def named(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """Start a container in the background; yield its name."""
    name = f"airflow-dag-run-test-{secrets.token_hex(4)}"
    docker("run", "--detach", "--network=host", f"--name={name}", *options, image, *command)
    try:
        yield name
    finally:
        docker("rm", "--force", name)


@contextmanager
def name_server(image: str, *names: str) -> Iterator[str]:
    """Run a name server in the image, whose root may use port 53; yield the container's name."""
    script = REPOSITORY / "tests" / "support" / "name_server.py"
    options = (f"--volume={script}:/name_server.py:ro", f"--entrypoint={PYTHON}")
    with named(image, *options, command=("-I", "/name_server.py", NAME_SERVER, *names)) as name:
        until_logged(name, "ready")
        yield name


def until_logged(container: str, text: str) -> None:
    deadline = time.monotonic() + SOON
    while text not in docker("logs", container):
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.05)


@pytest.fixture
def fake() -> Iterator[FakeAirflow]:
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=1)]) as started:
        yield started


def resolved(fake: FakeAirflow, host: str) -> dict[str, str]:
    """Return the inputs of a step that has to resolve this name."""
    port = urlsplit(fake.url).port
    return inputs(fake, airflow_url=f"http://{host}:{port}", run_id="by-hand", wait="false")


def test_names_come_from_the_hosts_file(image: str, fake: FakeAirflow) -> None:
    env = resolved(fake, "airflow.internal")
    options = ("--network=host", "--dns=127.53.53.1", "--add-host=airflow.internal:127.0.0.1")
    code, log = run(image, env, *options)

    assert code == 0, log
    assert len(fake.runs("sales")) == 1


@pytest.mark.parametrize("host", ["airflow", "large"])
def test_names_come_from_a_resolver_in_a_search_domain(
    image: str, fake: FakeAirflow, host: str, tmp_path: Path
) -> None:
    """By UDP, or by TCP if the response is too large for UDP."""
    settings = tmp_path / "resolv.conf"
    settings.write_text(f"nameserver {NAME_SERVER}\nsearch other.test {DOMAIN}\n")
    with name_server(image, f"{host}.{DOMAIN}") as server:
        mount = f"--volume={settings}:/etc/resolv.conf:ro"
        code, log = run(image, resolved(fake, host), "--network=host", mount)
        asked = set(docker("logs", server).splitlines()) - {"ready"}

    assert code == 0, log
    assert len(fake.runs("sales")) == 1
    assert {f"udp {host}.other.test", f"udp {host}.{DOMAIN}"} <= asked
    assert (f"tcp {host}.{DOMAIN}" in asked) is (host == "large")


def test_time_zones_and_characters_are_known(image: str) -> None:
    """To Python, to C and to the shell; without TZ it is UTC."""
    code = """
import json, locale, os, subprocess, sys, time, zoneinfo
date = lambda zone: subprocess.run(["date", "-d@0", "+%H:%M"], env={"TZ": zone} if zone else {},
    check=True, capture_output=True, text=True).stdout.strip()
zone = os.environ.pop("TZ")
time.tzset()
utc = time.strftime("%H:%M", time.localtime(0))
os.environ["TZ"] = zone
time.tzset()
here = time.strftime("%H:%M", time.localtime(0))
known = [str(zoneinfo.ZoneInfo(zone)), len(zoneinfo.available_timezones()) > 400]
names = [locale.setlocale(locale.LC_ALL, ""), locale.nl_langinfo(locale.CODESET)]
print(json.dumps([utc, date(""), here, date(zone), *known, *names, sys.stdout.encoding, "größe"]))
"""
    assert json.loads(probe(image, code, env={"TZ": "Asia/Kolkata"})) == [
        "00:00",
        "00:00",
        "05:30",
        "05:30",
        "Asia/Kolkata",
        True,
        "C.UTF-8",
        "UTF-8",
        "utf-8",
        "größe",
    ]


def test_the_public_cas_are_known_and_a_private_one_is_trusted_only_if_given(image: str) -> None:
    code = """
import json, requests, ssl
context = ssl.create_default_context(cafile=requests.certs.where())
print(context.cert_store_stats()["x509_ca"] > 100)
"""
    authority = certificates.trusted_ca()
    tls = authority.server("127.0.0.1")
    with FakeAirflow("3.3.2", dags=[FakeDag("sales", polls=1)], tls=tls) as fake:
        env = inputs(fake, run_id="by-hand", wait="false")
        refused, log = run(image, env, "--network=host")
        untouched = fake.runs("sales")
        code_given, log_given = run(
            image, env | {"INPUT_CA_CERTIFICATE": authority.pem}, "--network=host"
        )
        made = fake.runs("sales")

    assert probe(image, code).strip() == "True"
    assert (refused, untouched) == (1, []), log
    assert "self-signed certificate" in log or "unable to get local issuer" in log
    assert (code_given, len(made)) == (0, 1), log_given


def test_glibc_can_end_a_thread(image: str) -> None:
    """It loads a library for that, and aborts the process if the library is missing."""
    code = """
import ctypes, threading
threading.Thread(target=ctypes.CDLL(None).pthread_exit, args=(None,), daemon=True).start()
threading.Event().wait(0.5)
print("alive")
"""
    assert probe(image, code).strip() == "alive"


def test_every_command_of_the_list_starts_and_no_other_program_exists(image: str) -> None:
    script = """
for name in /usr/bin/*; do
  case $name in
    */sh | */dash) "$name" -c : ;;
    *) "$name" --version >/dev/null ;;
  esac || echo "fails: $name"
  echo "${name##*/}"
done
"""
    found = docker("run", "--rm", "--entrypoint=sh", image, "-c", script).split()
    programs = docker("run", "--rm", "--entrypoint=ls", image, "/usr/local/bin").split()

    assert set(found) == COMMANDS.keys() | {"dash"}
    assert set(programs) == {"airflow-dag-run", "python", "python3", "python3.13"}


# The wrapper that Jenkins' durable-task plugin 1.37 puts around a script, for a stage whose agent
# is a container: `docker run IMAGE cat`, then `docker exec CONTAINER env … sh -c …`.
JENKINS = """
cp '{work}/script.sh' '{work}/script.sh.copy'
{{ while [ -d '{work}' -a \\! -f '{work}/result.txt' ]; do
touch '{work}/log.txt'; sleep 3; done }} &
jsc=durable-1; JENKINS_SERVER_COOKIE=$jsc 'sh' -xe '{work}/script.sh.copy' > '{work}/log.txt' 2>&1
echo $? > '{work}/result.txt.tmp'; mv '{work}/result.txt.tmp' '{work}/result.txt'; wait
"""


def test_jenkins_can_run_a_stage_in_the_image(
    image: str, fake: FakeAirflow, tmp_path: Path
) -> None:
    work = "/workspace/durable"
    folder = tmp_path / "durable"
    folder.mkdir()
    (folder / "script.sh").write_text("airflow-dag-run\n")
    given = [f"{name}={value}" for name, value in inputs(fake, run_id="by-hand").items()]
    options = ("-t", "--entrypoint=", f"--volume={tmp_path}:/workspace", "--workdir=/workspace")
    with named(image, *options, command=("cat",)) as name:
        wrapper = JENKINS.format(work=work)
        docker("exec", name, "env", *given, "nohup", "sh", "-c", wrapper, seconds=SOON)
        log = (folder / "log.txt").read_text()

    assert (folder / "result.txt").read_text() == "0\n", log
    assert "DAG run succeeded: sales" in log
    assert len(fake.runs("sales")) == 1


# What GitLab's runner gives to the shell that it finds, for a job whose image is this one.
GITLAB = """
if [ -x /usr/local/bin/bash ]; then exec /usr/local/bin/bash; elif [ -x /bin/sh ]; then
exec /bin/sh -c '
if set -o | grep pipefail > /dev/null; then set -o pipefail; fi; set -o errexit
set +o noclobber
mkdir -p /builds/sales.tmp
printf "%s" "{}" > /builds/sales.tmp/CONF
: | eval "cd /builds; id; {script}"
rm -r -f /builds/sales.tmp
exit 0
'; else echo shell not found; exit 1; fi
"""


@pytest.mark.parametrize("fails", [False, True])
def test_gitlab_can_run_a_job_in_the_image(
    image: str, fake: FakeAirflow, tmp_path: Path, fails: bool
) -> None:
    env = inputs(fake, run_id="by-hand") | ({"INPUT_TIMEOUT": "soon"} if fails else {})
    script = GITLAB.replace("{script}", "airflow-dag-run")
    options = ("--network=host", f"--volume={tmp_path}:/builds", "--entrypoint=sh")
    code, log = run(image, env, *options, command=("-c", script))

    assert (code != 0) is fails, log
    assert len(fake.runs("sales")) == (not fails)


def test_a_container_waits_for_commands(image: str) -> None:
    """As GitHub, Azure Pipelines and people keep one alive."""
    with named(image, "--entrypoint=tail", command=("-f", "/dev/null")) as name:
        done = try_docker("exec", name, "sh", "-c", "airflow-dag-run")

    assert done.returncode == 1
    assert done.stdout.startswith("ERROR: ")
