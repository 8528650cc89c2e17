"""Gateways that require headers of their own, and a server that waits behind a redirect."""

from __future__ import annotations

import copy
from dataclasses import replace
from hmac import compare_digest
from typing import TYPE_CHECKING

from tests.support.fake_airflow.messages import FakeResponse, ReceivedRequest, as_json, page
from tests.support.proxy import Proxy
from tests.support.stub_server import StubServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    Good = str | Callable[[str], bool]
    """The only accepted value of a header, or a function that accepts values."""


class Gateway(Proxy):
    """A gateway that requires headers, and removes them before Airflow unless `strips` is false.

    If one is wrong or missing, it returns `otherwise`.
    """

    def __init__(
        self,
        upstream: str,
        *,
        demands: Mapping[str, Good] | None = None,
        otherwise: FakeResponse | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        strips: bool = True,
    ) -> None:
        super().__init__(upstream, tls=tls, host=host)
        self._strips = strips
        self._demands = dict(demands or {})
        self._otherwise = otherwise or page(401, "Authorization Required")

    def answer(self, request: ReceivedRequest) -> FakeResponse:
        if not all(_good(request.headers.get(name), good) for name, good in self._demands.items()):
            return self._otherwise
        headers = copy.deepcopy(request.headers)
        for name in self._demands if self._strips else ():
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
    """Cloudflare Access: a service token in two headers.

    Without it, the gateway redirects to a login page on another host.
    """
    otherwise = replace(page(302, "302 Found"), headers=(("Location", login),))
    demands = {"CF-Access-Client-Id": client_id, "CF-Access-Client-Secret": client_secret}
    return Gateway(upstream, demands=demands, otherwise=otherwise, tls=tls)


def identity_aware_proxy(
    upstream: str, good: Good, *, tls: ssl.SSLContext | None = None
) -> Gateway:
    """Google's IAP: an ID token in Proxy-Authorization; Authorization stays free for Airflow."""
    otherwise = page(401, "Error: Unauthorized")
    return Gateway(upstream, demands={"Proxy-Authorization": good}, otherwise=otherwise, tls=tls)


class RedirectTrap(StubServer):
    """A server behind a redirect: answers every request with success, and records it."""

    def answer(self, request: ReceivedRequest) -> FakeResponse:  # noqa: ARG002
        """Return a response that satisfies any client."""
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
