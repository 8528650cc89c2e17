"""Steps that people write in good faith: they work, or the error says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from dev.airflow_settings import password_of
from tests.support.fake_airflow import FakeAirflow, FakeDag, Version, tokens
from tests.support.step import run_against

if TYPE_CHECKING:
    from collections.abc import Iterator

COLON = "team:deploy"


@pytest.fixture(params=get_args(Version))
def fake(request: pytest.FixtureRequest) -> Iterator[FakeAirflow]:
    version: Version = request.param
    with FakeAirflow(version, dags=[FakeDag("sales")]) as running:
        yield running


def test_a_user_name_may_have_a_colon_where_it_is_no_http_basic(
    fake: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3 takes it as JSON. Airflow 2 gets no credential."""
    monkeypatch.setitem(tokens.USERS, COLON, "user")
    outcome = run_against(fake, username=COLON, password=password_of(COLON))

    if fake.version.startswith("3"):
        assert (outcome.result, len(fake.runs("sales"))) == ("success", 1)
        return
    assert outcome.error is not None
    assert outcome.error.title == "HTTP Basic allows no colon in a user name"
    assert fake.runs("sales") == []
    assert [one for one in fake.record if "Authorization" in one.headers] == []


def test_a_host_name_may_have_characters_beyond_ascii(fake: FakeAirflow) -> None:
    """These are the full-width letters of localhost."""
    url = fake.url.replace("127.0.0.1", "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54")
    outcome = run_against(fake, airflow_url=url)

    assert outcome.result == "success"
    assert (outcome.run_url or "").startswith(f"{fake.url.replace('127.0.0.1', 'localhost')}/")
