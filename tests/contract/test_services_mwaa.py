"""The web server of the stand-in of Amazon MWAA: a web token becomes a session, in either version's
way.
"""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from dev.airflow_settings import password_of
from tests.contract.mwaa import LOGINS, Door, opened
from tests.contract.services import said
from tests.support.fake_airflow import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def enter(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Builds an environment with an Airflow of a version."""
    with contextlib.ExitStack() as stack:

        def build(version: str = "3.3.2", **options: Any) -> Door:
            return stack.enter_context(opened(tmp_path, version, **options))

        yield build


@pytest.mark.parametrize("status", [302, 200])
@pytest.mark.parametrize("version", LOGINS)
def test_a_session(enter: Callable[..., Door], version: str, status: int) -> None:
    """The web token becomes a session, and by it one reaches the API of the Airflow behind, as its
    user.
    """
    door = enter(version, login_status=status)
    answer = door.log_in(door.web_token())
    assert (answer.status_code, list(answer.cookies.keys())) == (status, [LOGINS[version][1]])
    assert ("Location" in answer.headers) is (status == 302)
    assert door.client.trigger(door.fake, door.session(), door.web).status_code == 200
    assert len(door.fake.runs("d")) == 1
    assert door.fake.record[-1].headers["Cookie"] is None


@pytest.mark.parametrize("version", LOGINS)
def test_a_web_token_is_good_once(enter: Callable[..., Door], version: str) -> None:
    """A second log-in with the same token, one with a stale token and one with none are refused,
    without a cookie.
    """
    door = enter(version)
    web_token = door.web_token()
    assert door.log_in(web_token).cookies
    door.mwaa.api.web_token_lives = -1
    for bad in (web_token, door.web_token(), ""):
        answer = door.log_in(bad)
        assert (answer.status_code, len(answer.cookies)) == (403, 0)


@pytest.mark.parametrize("version", LOGINS)
def test_the_other_version_s_login(enter: Callable[..., Door], version: str) -> None:
    """The log-in of the other version is not there, and the web token is not spent on it."""
    door = enter(version)
    web_token = door.web_token()
    (other,) = set(LOGINS) - {version}
    assert door.log_in(web_token, other).status_code == (404 if version == "2.11.2" else 405)
    assert door.log_in(web_token).cookies


@pytest.mark.parametrize(
    ("version", "unknown", "expired"),
    [
        ("2.11.2", (403, "Forbidden"), (403, "Forbidden")),
        ("3.3.2", (401, "Not authenticated"), (401, "Token Expired")),
    ],
)
def test_sessions_end(
    enter: Callable[..., Door], version: str, unknown: tuple[int, str], expired: tuple[int, str]
) -> None:
    """Without a session, and with one that has ended, Airflow refuses in its own words, and a new
    one is good.
    """
    door = enter(version)
    pair = base64.b64encode(f"admin:{password_of('admin')}".encode()).decode()
    assert said(door.client.look(door.fake, {}, door.web)) == unknown
    if version == "2.11.2":
        assert (
            said(door.client.look(door.fake, {"Authorization": f"Basic {pair}"}, door.web))
            == unknown
        )
    old = door.session()
    assert door.client.look(door.fake, old, door.web).status_code == 200
    door.mwaa.web.expire_sessions()
    assert said(door.client.look(door.fake, old, door.web)) == expired
    assert door.client.look(door.fake, door.session(), door.web).status_code == 200


@pytest.mark.parametrize("version", LOGINS)
def test_a_session_s_rights(enter: Callable[..., Door], version: str) -> None:
    """A session has the rights of the user it is for."""
    door = enter(version, user="viewer")
    assert door.client.look(door.fake, door.session(), door.web).status_code == 200
    assert door.client.trigger(door.fake, door.session(), door.web).status_code == 403


def test_other_host_names(enter: Callable[..., Door]) -> None:
    """The web server may have a name of the newer kind."""
    door = enter(web_domain="c2.airflow.{region}.on.aws")
    assert door.mwaa.web_host.endswith(".airflow.eu-west-1.on.aws")
    assert door.client.look(door.fake, door.session(), door.web).status_code == 200


def test_trouble_on_demand(enter: Callable[..., Door]) -> None:
    """Both servers go wrong on demand."""
    door = enter()
    door.mwaa.api.fault(Fault.HTML_503)
    assert door.send(door.signed()).status_code == 503
    door.mwaa.web.lose(Fault.TOO_MANY, on=("POST", "/login"), when="before")
    web_token = door.web_token()
    assert door.log_in(web_token).status_code == 429
    assert door.log_in(web_token).cookies


def test_what_a_job_carries(enter: Callable[..., Door]) -> None:
    """A job has the keys of the role that it took on, and its proxy leads to the two host names
    alone.
    """
    door = enter()
    keys = {
        f"AWS_{name}" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION")
    }
    assert set(door.mwaa.environment) == keys
    assert set(door.mwaa.ports) == {f"{door.mwaa.api.host}:443", f"{door.mwaa.web_host}:443"}
