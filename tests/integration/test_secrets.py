"""No secret, given or derived, is seen in anything that a step leaves behind; and the guard that says so sees leaks."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from dev.runner import Annotation, Context, Process, Step, StepResult
from tests.support.fake_airflow import FakeAirflow, FakeDag, Fault, Version
from tests.support.fake_airflow.tokens import USERS
from tests.support.secrets import assert_unseen, forms

SECRET = 'pa55-Zq8 "wörd"/+?'
NAME = "deployer-Zq8-x7"  # the scripted Airflow's passwords are its users' names
PLAIN = StepResult(
    exit_code=1,
    conclusion="failure",
    raw="hello\n",
    log="hello\n",
    outputs={"result": "error"},
    state={},
    env={},
    path=(),
    summary="## hello\n",
    annotations=(Annotation("error", "message", "title"),),
    masks=frozenset(),
    unexpected_commands=(),
)
MASK = f"::add-mask::{SECRET}\n"
PLACES: dict[str, Callable[[str], StepResult]] = {
    "log": lambda text: replace(PLAIN, log=f"a {text} b\n"),
    "summary": lambda text: replace(PLAIN, summary=f"a{text}b\n"),
    "output": lambda text: replace(PLAIN, outputs={"run_url": f"http://x/{text}"}),
    "state": lambda text: replace(PLAIN, state={"run_id": text}),
    "env": lambda text: replace(PLAIN, env={"X": text}),
    "path": lambda text: replace(PLAIN, path=(text,)),
    "message": lambda text: replace(PLAIN, annotations=(Annotation("notice", text, "T"),)),
    "title": lambda text: replace(PLAIN, annotations=(Annotation("notice", "m", text),)),
    "raw": lambda text: replace(PLAIN, raw=f"{text}\n{MASK}"),
}
LEAKS: dict[str, str] = {
    "itself": SECRET,
    "in quotes": f'"{SECRET}"',
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 of a pair": base64.b64encode(f"me:{SECRET}".encode()).decode(),
    "base64 of a longer pair": base64.b64encode(f"you:{SECRET}@".encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(f"x{SECRET}yz".encode()).decode(),
    "URL": quote(SECRET, safe=""),
    "path": quote(SECRET),
    "JSON": json.dumps({"password": SECRET}),
    "JSON as it is": json.dumps({"password": SECRET}, ensure_ascii=False),
    "repr": repr(SECRET),
    "first half": SECRET[:9],
    "second half": SECRET[9:],
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("place", PLACES)
def test_the_guard_sees_a_leak(place: str, leak: str) -> None:
    """A secret planted in any place and any form fails the guard."""
    with pytest.raises(AssertionError, match="secret"):
        assert_unseen(PLACES[place](LEAKS[leak]), SECRET)


def test_the_guard_lets_good_ones_pass() -> None:
    """A step that shows nothing passes, also when the raw stream has the secret behind its mask."""
    assert_unseen(PLAIN, SECRET, "another secret")
    assert_unseen(replace(PLAIN, raw=f"hello\n{MASK}{SECRET}\n", log="hello\n***\n"), SECRET)


def test_the_guard_is_not_fooled_by_another_mask() -> None:
    """Masking one secret does not excuse another, nor does a mask in the middle of a line."""
    for raw in (f"::add-mask::other\n{SECRET}\n", f"say ::add-mask::{SECRET}\n"):
        with pytest.raises(AssertionError):
            assert_unseen(replace(PLAIN, raw=raw), SECRET)


def test_the_guard_refuses_what_it_cannot_find() -> None:
    """A secret that is short would be found by chance, and is refused rather than passed."""
    with pytest.raises(ValueError, match="too few"):
        assert_unseen(PLAIN, "admin")


@pytest.fixture(params=[False, True], ids=["quiet", "debug"])
def debug(request: pytest.FixtureRequest) -> bool:
    """Without and with step debug logging."""
    return bool(request.param)


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose password is long enough to look for."""
    monkeypatch.setitem(USERS, NAME, "admin")


