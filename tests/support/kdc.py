"""A real KDC (Debian's krb5-kdc) on the loopback, with its keytabs and the tickets of its users."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Self

from dev.airflow_settings import LOOPBACK, ROOT
from dev.extra_server import free_ports
from dev.processes import Components
from tests.support.file import newest_python
from tests.support.missing import missing

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow_settings import Version

REALM = "EXAMPLE.TEST"
HOST = "localhost"
"""Host name of the services; a ticket is for a name, not for an address."""
PACKAGES = ROOT / ".airflow" / "kerberos"
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_CLIENT = """[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 {realm} = {{
  kdc = {address}
 }}
[domain_realm]
 {host} = {realm}
"""
_SERVER = """[realms]
 {realm} = {{
  kdc_listen = {address}
  kdc_tcp_listen = {address}
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
 }}
"""


class Kdc:
    """A context manager. `services` are the services of this host that have a key in `keytab`."""

    def __init__(self, folder: Path, users: tuple[str, ...], services: tuple[str, ...]) -> None:
        if not shutil.which("krb5kdc", path=_PATH) or not shutil.which("kinit", path=_PATH):
            missing(
                "There is no KDC",
                "Install it (on Debian: apt-get install krb5-kdc krb5-admin-server krb5-user)",
            )
        self.keytab = folder / "services.keytab"
        self._folder = folder
        values = {
            "realm": REALM,
            "host": HOST,
            "folder": folder,
            "address": f"{LOOPBACK}:{free_ports(1)[0]}",
        }
        (folder / "krb5.conf").write_text(_CLIENT.format(**values))
        (folder / "kdc.conf").write_text(_SERVER.format(**values))
        self.env = {"KRB5_CONFIG": str(folder / "krb5.conf")}
        self._components = Components(
            {**self.env, "KRB5_KDC_PROFILE": str(folder / "kdc.conf"), "PATH": _PATH}, folder
        )
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        for user in users:
            self._add(user, folder / f"{user}.keytab")
        for service in services:
            self._add(f"{service}/{HOST}", self.keytab)

    def __enter__(self) -> Self:
        self._components.start("kdc", [str(shutil.which("krb5kdc", path=_PATH)), "-n"])
        return self

    def __exit__(self, *_: object) -> None:
        self._components.stop()

    def tickets(self, user: str, seconds: int = 3600) -> dict[str, str]:
        """Return the environment with a new ticket of this user; a second call renews it."""
        cache = self._folder / f"{user}.cache"
        command = ["kinit", "-l", f"{seconds}s", "-k", "-t", f"{self._folder}/{user}.keytab"]
        deadline = time.monotonic() + 10
        while True:
            done = self._try(*command, "-c", str(cache), user)
            if not done.returncode:
                return {**self.env, "KRB5CCNAME": f"FILE:{cache}"}
            assert time.monotonic() < deadline, done.stdout
            time.sleep(0.2)

    def _add(self, principal: str, keytab: Path) -> None:
        self._run("kadmin.local", "-q", f"addprinc -randkey {principal}")
        self._run("kadmin.local", "-q", f"ktadd -k {keytab} {principal}")

    def _run(self, *command: str) -> None:
        done = self._try(*command)
        assert not done.returncode, done.stdout

    def _try(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(shutil.which(name, path=_PATH)), *arguments],
            env=self._components.env,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )


def client_python() -> str:
    """Return a Python with the package gssapi, installed once."""
    python = PACKAGES / "client" / "bin" / "python"
    if not (PACKAGES / "client" / "complete").exists():
        _uv("venv", "--clear", "--python", newest_python(), str(PACKAGES / "client"))
        _uv("pip", "install", "--python", str(python), "gssapi==1.12.0")
        (PACKAGES / "client" / "complete").touch()
    return str(python)


def server_packages(version: Version) -> Path:
    """Return a folder with the packages that Airflow's backend imports."""
    folder = PACKAGES / f"server-{version.name}"
    if not (folder / "complete").exists():
        into = ["--python", str(version.bin / "python"), "--target", str(folder)]
        packages = ["pykerberos==1.2.4", "requests-kerberos==0.15.0", "pyspnego==0.12.4"]
        _uv("pip", "install", "--no-deps", *into, *packages)
        (folder / "complete").touch()
    return folder


def _uv(*arguments: str) -> None:
    uv = str(ROOT / ".venv" / "bin" / "uv")
    done = subprocess.run([uv, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        missing(
            f"{arguments[-1]} cannot be installed: {done.stderr[-500:]}",
            "Install what it needs (on Debian: apt-get install gcc libkrb5-dev)",
        )
