"""When a grant is obtained, renewed and dropped, on a clock that the test turns."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.credentials import Secret

START = 1_000_000.0
FOR_GOOD = "A run may take {} with it."


@dataclass
class Issuer:
    """Who gives grants: each lives so many seconds (None: nobody knows), and has a number of its
    own.
    """

    lifetime: float | None = None
    now: float = START
    given: int = 0
    fails: list[Exception] = field(default_factory=list)
    make: Callable[[str, float | None], Grant] = lambda text, expires: Grant(Secret(text), expires)

    def grant(self) -> Grant:
        """The next one."""
        if self.fails:
            raise self.fails.pop()
        self.given += 1
        return self.make(
            f"Bearer {self.given}", None if self.lifetime is None else self.now + self.lifetime
        )

    def renewable(self) -> Authorization:
        """Presents what can be had again."""
        return Authorization(self.grant, now=lambda: self.now)

    def for_good(self) -> Authorization:
        """Presents what is there once."""
        return Authorization(self.grant, FOR_GOOD, lambda: self.now)


def headers(authorization: Authorization) -> dict[str, str]:
    """The headers that a request gets."""
    return dict(
        authorization(requests.Request("GET", "http://airflow.example.com/api").prepare()).headers
    )


def shown(authorization: Authorization) -> str:
    """The credential that a request gets."""
    return headers(authorization)["Authorization"]


def test_first_request() -> None:
    """Nothing is asked for before the first request, and the next ones present the same grant."""
    issuer = Issuer(86_400)
    authorization = issuer.renewable()

    assert issuer.given == 0
    assert shown(authorization) == shown(authorization) == "Bearer 1"
    assert issuer.given == 1


def test_a_cookie() -> None:
    """A grant that is no Authorization travels in the header that it names, and in no other."""
    issuer = Issuer(make=lambda text, expires: Grant(Secret(text), expires, header="Cookie"))

    assert headers(issuer.renewable()) == {"Cookie": "Bearer 1"}


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
def test_renewal(lifetime: float, kept: float, renewed: float) -> None:
    """A grant is replaced a minute before it dies, or at half its life if that is later."""
    issuer = Issuer(lifetime)
    authorization = issuer.renewable()

    assert shown(authorization) == "Bearer 1"
    issuer.now = START + kept
    assert shown(authorization) == "Bearer 1"
    issuer.now = START + renewed
    assert shown(authorization) == "Bearer 2"
    assert issuer.given == 2


@given(st.floats(1, 10**7), st.lists(st.floats(0, 10**6), max_size=20))
def test_any_renewal(lifetime: float, pauses: list[float]) -> None:
    """Whenever requests are sent, none presents a grant in its last minute, or in its second half
    if that is shorter.
    """
    issuer = Issuer(
        lifetime, make=lambda text, expires: Grant(Secret(f"{text} {expires}"), expires)
    )
    authorization = issuer.renewable()

    for pause in (0, *pauses):
        issuer.now += pause
        left = float(shown(authorization).split()[-1]) - issuer.now
        assert left > 0
        assert left >= min(60.0, lifetime / 2) - 0.01
    assert issuer.given <= 1 + len(pauses)


def test_each_renewal_counts_from_its_own_grant() -> None:
    """The second grant is kept as long as the first."""
    issuer = Issuer(300)
    authorization = issuer.renewable()

    assert [
        shown(authorization) for issuer.now in (START, START + 241, START + 480, START + 482)
    ] == [
        "Bearer 1",
        "Bearer 2",
        "Bearer 2",
        "Bearer 3",
    ]


@pytest.mark.parametrize("lifetime", [-1, -1000.5])
def test_a_grant_that_is_dead_already(lifetime: float) -> None:
    """A clock that differs from the issuer's costs logins, not the run."""
    authorization = Issuer(lifetime).renewable()

    assert (shown(authorization), shown(authorization)) == ("Bearer 1", "Bearer 2")


