"""No secret, given or derived, is seen in anything that a step leaves behind: the guard asks for
it, and has tests of its own.

Here the steps are made to show one, by every way that is known.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from dev.airflow_settings import password_of
from dev.runner import Context, Process, Step, StepResult
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.known_secrets import note

SECRET = 'pa55-Zq8 "wörd"/+?'
NAME = "admin"
PASSWORD = password_of(NAME)


@pytest.fixture(params=[False, True], ids=["quiet", "debug"])
def debug(request: pytest.FixtureRequest) -> bool:
    """Without and with step debug logging."""
    return bool(request.param)


@contextmanager
def airflow(version: Version = "3.3.2") -> Iterator[FakeAirflow]:
    """An Airflow whose run is over at the first look."""
    with FakeAirflow(version, dags=[FakeDag("nightly_sales", looks=1)]) as fake:
        yield fake


def run(fake: FakeAirflow, workspace: Path, *, debug: bool, **inputs: str) -> StepResult:
    """The step; unless told otherwise it does not wait."""
    asked = {"airflow_url": fake.url, "dag_id": "nightly_sales", "wait": "false"} | inputs
    result = Step(
        asked, launcher=Process(), workspace=workspace, context=Context(debug=debug)
    ).run()
    assert result.unexpected_commands == ()
    assert "Traceback" not in result.raw
    for one in fake.record:
        assert inputs.get("token", inputs.get("password", "")) not in f"{one.path} {one.query}"
    return result


def presented(fake: FakeAirflow) -> set[str]:
    """Every credential that Airflow was shown, as it stood in the header."""
    headers = [one.headers["Authorization"] for one in fake.record if one.headers["Authorization"]]
    assert headers
    return {header.partition(" ")[2] for header in headers}


def issued(fake: FakeAirflow) -> set[str]:
    """Every token that Airflow gave for a password and was shown afterwards."""
    assert fake.received("POST", "/auth/token")
    return presented(fake)


def test_token(tmp_path: Path, debug: bool) -> None:
    """A token is masked before anything else is said, and shown to Airflow alone."""
    with airflow() as fake:
        token = fake.token()
        result = run(fake, tmp_path, debug=debug, token=token, wait="true")

        assert result.outputs["result"] == "success"
        assert presented(fake) == {token}
        assert result.raw.startswith(f"::add-mask::{token}\n")


def test_password_on_airflow_2(tmp_path: Path, debug: bool) -> None:
    """Neither the password nor what Basic makes of it is seen."""
    with airflow("2.11.2") as fake:
        result = run(fake, tmp_path, debug=debug, username=NAME, password=PASSWORD)
        (encoded,) = presented(fake)

        assert result.outputs["result"] == "triggered"
        assert {PASSWORD, encoded} <= result.masks


def test_password_on_airflow_3(tmp_path: Path, debug: bool) -> None:
    """Neither the password nor the token that it is exchanged for is seen."""
    with airflow() as fake:
        result = run(fake, tmp_path, debug=debug, username=NAME, password=PASSWORD)
        (token,) = issued(fake)

        assert result.outputs["result"] == "triggered"
        assert {PASSWORD, token} <= result.masks


def test_renewed_token(tmp_path: Path) -> None:
    """Every token is masked, not only the first one."""
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401)
        result = run(fake, tmp_path, debug=False, username=NAME, password=PASSWORD)
        tokens = issued(fake)

        assert (result.outputs["result"], len(tokens)) == ("triggered", 2)
        assert tokens < result.masks


def test_half_a_credential(tmp_path: Path) -> None:
    """A password without a user name is refused, and not seen for all that."""
    with airflow() as fake:
        result = run(fake, tmp_path, debug=True, password=SECRET)

        assert (result.outputs, fake.record) == ({"result": "error"}, [])


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
# A fixture
def test_wrong_password(tmp_path: Path, version: Version, debug: bool) -> None:
    """A password that is refused is not seen: it may be another system's good one."""
    with airflow(version) as fake:
        result = run(fake, tmp_path, debug=debug, username="admin", password=SECRET)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert result.annotations[-1].title == "Airflow refused the credential"


