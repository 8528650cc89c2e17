"""What may stand in front of an Airflow: gateways with a demand of their own, and traps behind a
redirect.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from hmac import compare_digest
from typing import TYPE_CHECKING

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, as_json, page
from tests.support.proxy import Proxy
from tests.support.stand_in import StandIn

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    Good = str | Callable[[str], bool]
    """A header's only good value, or what tells whether a value is good."""


class Gateway(Proxy):
    """Demands headers, answers `otherwise` to requests without, and keeps these headers from the
    Airflow behind it.
    """

    def __init__(
        self,
        upstream: str,
        *,
        demands: Mapping[str, Good] | None = None,
        otherwise: FakeResponse | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(upstream, tls=tls, host=host)
        self._demands = dict(demands or {})
        self._otherwise = otherwise or page(401, "Authorization Required")

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        """Airflow's answer, or the gateway's own."""
        if not all(_good(request.headers.get(name), good) for name, good in self._demands.items()):
            return self._otherwise
        headers = copy.deepcopy(request.headers)
        for name in self._demands:
            del headers[name]
        return super().answer(replace(request, headers=headers))


def cloudflare_access(
    upstream: str,
    client_id: str,
    client_secret: str,
    *,
    login: str,
    tls: ssl.SSLContext | None = None,
) -> Gateway:
    """Cloudflare Access: a service token in two headers, without which one is sent to a log-in page
    on another host.
    """
    otherwise = replace(page(302, "302 Found"), headers=(("Location", login),))
    demands = {"CF-Access-Client-Id": client_id, "CF-Access-Client-Secret": client_secret}
    return Gateway(upstream, demands=demands, otherwise=otherwise, tls=tls)


def identity_aware_proxy(
    upstream: str, good: Good, *, tls: ssl.SSLContext | None = None
) -> Gateway:
    """Google's IAP: an ID token in Proxy-Authorization ("Bearer ..."), which leaves Authorization
    for Airflow.
    """
    otherwise = page(401, "Error: Unauthorized")
    return Gateway(upstream, demands={"Proxy-Authorization": good}, otherwise=otherwise, tls=tls)


class Trap(StandIn):
    """What waits behind a redirect: answers everything as if all were well, and has on record
    whatever came.
    """

    def answer(self, request: ReceivedRequest) -> FakeResponse:  # noqa: ARG002
        """What a client that should not be here would like best."""
        good = {
            "state": "success",
            "dag_run_id": "trapped",
            "access_token": "a token out of the trap",
        }
        return as_json(
            200,
            good
            | {"version": "3.3.2", "WebToken": "trapped token", "WebServerHostname": "127.0.0.1"},
        )


def _good(value: str | None, good: Good) -> bool:
    if value is None:
        return False
    return compare_digest(value.encode(), good.encode()) if isinstance(good, str) else good(value)
