"""Obtaining, renewing and dropping grants, on a virtual clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.credentials import Secret
from entrypoint.errors import ActionError, Unauthorized, Unreachable
from entrypoint.http.client import NO_DEADLINE

START = 1_000_000.0
FOR_GOOD = "A run may take {} with it."


@dataclass
class Issuer:
    """Issues numbered grants that live for `lifetime` seconds; None means unknown."""

    lifetime: float | None = None
    now: float = START
    given: int = 0
    fails: list[Exception] = field(default_factory=list)
    make: Callable[[str, float | None], Grant] = lambda text, expires: Grant(Secret(text), expires)

    def grant(self) -> Grant:
        if self.fails:
            raise self.fails.pop()
        self.given += 1
        return self.make(
            f"Bearer {self.given}", None if self.lifetime is None else self.now + self.lifetime
        )

    def renewable(self) -> Authorization:
        return Authorization(lambda _: self.grant(), now=lambda: self.now)

    def for_good(self) -> Authorization:
        return Authorization(lambda _: self.grant(), FOR_GOOD, lambda: self.now)


def request_headers(authorization: Authorization) -> dict[str, str]:
    return dict(
        authorization.authorize(
            NO_DEADLINE, requests.Request("GET", "http://airflow.example.com/api").prepare()
        ).headers
    )


def credential_sent(authorization: Authorization) -> str:
    return request_headers(authorization)["Authorization"]


def test_grant_is_obtained_with_the_first_request_and_reused() -> None:
    issuer = Issuer(86_400)
    authorization = issuer.renewable()

    assert issuer.given == 0
    assert credential_sent(authorization) == credential_sent(authorization) == "Bearer 1"
    assert issuer.given == 1


def test_grant_with_its_own_header_sends_no_authorization() -> None:
    issuer = Issuer(make=lambda text, expires: Grant(Secret(text), expires, header="Cookie"))

    assert request_headers(issuer.renewable()) == {"Cookie": "Bearer 1"}


@pytest.mark.parametrize("error", [Unreachable, Unauthorized])
def test_grant_is_used_until_it_expires_if_its_issuer_fails(error: type[ActionError]) -> None:
    """A stop after a cancel has no time to wait for the issuer."""
    issuer = Issuer(300, fails=[error("", "", "")] * 9)
    failures, issuer.fails = issuer.fails, []
    authorization = issuer.renewable()
    credential_sent(authorization)
    issuer.fails, tried = failures, []
    for issuer.now in (START + 240, START + 241, START + 269, START + 270, START + 299.9):
        assert credential_sent(authorization) == "Bearer 1"
        tried.append(9 - len(failures))
    assert tried == [1, 1, 1, 2, 3]

    issuer.now = START + 300
    with pytest.raises(error):
        credential_sent(authorization)


@pytest.mark.parametrize(
    ("lifetime", "kept", "renewed"),
    [
        (86_400, 86_339, 86_341),
        (86_400, 86_339.9, 86_340),
        (300, 239, 241),
        (121, 60.9, 61),
        (120, 59.9, 60),
        (119, 59, 59.5),
        (100, 49, 51),
        (65, 32, 32.5),
        (10, 4, 6),
        (1, 0.4, 0.5),
    ],
)
def test_grant_is_renewed_a_minute_before_expiry_or_at_half_its_life(
    lifetime: float, kept: float, renewed: float
) -> None:
    issuer = Issuer(lifetime)
    authorization = issuer.renewable()

    assert credential_sent(authorization) == "Bearer 1"
    issuer.now = START + kept
    assert credential_sent(authorization) == "Bearer 1"
    issuer.now = START + renewed
    assert credential_sent(authorization) == "Bearer 2"
    assert issuer.given == 2


@given(st.floats(1, 10**7), st.lists(st.floats(0, 10**6), max_size=20))
def test_no_request_sends_a_grant_near_its_expiry(lifetime: float, pauses: list[float]) -> None:
    issuer = Issuer(
        lifetime, make=lambda text, expires: Grant(Secret(f"{text} {expires}"), expires)
    )
    authorization = issuer.renewable()

    for pause in (0, *pauses):
        issuer.now += pause
        left = float(credential_sent(authorization).split()[-1]) - issuer.now
        assert left > 0
        assert left >= min(60.0, lifetime / 2) - 0.01
    assert issuer.given <= 1 + len(pauses)


def test_second_grant_is_kept_as_long_as_the_first() -> None:
    issuer = Issuer(300)
    authorization = issuer.renewable()

    assert [
        credential_sent(authorization)
        for issuer.now in (START, START + 241, START + 480, START + 482)
    ] == [
        "Bearer 1",
        "Bearer 2",
        "Bearer 2",
        "Bearer 3",
    ]


@pytest.mark.parametrize("lifetime", [-1, -1000.5])
def test_clock_difference_costs_logins_but_not_the_run(lifetime: float) -> None:
    authorization = Issuer(lifetime).renewable()

    assert (credential_sent(authorization), credential_sent(authorization)) == (
        "Bearer 1",
        "Bearer 2",
    )


def test_grant_without_expiry_is_used_until_refused() -> None:
    issuer = Issuer()
    authorization = issuer.renewable()
    credential_sent(authorization)
    issuer.now += 10**9

    assert credential_sent(authorization) == "Bearer 1"


def test_grant_that_cannot_be_renewed_is_sent_after_its_expiry() -> None:
    issuer = Issuer(300)
    authorization = issuer.for_good()
    credential_sent(authorization)
    issuer.now += 301

    assert credential_sent(authorization) == "Bearer 1"
    assert issuer.given == 1


def test_refused_grant_is_replaced() -> None:
    issuer = Issuer(86_400)
    authorization = issuer.renewable()

    assert credential_sent(authorization) == "Bearer 1"
    assert authorization.discard() is True
    assert issuer.given == 1
    assert credential_sent(authorization) == "Bearer 2"


def test_refused_grant_that_cannot_be_renewed_is_kept() -> None:
    issuer = Issuer()
    authorization = issuer.for_good()

    assert credential_sent(authorization) == "Bearer 1"
    assert authorization.discard() is False
    assert credential_sent(authorization) == "Bearer 1"
    assert authorization.expiry_hint == FOR_GOOD


def test_issuer_error_reaches_the_caller_and_is_retried_next_time() -> None:
    issuer = Issuer(fails=[RuntimeError("no")])
    authorization = issuer.renewable()

    with pytest.raises(RuntimeError):
        credential_sent(authorization)
    assert credential_sent(authorization) == "Bearer 1"


def test_failed_renewal_is_retried_with_the_next_request() -> None:
    issuer = Issuer(300)
    authorization = issuer.renewable()
    credential_sent(authorization)
    issuer.now += 241
    issuer.fails = [RuntimeError("no")]

    with pytest.raises(RuntimeError):
        credential_sent(authorization)
    assert credential_sent(authorization) == "Bearer 2"


@pytest.mark.parametrize(
    ("lifetime", "later", "left"),
    [(3600.0, 0, 3600), (3600.0, 3000, 600), (3600.0, 3700, -100), (None, 0, None)],
)
def test_remaining_life_of_a_grant_that_cannot_be_renewed(
    lifetime: float | None, later: float, left: float | None
) -> None:
    issuer = Issuer(lifetime)
    authorization = issuer.for_good()
    credential_sent(authorization)
    issuer.now += later

    assert authorization.seconds_left(NO_DEADLINE) == left


def test_remaining_life_before_the_first_request_costs_no_second_grant() -> None:
    issuer = Issuer(3600)
    authorization = issuer.for_good()

    assert authorization.seconds_left(NO_DEADLINE) == 3600
    assert credential_sent(authorization) == "Bearer 1"


def test_renewable_grant_has_no_remaining_life_and_costs_no_request() -> None:
    issuer = Issuer(300)

    assert issuer.renewable().seconds_left(NO_DEADLINE) is None
    assert issuer.given == 0


def test_ambiguous_403_depends_on_the_current_grant() -> None:
    issuer = Issuer(
        make=lambda text, expires: Grant(Secret(text), expires, ambiguous_403=text != "Bearer 2")
    )
    authorization = issuer.renewable()

    seen = [authorization.ambiguous_403]
    for _ in range(2):
        credential_sent(authorization)
        seen.append(authorization.ambiguous_403)
        authorization.discard()
        seen.append(authorization.ambiguous_403)
    assert seen == [False, True, False, False, False]


def test_no_repr_shows_a_secret() -> None:
    grant = Grant(Secret("Bearer s3cret"))
    authorization = Authorization(lambda _: grant)

    assert credential_sent(authorization) == "Bearer s3cret"
    assert "s3cret" not in f"{authorization} {authorization!r} {grant} {grant!r}"