@pytest.mark.parametrize(
    "token", ["not-a-jwt-at-all-Zq8", "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJ4In0.Zq8Zq8Zq8Zq8"]
)
def test_refused_token(tmp_path: Path, token: str, debug: bool) -> None:
    """A token that is refused is not seen: it may be another system's good one."""
    with airflow() as fake:
        result = run(fake, tmp_path, debug=debug, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert result.annotations[-1].title == "Airflow refused the credential"


def test_expired_token(tmp_path: Path) -> None:
    """A token that has expired is not seen."""
    with airflow() as fake:
        token = fake.token()
        fake.expire_tokens()
        result = run(fake, tmp_path, debug=True, token=token)

        assert result.annotations[-1].title == "Airflow refused the credential"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
@pytest.mark.parametrize("on", [("GET", "/dagRuns/*"), ("POST", "/dagRuns")], ids=lambda on: on[0])
def test_echoed_in_an_error(tmp_path: Path, on: tuple[str, str], status: int) -> None:
    """Airflow's error may quote the whole request; the credential in it is masked wherever the
    error is shown.
    """
    with airflow() as fake:
        token = fake.token()
        fake.echo(on, status, times=2)
        result = run(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("status", [401, 403, 422])
def test_password_echoed_in_an_error(tmp_path: Path, version: Version, status: int) -> None:
    """The same for what a password became on its way."""
    with airflow(version) as fake:
        fake.echo(("GET", "/dagRuns/*"), status, times=2)
        result = run(fake, tmp_path, debug=True, username=NAME, password=PASSWORD)

        assert result.outputs["result"] == "error"


@pytest.mark.parametrize("status", [401, 403, 404, 422, 200])
def test_password_echoed_by_the_login(tmp_path: Path, status: int) -> None:
    """A login that answers with what it was asked shows no password."""
    with airflow() as fake:
        fake.echo(("POST", "/auth/token"), status, times=2)
        result = run(fake, tmp_path, debug=True, username="admin", password=SECRET)

        assert result.outputs["result"] == "error"


@pytest.mark.parametrize("before", range(180, 340, 20))
def test_echoed_where_the_page_is_cut(tmp_path: Path, before: int) -> None:
    """A page is shown in part; no part of a token is, wherever the cut falls: half a token escapes
    the runner's masks.
    """
    token = "Zq8x7" * 12
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, "text/html", after="x " * (before // 2))
        result = run(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert "x x x" in result.annotations[-1].message


@pytest.mark.parametrize("times", [2, 8, 60])
def test_echoed_again_and_again(tmp_path: Path, times: int) -> None:
    """Nor where the page is so long that only its beginning is read: whole tokens have shrunk to
    nothing before that.
    """
    token = "Zq8x7" + "".join(chr(97 + (number * 7) % 26) for number in range(1324))
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, "text/html", after=f"Bearer {token}\n" * times)
        result = run(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert "Bearer ***" in result.annotations[-1].message
        assert "Zq8x7" not in result.annotations[-1].message


@pytest.mark.parametrize("before", range(3300, 3620, 40))
def test_echoed_where_the_annotation_is_cut(tmp_path: Path, before: int) -> None:
    """The same for the length at which annotations are cut."""
    token = "Zq8x7" * 12
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, after="x " * (before // 2))
        result = run(fake, tmp_path, debug=True, token=token)

        assert 3500 < len(result.annotations[-1].message) <= 4000


def test_secret_in_a_redirect(tmp_path: Path) -> None:
    """Where a redirect leads is shown without the query that may hold a secret."""
    with airflow() as fake:
        note(PASSWORD)
        secret = quote(PASSWORD, safe="")
        fake.fault(
            Fault.REDIRECT,
            to=f"https://u:{secret}@login.example.com/x?token={secret}#{secret}",
            times=9,
        )
        result = run(fake, tmp_path, debug=True, token=SECRET.replace(" ", "").replace("ö", "o"))

        assert "https://login.example.com/x" in result.log


def test_secret_in_the_url(tmp_path: Path) -> None:
    """A URL with a password in it is refused, and not shown."""
    with airflow() as fake:
        url = fake.url.replace("//", f"//admin:{quote(PASSWORD, safe='')}@")
        result = run(fake, tmp_path, debug=True, token="t0ken", airflow_url=url)

        assert (result.outputs, fake.record) == ({"result": "error"}, [])
