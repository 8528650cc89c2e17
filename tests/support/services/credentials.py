"""Credentials that a fake Airflow accepts besides its own: `FakeAirflow(accept=...)`."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fake_airflow.messages import ReceivedRequest
    from tests.support.fake_airflow.routing import Accept


def exactly(value: str, *, name: str = "Authorization", role: str = "admin") -> Accept:
    """Accept exactly this value of a header, such as an API key without a scheme."""

    def accept(request: ReceivedRequest) -> str | None:
        return (
            role if compare_digest(request.headers.get(name, "").encode(), value.encode()) else None
        )

    return accept


def bearer(is_good: Callable[[str], bool], *, role: str = "admin") -> Accept:
    """Accept the bearer tokens for which `is_good` returns true."""

    def accept(request: ReceivedRequest) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return role if scheme.lower() == "bearer" and is_good(token) else None

    return accept
