"""Airflow's listener and a GitHub that is down, limits it, redirects it, or knows it as an App,
over real sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.reporting import reporting
from tests.support.factories import SHA
from tests.support.fake_airflow.faults import Fault
from tests.support.services import GitHubApi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.reporting import World


@pytest.fixture
def world(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everything."""
    with reporting(listener, monkeypatch) as made:
        yield made


@pytest.mark.parametrize(
    "fault", [Fault.HTML_503, Fault.RESET, Fault.TRUNCATED_JSON, Fault.HTML_200, Fault.EMPTY_JSON]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_github_is_down_and_back(world: World, fault: Fault, when: Any) -> None:
    """Whichever request an outage meets, and whether GitHub has done it by then, the end is
    reported once in the end.
    """
    world.begin()
    world.run("r1", "success")
    for skip in (0, 1):
        world.github.fault(fault, when=when, skip=skip)
        with pytest.raises(world.listener.LaterError):
            world.report("r1", "success")
    for _ in range(2):
        world.report("r1", "success")
    assert world.states == ["pending", "success"]


def test_a_limit(world: World) -> None:
    """A rate limit is for later, for as long as GitHub says."""
    world.begin()
    world.github.limit()
    with pytest.raises(world.listener.LaterError, match="rate limit"):
        world.end("r1", "success")
    world.github.fault(Fault.TOO_MANY, retry_after=42)
    with pytest.raises(world.listener.LaterError) as caught:
        world.end("r1", "success")
    assert caught.value.pause == 42.0


def test_an_app(world: World) -> None:
    """An App is granted a token by its key, uses it for all, and gets another one when that
    dies.
    """
    app = world.github.app
    fields = {
        "login": app.app_id,
        "password": app.private_key,
        "extra": {"installation_id": app.installation},
    }
    world.connect(**fields)
    for number in range(3):
        world.begin(f"r{number}")
        world.end(f"r{number}", "success")
    assert len(app.issued) == 1
    app.expire()
    with pytest.raises(world.listener.LaterError, match="401: 'Bad credentials'"):
        world.end("r2", "failed")
    world.end("r2", "failed")
    assert (world.states[-1], len(app.issued)) == ("failure", 2)


def test_a_token_that_may_not(listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that may only read is told so by GitHub's words, and nothing is tried again."""
    with reporting(listener, monkeypatch, can_write=()) as world:
        world.begin()
        with pytest.raises(
            listener.GivenUpError, match="403: 'Resource not accessible by integration'"
        ):
            world.end("r1", "success")


def test_a_redirect(world: World) -> None:
    """A redirect is not followed: the token is for the address that the connection names."""
    with GitHubApi({SHA: None}) as elsewhere:
        world.begin()
        world.github.redirect(307, elsewhere.url)
        with pytest.raises(world.listener.GivenUpError, match="answered 307"):
            world.end("r1", "success")
        assert elsewhere.record == []
