"""A plain client of the stand-ins: no redirects, no proxy of the machine, the private CA."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import requests

from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.services import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.services.certificates import KeyPair

SOON = 60.0  # seconds; an upper bound
DAGS = (FakeDag("d"),)


class ServiceClient:
    """Send each request on its own connection."""

    def __init__(
        self, folder: Path, *, trusts: str = "", pair: KeyPair | None = None, proxy: str = ""
    ) -> None:
        self._options: dict[str, Any] = {"timeout": SOON, "allow_redirects": False}
        self._options["verify"] = _file(folder / "ca.pem", trusts or certificates.trusted_ca().pem)
        if pair is not None:
            self._options["cert"] = (
                _file(folder / "cert.pem", pair.certificate),
                _file(folder / "key.pem", pair.key),
            )
        if proxy:
            self._options["proxies"] = {"https": proxy}

    def __call__(self, method: str, url: str, **options: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, url, **self._options | options)

    def trigger(
        self, airflow: FakeAirflow, headers: dict[str, str], base: str = ""
    ) -> requests.Response:
        """Trigger a run of the DAG "d"."""
        body = {} if airflow.version == "2.11.2" else {"logical_date": None}
        return self(
            "POST", f"{base or airflow.url}{airflow.api}/dags/d/dagRuns", json=body, headers=headers
        )

    def get_dag(
        self, airflow: FakeAirflow, headers: dict[str, str], base: str = ""
    ) -> requests.Response:
        return self("GET", f"{base or airflow.url}{airflow.api}/dags/d", headers=headers)


def summary_of(answer: requests.Response) -> tuple[int, Any]:
    """Return the status, and the body or its title or detail."""
    if not answer.headers.get("Content-Type", "").endswith("json"):
        return answer.status_code, answer.text
    body = json.loads(answer.text)
    return answer.status_code, body.get("detail") or body.get("title") or body


def _file(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@contextlib.contextmanager
def airflow(version: Any, **options: Any) -> Iterator[FakeAirflow]:
    with FakeAirflow(version, dags=DAGS, **options) as fake:
        yield fake