@contextmanager
def airflow(version: Version = "3.3.2") -> Iterator[FakeAirflow]:
    """An Airflow whose run is over at the first look."""
    with FakeAirflow(version, dags=[FakeDag("nightly_sales", looks=1)]) as fake:
        yield fake


def run(fake: FakeAirflow, workspace: Path, *, debug: bool, **inputs: str) -> StepResult:
    """The step; unless told otherwise it does not wait."""
    asked = {"airflow_url": fake.url, "dag_id": "nightly_sales", "wait": "false"} | inputs
    result = Step(asked, launcher=Process(), workspace=workspace, context=Context(debug=debug)).run()
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


def test_token(tmp_path: Path, debug: bool) -> None:  # noqa: FBT001 - a fixture
    """A token is masked before anything else is said, and shown to Airflow alone."""
    with airflow() as fake:
        token = fake.token()
        result = run(fake, tmp_path, debug=debug, token=token, wait="true")

        assert result.outputs["result"] == "success"
        assert presented(fake) == {token}
        assert result.raw.startswith(f"::add-mask::{token}\n")
        assert_unseen(result, token)


def test_password_on_airflow_2(tmp_path: Path, debug: bool) -> None:  # noqa: FBT001 - a fixture
    """Neither the password nor what Basic makes of it is seen."""
    with airflow("2.11.2") as fake:
        result = run(fake, tmp_path, debug=debug, username=NAME, password=NAME)
        (encoded,) = presented(fake)

        assert result.outputs["result"] == "triggered"
        assert {NAME, encoded} <= result.masks
        assert_unseen(result, NAME, encoded)


def test_password_on_airflow_3(tmp_path: Path, debug: bool) -> None:  # noqa: FBT001 - a fixture
    """Neither the password nor the token that it is exchanged for is seen."""
    with airflow() as fake:
        result = run(fake, tmp_path, debug=debug, username=NAME, password=NAME)
        (token,) = issued(fake)

        assert result.outputs["result"] == "triggered"
        assert {NAME, token} <= result.masks
        assert_unseen(result, NAME, token)


def test_renewed_token(tmp_path: Path) -> None:
    """Every token is masked, not only the first one."""
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401)
        result = run(fake, tmp_path, debug=False, username=NAME, password=NAME)
        tokens = issued(fake)

        assert (result.outputs["result"], len(tokens)) == ("triggered", 2)
        assert tokens < result.masks
        assert_unseen(result, *tokens)


def test_half_a_credential(tmp_path: Path) -> None:
    """A password without a user name is refused, and not seen for all that."""
    with airflow() as fake:
        result = run(fake, tmp_path, debug=True, password=SECRET)

        assert (result.outputs, fake.record) == ({"result": "error"}, [])
        assert_unseen(result, SECRET)


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_wrong_password(tmp_path: Path, version: Version, debug: bool) -> None:  # noqa: FBT001 - a fixture
    """A password that is refused is not seen: it may be another system's good one."""
    with airflow(version) as fake:
        result = run(fake, tmp_path, debug=debug, username="admin", password=SECRET)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert result.annotations[-1].title == "Airflow refused the credential"
        assert_unseen(result, SECRET, base64.b64encode(f"admin:{SECRET}".encode()).decode())