def test_unknown_expiry() -> None:
    """A grant whose expiry nobody knows is used until it is refused."""
    issuer = Issuer()
    authorization = issuer.renewable()
    shown(authorization)
    issuer.now += 10**9

    assert shown(authorization) == "Bearer 1"


def test_what_cannot_be_renewed() -> None:
    """A grant that is there once is presented whatever the clock says: it is Airflow that refuses
    it.
    """
    issuer = Issuer(300)
    authorization = issuer.for_good()
    shown(authorization)
    issuer.now += 301

    assert shown(authorization) == "Bearer 1"
    assert issuer.given == 1


def test_refused() -> None:
    """A refused grant is dropped if another can be had, and the next request presents that one."""
    issuer = Issuer(86_400)
    authorization = issuer.renewable()

    assert shown(authorization) == "Bearer 1"
    assert authorization.discard() is True
    assert issuer.given == 1
    assert shown(authorization) == "Bearer 2"


def test_refused_for_good() -> None:
    """A refused grant that is there once stays what it is."""
    issuer = Issuer()
    authorization = issuer.for_good()

    assert shown(authorization) == "Bearer 1"
    assert authorization.discard() is False
    assert shown(authorization) == "Bearer 1"
    assert authorization.expiry_hint == FOR_GOOD


def test_obtaining_fails() -> None:
    """An error of who gives grants reaches the caller, and the next request asks anew."""
    issuer = Issuer(fails=[RuntimeError("no")])
    authorization = issuer.renewable()

    with pytest.raises(RuntimeError):
        shown(authorization)
    assert shown(authorization) == "Bearer 1"


def test_a_renewal_fails() -> None:
    """A renewal that fails is tried again with the next request."""
    issuer = Issuer(300)
    authorization = issuer.renewable()
    shown(authorization)
    issuer.now += 241
    issuer.fails = [RuntimeError("no")]

    with pytest.raises(RuntimeError):
        shown(authorization)
    assert shown(authorization) == "Bearer 2"


@pytest.mark.parametrize(
    ("lifetime", "later", "left"),
    [(3600.0, 0, 3600), (3600.0, 3000, 600), (3600.0, 3700, -100), (None, 0, None)],
)
def test_left(lifetime: float | None, later: float, left: float | None) -> None:
    """What cannot be renewed says how long it lives, as far as it knows."""
    issuer = Issuer(lifetime)
    authorization = issuer.for_good()
    shown(authorization)
    issuer.now += later

    assert authorization.seconds_left() == left


def test_left_before_the_first_request() -> None:
    """How long a grant lives can be asked before it is presented, and is no second grant."""
    issuer = Issuer(3600)
    authorization = issuer.for_good()

    assert authorization.seconds_left() == 3600
    assert shown(authorization) == "Bearer 1"


def test_nothing_dies_that_can_be_renewed() -> None:
    """What can be renewed has no end, and is not asked for to say so."""
    issuer = Issuer(300)

    assert issuer.renewable().seconds_left() is None
    assert issuer.given == 0


def test_doubtful() -> None:
    """Whether a 403 may mean that the grant is dead is the present grant's knowledge, and nobody's
    without one.
    """
    issuer = Issuer(
        make=lambda text, expires: Grant(Secret(text), expires, ambiguous_403=text != "Bearer 2")
    )
    authorization = issuer.renewable()

    seen = [authorization.ambiguous_403]
    for _ in range(2):
        shown(authorization)
        seen.append(authorization.ambiguous_403)
        authorization.discard()
        seen.append(authorization.ambiguous_403)
    assert seen == [False, True, False, False, False]


def test_reprs() -> None:
    """No text made of a grant or of what presents it shows it."""
    grant = Grant(Secret("Bearer s3cret"))
    authorization = Authorization(lambda: grant)

    assert shown(authorization) == "Bearer s3cret"
    assert "s3cret" not in f"{authorization} {authorization!r} {grant} {grant!r}"
