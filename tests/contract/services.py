"""A plain client of the stand-ins: it follows nothing, knows no proxy of this machine, and trusts
the private CA.
"""

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

    from tests.support.services.certificates import Pair

SOON = 60.0  # seconds; a bound, never waited for
DAGS = (FakeDag("d"),)


class Client:
    """Sends requests, each on a connection of its own. `trusts`: the PEM of a CA; `pair`: its own
    certificate.
    """

    def __init__(
        self, folder: Path, *, trusts: str = "", pair: Pair | None = None, proxy: str = ""
    ) -> None:
        self._options: dict[str, Any] = {"timeout": SOON, "allow_redirects": False}
        self._options["verify"] = _file(folder / "ca.pem", trusts or certificates.private().pem)
        if pair is not None:
            self._options["cert"] = (
                _file(folder / "cert.pem", pair.certificate),
                _file(folder / "key.pem", pair.key),
            )
        if proxy:
            self._options["proxies"] = {"https": proxy}

    def __call__(self, method: str, url: str, **options: Any) -> requests.Response:
        """The answer."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, url, **self._options | options)

    def trigger(
        self, airflow: FakeAirflow, headers: dict[str, str], base: str = ""
    ) -> requests.Response:
        """POST a run of the DAG "d"."""
        body = {} if airflow.version == "2.11.2" else {"logical_date": None}
        return self(
            "POST", f"{base or airflow.url}{airflow.api}/dags/d/dagRuns", json=body, headers=headers
        )

    def look(
        self, airflow: FakeAirflow, headers: dict[str, str], base: str = ""
    ) -> requests.Response:
        """GET the DAG "d"."""
        return self("GET", f"{base or airflow.url}{airflow.api}/dags/d", headers=headers)


def said(answer: requests.Response) -> tuple[int, Any]:
    """Status, and the body or what it gives as its title or detail."""
    if not answer.headers.get("Content-Type", "").endswith("json"):
        return answer.status_code, answer.text
    body = json.loads(answer.text)
    return answer.status_code, body.get("detail") or body.get("title") or body


def _file(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@contextlib.contextmanager
def airflow(version: Any, **options: Any) -> Iterator[FakeAirflow]:
    """A scripted Airflow with the DAG "d"."""
    with FakeAirflow(version, dags=DAGS, **options) as fake:
        yield fake