@pytest.mark.parametrize("token", ["not-a-jwt-at-all-Zq8", "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJ4In0.Zq8Zq8Zq8Zq8"])
def test_refused_token(tmp_path: Path, token: str, debug: bool) -> None:  # noqa: FBT001 - a fixture
    """A token that is refused is not seen: it may be another system's good one."""
    with airflow() as fake:
        result = run(fake, tmp_path, debug=debug, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert result.annotations[-1].title == "Airflow refused the credential"
        assert_unseen(result, token)


def test_expired_token(tmp_path: Path) -> None:
    """A token that has expired is not seen."""
    with airflow() as fake:
        token = fake.token()
        fake.expire_tokens()
        result = run(fake, tmp_path, debug=True, token=token)

        assert result.annotations[-1].title == "Airflow refused the credential"
        assert_unseen(result, token)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
@pytest.mark.parametrize("on", [("GET", "/dagRuns/*"), ("POST", "/dagRuns")], ids=lambda on: on[0])
def test_echoed_in_an_error(tmp_path: Path, on: tuple[str, str], status: int) -> None:
    """Airflow's error may quote the whole request; the credential in it is masked wherever the error is shown."""
    with airflow() as fake:
        token = fake.token()
        fake.echo(on, status, times=2)
        result = run(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert_unseen(result, token)


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("status", [401, 403, 422])
def test_password_echoed_in_an_error(tmp_path: Path, version: Version, status: int) -> None:
    """The same for what a password became on its way."""
    with airflow(version) as fake:
        fake.echo(("GET", "/dagRuns/*"), status, times=2)
        result = run(fake, tmp_path, debug=True, username=NAME, password=NAME)

        assert result.outputs["result"] == "error"
        assert_unseen(result, NAME, *presented(fake))


@pytest.mark.parametrize("status", [401, 403, 404, 422, 200])
def test_password_echoed_by_the_login(tmp_path: Path, status: int) -> None:
    """A login that answers with what it was asked shows no password."""
    with airflow() as fake:
        fake.echo(("POST", "/auth/token"), status, times=2)
        result = run(fake, tmp_path, debug=True, username="admin", password=SECRET)

        assert result.outputs["result"] == "error"
        assert_unseen(result, SECRET)


@pytest.mark.parametrize("before", range(180, 340, 20))
def test_echoed_where_the_page_is_cut(tmp_path: Path, before: int) -> None:
    """A page is shown in part; no part of a token is, wherever the cut falls: half a token escapes the runner's masks."""
    token = "Zq8x7" * 12
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, "text/html", after="x " * (before // 2))
        result = run(fake, tmp_path, debug=True, token=token)

        assert (result.exit_code, result.outputs["result"]) == (1, "error")
        assert "x x x" in result.annotations[-1].message
        assert_unseen(result, token)


@pytest.mark.parametrize("before", range(3300, 3620, 40))
def test_echoed_where_the_annotation_is_cut(tmp_path: Path, before: int) -> None:
    """The same for the length at which annotations are cut."""
    token = "Zq8x7" * 12
    with airflow() as fake:
        fake.echo(("GET", "/dagRuns/*"), 401, after="x " * (before // 2))
        result = run(fake, tmp_path, debug=True, token=token)

        assert 3500 < len(result.annotations[-1].message) <= 4000
        assert_unseen(result, token)


def test_secret_in_a_redirect(tmp_path: Path) -> None:
    """Where a redirect leads is shown without the query that may hold a secret."""
    with airflow() as fake:
        fake.fault(Fault.REDIRECT, to=f"https://u:{NAME}@login.example.com/x?token={NAME}#{NAME}", times=9)
        result = run(fake, tmp_path, debug=True, token=SECRET.replace(" ", "").replace("ö", "o"))

        assert "https://login.example.com/x" in result.log
        assert_unseen(result, NAME)


def test_secret_in_the_url(tmp_path: Path) -> None:
    """A URL with a password in it is refused, and not shown."""
    with airflow() as fake:
        url = fake.url.replace("//", f"//admin:{NAME}@")
        result = run(fake, tmp_path, debug=True, token="t0ken", airflow_url=url)

        assert (result.outputs, fake.record) == ({"result": "error"}, [])
        assert_unseen(result, NAME)


def test_forms() -> None:
    """The forms that the guard looks for are those that tools make of a secret."""
    assert {SECRET, "pa55-Zq8%20%22w%C3%B6rd%22%2F%2B%3F", 'pa55-Zq8 \\"w\\u00f6rd\\"/+?'} < forms(SECRET)
