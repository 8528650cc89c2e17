"""A client of the Amazon MWAA stand-in, which uses its host names and signs like botocore."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.session import Session

from tests.contract.services import ServiceClient, airflow
from tests.support.services import FakeMwaa, Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

    from tests.support.fake_airflow import FakeAirflow
    from tests.support.services.aws import FakeAwsKeys

LOGINS = {
    "2.11.2": ("/aws_mwaa/login", "session"),
    "3.3.2": ("/pluginsv2/aws_mwaa/login", "_token"),
}


class MwaaScenario:
    """An environment, and a client that reaches it by its host names."""

    def __init__(self, fake: FakeAirflow, mwaa: FakeMwaa, tunnel: Tunnel, folder: Path) -> None:
        self.fake, self.mwaa, self.tunnel = fake, mwaa, tunnel
        self.client = ServiceClient(folder, proxy=tunnel.url)
        self.web = f"https://{mwaa.web_host}"
        self._folder = folder

    def signed(
        self,
        keys: FakeAwsKeys | None = None,
        *,
        name: str = "",
        region: str = "",
        body: bytes = b"",
    ) -> AWSRequest:
        """Return a request for a web token, signed by botocore."""
        keys, region = keys or self.mwaa.api.keys, region or self.mwaa.region
        url = f"https://{self.mwaa.api.host}/webtoken/{name or self.mwaa.name}"
        request = AWSRequest("POST", url, {}, body)
        credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token)
        SigV4Auth(credentials, "airflow", region).add_auth(request)
        return request

    def send(self, request: AWSRequest, *, path: str = "", body: bytes = b"") -> requests.Response:
        url = f"https://{self.mwaa.api.host}{path or f'/webtoken/{self.mwaa.name}'}"
        return self.client("POST", url, headers=dict(request.headers.items()), data=body)

    def web_token(self) -> str:
        return str(self.send(self.signed()).json()["WebToken"])

    def log_in(self, web_token: str, version: str = "") -> requests.Response:
        """Log in with a web token, by default as the version of Airflow requires."""
        return self.client(
            "POST",
            f"{self.web}{LOGINS[version or self.fake.version][0]}",
            data={"token": web_token},
        )

    def session(self) -> dict[str, str]:
        """Return the header of a new session."""
        cookie = LOGINS[self.fake.version][1]
        value = self.log_in(self.web_token()).cookies[cookie]
        return (
            {"Cookie": f"session={value}"}
            if cookie == "session"
            else {"Authorization": f"Bearer {value}"}
        )

    def botocore(self, service: str = "mwaa", **options: Any) -> Any:
        """Return a botocore client, by default with the environment's keys."""
        keys = self.mwaa.api.keys
        given = {
            "aws_access_key_id": keys.access_key,
            "aws_secret_access_key": keys.secret_key,
            "aws_session_token": keys.session_token,
            "region_name": self.mwaa.region,
        }
        config = Config(proxies={"https": self.tunnel.url}, retries={"total_max_attempts": 1})
        ca = str(self._folder / "ca.pem")
        session = Session()
        session.set_config_variable("sts_regional_endpoints", "regional")
        return session.create_client(service, config=config, verify=ca, **given | options)


@contextlib.contextmanager
def opened(folder: Path, version: str = "3.3.2", **options: Any) -> Iterator[MwaaScenario]:
    with airflow(version) as fake, FakeMwaa(fake, **options) as mwaa, Tunnel(mwaa.ports) as tunnel:
        yield MwaaScenario(fake, mwaa, tunnel, folder)
