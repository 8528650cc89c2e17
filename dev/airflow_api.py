"""The REST API of a running Airflow, with the login of each user.

It must not know how an Airflow is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from dev.airflow_settings import ROLES, password_of

if TYPE_CHECKING:
    from dev.airflow_settings import Version

HTTP_TIMEOUT = 60.0  # seconds
_RETRIES = Retry(
    total=6,
    backoff_factor=1.0,
    status_forcelist=(500, 502, 503, 504),
    allowed_methods=("GET",),
    raise_on_status=False,
)
"""For reading Airflow's records, whatever state the tests have put it into."""
_LOGIN_RETRIES = _RETRIES.new(allowed_methods=None)
"""A login is a POST, but can be repeated like a GET."""
_PAGE = 100  # Airflow 3 silently cuts larger pages (docs/notes/airflow-3.md#task-instances)


class AirflowApi:
    """An Airflow with this base URL.

    `release` is its version as numbers. `api` is the path of the REST API below `url`. `users` maps
    names to passwords: admin, op, user and viewer have the role of their name.
    """

    def __init__(self, version: Version, url: str) -> None:
        self.version = version.name
        self.release = version.release
        self.url = url
        self.api = "/api/v1" if version.major == 2 else "/api/v2"
        self.users = {name: password_of(name) for name in ROLES}

    def session(self, user: str = "admin") -> requests.Session:
        """Return a new session with this user's credential, without proxies; callers close it."""
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", HTTPAdapter(max_retries=_RETRIES))
        credentials = {"username": user, "password": self.users[user]}
        if self.api == "/api/v1":
            session.auth = (user, self.users[user])
            return session
        login = f"{self.url}/auth/token"
        session.mount(login, HTTPAdapter(max_retries=_LOGIN_RETRIES))
        answer = session.post(login, json=credentials, timeout=HTTP_TIMEOUT)
        answer.raise_for_status()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return session

    def pause(
        self,
        dag_id: str,
        paused: bool = True,  # noqa: FBT001, FBT002 - `pause(dag_id, False)` reads well
    ) -> None:
        """Pause or unpause a DAG."""
        with self.session() as session:
            answer = session.patch(
                f"{self.url}{self.api}/dags/{dag_id}",
                params={"update_mask": "is_paused"},
                json={"is_paused": paused},
                timeout=HTTP_TIMEOUT,
            )
        answer.raise_for_status()

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of this DAG from the API, oldest first."""
        found: list[dict[str, Any]] = []
        with self.session() as session:
            while True:
                # Airflow 2.0 cannot sort, and refuses an unknown parameter.
                order = "&order_by=id" if self.release >= (2, 1) else ""
                query = f"limit={_PAGE}&offset={len(found)}{order}"
                answer = session.get(
                    f"{self.url}{self.api}/dags/{dag_id}/dagRuns?{query}", timeout=HTTP_TIMEOUT
                )
                answer.raise_for_status()
                page = answer.json()
                found += page["dag_runs"]
                if not page["dag_runs"] or len(found) >= page["total_entries"]:
                    return found
