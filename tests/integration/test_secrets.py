"""The leak guard finds no secret, given or derived, in what a step leaves behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from dev.airflow_settings import password_of
from dev.runner import ActionStep, Process, RunnerContext, StepResult
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.known_secrets import add

SECRET = 'pa55-Zq8 "wörd"/+?'
NAME = "admin"
PASSWORD = password_of(NAME)


@pytest.fixture(params=[False, True], ids=["quiet", "debug"])
def debug(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@contextmanager
def airflow(version: Version = "3.3.2") -> Iterator[FakeAirflow]:
    """An Airflow whose run has ended at the first poll."""
    with FakeAirflow(version, dags=[FakeDag("nightly_sales", polls=1)]) as fake:
        yield fake


def run_action(fake: FakeAirflow, workspace: Path, *, debug: bool, **inputs: str) -> StepResult:
    """Run the step, by default without waiting."""
    action_inputs = {"airflow_url": fake.url, "dag_id": "nightly_sales", "wait": "false"} | inputs
    result = ActionStep(
        action_inputs, launcher=Process(), workspace=workspace, context=RunnerContext(debug=debug)
    ).run()
    assert result.unexpected_commands == ()
    assert "Traceback" not in result.raw
    for one in fake.record:
        assert inputs.get("token", inputs.get("password", "")) not in f"{one.path} {one.query}"
    return result


def sent_credentials(fake: FakeAirflow) -> set[str]:
    headers = [one.headers["Authorization"] for one in fake.record if one.headers["Authorization"]]
    assert headers
    return {header.partition(" ")[2] for header in headers}


def issued_tokens(fake: FakeAirflow) -> set[str]:
    """The tokens that Airflow issued for a password and received afterwards."""
    assert fake.received("POST", "/auth/token")
    return sent_credentials(fake)


def test_a_token_is_masked_before_any_other_output(tmp_path: Path, debug: bool) -> None:
    with airflow() as fake:
        token = fake.token()
        result = run_action(fake, tmp_path, debug=debug, token=token, wait="true")

        assert result.outputs["result"] == "success"
        assert sent_credentials(fake) == {token}
        assert result.raw.startswith(f"::add-mask::{token}\n")


def test_a_password_and_its_basic_form_are_masked(tmp_path: Path, debug: bool) -> None:
    with airflow("2.11.2") as fake:
        result = run_action(fake, tmp_path, debug=debug, username=NAME, password=PASSWORD)
        (encoded,) = sent_credentials(fake)

        assert result.outputs["result"] == "triggered"
        assert {PASSWORD, encoded} <= result.masks


def test_a_password_and_its_token_are_masked(tmp_path: Path, debug: bool) -> None:
    with airflow() as fake:
        result = run_action(fake, tmp_path, debug=debug, username=NAME, password=PASSWORD)
        (token,) = issued_tokens(fake)

        assert result.outputs["result"] == "triggered"
        assert {PASSWORD, token} <= result.masks


def test_a_renewed_token_is_masked(tmp_path: Path) -> None:
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401)
        result = run_action(fake, tmp_path, debug=False, username=NAME, password=PASSWORD)
        tokens = issued_tokens(fake)

        assert (result.outputs["result"], len(tokens)) == ("triggered", 2)
        assert tokens < result.masks


def test_a_password_without_a_user_name_is_refused_and_not_shown(tmp_path: Path) -> None:
    with airflow() as fake:
        result = run_action(fake, tmp_path, debug=True, password=SECRET)

        assert (result.own_outputs, fake.record) == ({"result": "error"}, [])


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_refused_password_is_not_shown(tmp_path: Path, version: Version, debug: bool) -> None:
    """It may be valid in another system."""
    with airflow(version) as fake:
        result = run_action(fake, tmp_path, debug=debug, username="admin", password=SECRET)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert result.annotations[-1].title == "Airflow refused the credential"


@pytest.mark.parametrize(
    "token", ["not-a-jwt-at-all-Zq8", "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJ4In0.Zq8Zq8Zq8Zq8"]
)
def test_a_refused_token_is_not_shown(tmp_path: Path, token: str, debug: bool) -> None:
    """It may be valid in another system."""
    with airflow() as fake:
        result = run_action(fake, tmp_path, debug=debug, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert result.annotations[-1].title == "Airflow refused the credential"


def test_an_expired_token_is_not_shown(tmp_path: Path) -> None:
    with airflow() as fake:
        token = fake.token()
        fake.expire_tokens()
        result = run_action(fake, tmp_path, debug=True, token=token)

        assert result.annotations[-1].title == "Airflow refused the credential"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
@pytest.mark.parametrize("on", [("GET", "/dagRuns/*"), ("POST", "/dagRuns")], ids=lambda on: on[0])
def test_a_token_that_an_error_response_quotes_is_masked(
    tmp_path: Path, on: tuple[str, str], status: int
) -> None:
    with airflow() as fake:
        token = fake.token()
        fake.echo(on, status, times=2)
        result = run_action(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("status", [401, 403, 422])
def test_a_password_that_an_error_response_quotes_is_masked(
    tmp_path: Path, version: Version, status: int
) -> None:
    with airflow(version) as fake:
        fake.echo(("GET", "/dagRuns/*"), status, times=2)
        result = run_action(fake, tmp_path, debug=True, username=NAME, password=PASSWORD)

        assert result.outputs["result"] == "error"


@pytest.mark.parametrize("status", [401, 403, 404, 422, 200])
def test_a_password_that_the_login_response_quotes_is_masked(tmp_path: Path, status: int) -> None:
    with airflow() as fake:
        fake.echo(("POST", "/auth/token"), status, times=2)
        result = run_action(fake, tmp_path, debug=True, username="admin", password=SECRET)

        assert result.outputs["result"] == "error"


@pytest.mark.parametrize("before", range(180, 340, 20))
def test_no_part_of_a_token_is_shown_where_a_page_is_cut(tmp_path: Path, before: int) -> None:
    """The runner's masks do not hide half a token."""
    token = "Zq8x7" * 12
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, "text/html", after="x " * (before // 2))
        result = run_action(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert "x x x" in result.annotations[-1].message


@pytest.mark.parametrize("times", [2, 8, 60])
def test_no_part_of_a_token_is_shown_where_a_long_page_is_cut(tmp_path: Path, times: int) -> None:
    """Each token is masked before the page is cut."""
    token = "Zq8x7" + "".join(chr(97 + (number * 7) % 26) for number in range(1324))
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, "text/html", after=f"Bearer {token}\n" * times)
        result = run_action(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert "Bearer ***" in result.annotations[-1].message
        assert "Zq8x7" not in result.annotations[-1].message


@pytest.mark.parametrize("before", range(3300, 3620, 40))
def test_no_part_of_a_token_is_shown_where_an_annotation_is_cut(
    tmp_path: Path, before: int
) -> None:
    token = "Zq8x7" * 12
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, after="x " * (before // 2))
        result = run_action(fake, tmp_path, debug=True, token=token)

        assert 3500 < len(result.annotations[-1].message) <= 4000


def test_the_target_of_a_redirect_is_shown_without_its_secrets(tmp_path: Path) -> None:
    with airflow() as fake:
        add(PASSWORD)
        secret = quote(PASSWORD, safe="")
        fake.fault(
            Fault.REDIRECT,
            to=f"https://u:{secret}@login.example.com/x?token={secret}#{secret}",
            times=9,
        )
        result = run_action(
            fake, tmp_path, debug=True, token=SECRET.replace(" ", "").replace("ö", "o")
        )

        assert "https://login.example.com/x" in result.log


def test_a_url_with_a_password_is_refused_and_not_shown(tmp_path: Path) -> None:
    with airflow() as fake:
        url = fake.url.replace("//", f"//admin:{quote(PASSWORD, safe='')}@")
        result = run_action(fake, tmp_path, debug=True, token="t0ken", airflow_url=url)

        assert (result.own_outputs, fake.record) == ({"result": "error"}, [])
