"""The Airflow that `make demo KEEP=true` keeps running, for other terminals.

It must not know how an Airflow is started.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from typing import TYPE_CHECKING

import requests

from dev.airflow_api import AirflowApi
from dev.airflow_settings import AIRFLOW_3, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = ROOT / ".airflow" / "demo.env"
_TIMEOUT = 5.0  # seconds
_URL = re.compile(r"^export AIRFLOW_URL=(\S+)$", re.MULTILINE)


@contextlib.contextmanager
def announced(airflow: AirflowApi) -> Iterator[None]:
    """Write its address and the admin's credential to FILE, for a shell, inside this context."""
    variables = {
        "AIRFLOW_URL": airflow.url,
        "AIRFLOW_API_URL": airflow.url,  # as `af` calls it
        "AIRFLOW_USERNAME": "admin",
        "AIRFLOW_PASSWORD": airflow.users["admin"],
    }
    FILE.write_text("".join(f"export {name}={shlex.quote(v)}\n" for name, v in variables.items()))
    try:
        yield
    finally:
        FILE.unlink(missing_ok=True)


def find() -> AirflowApi | None:
    """Return the Airflow that FILE names, if it responds."""
    if not FILE.exists() or not (url := _URL.search(FILE.read_text())):
        return None
    airflow = AirflowApi(AIRFLOW_3, url[1])
    with requests.Session() as session, contextlib.suppress(requests.RequestException):
        session.trust_env = False
        if session.get(f"{airflow.url}{airflow.api}/version", timeout=_TIMEOUT).ok:
            return airflow
    return None
