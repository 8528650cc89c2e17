"""The leak guard finds a secret in every place and every form, and fails the test."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from dev.runner import ActionStep, Process, RunnerContext
from tests.support import known_secrets, leak_guard
from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.leaks import (
    EVERYWHERE,
    LEAKS,
    MASK,
    SECRET,
    SHOW,
    SHOW_EVERYWHERE,
    TOKEN,
    UNMASKED,
    places,
    program,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dev.runner import Stage
    from dev.runner.launch import Host, Launch
    from dev.runner.metadata import Metadata

PEM = (
    "-----BEGIN PRIVATE "
    "KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\nggSjAgEAAoIB\n-----END PRIVATE "
    "KEY-----\n"
)


@dataclass(frozen=True)
class CodeLauncher(Process):
    """Runs some code instead of the action. The text that it shows is not among its arguments."""

    code: str = ""
    text: str = ""

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """Return the code for every stage."""
        launch = super().prepare(stage, metadata, host, env)
        file = host.temp / "code.py"
        file.write_text(program(self.code, self.text), encoding="utf-8")
        return replace(launch, argv=(self.python, "-u", str(file)))


def step(
    code: str, text: str, workspace: Path, inputs: Mapping[str, str], **env: str
) -> ActionStep:
    return ActionStep(
        {"dag_id": "sales", **inputs},
        launcher=CodeLauncher(code=code, text=text),
        workspace=workspace,
        env=env,
    )


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("stage", ["main", "post"])
def test_a_leak_is_found_in_every_place_and_form(tmp_path: Path, stage: Stage, leak: str) -> None:
    step(SHOW_EVERYWHERE, LEAKS[leak], tmp_path, {"password": SECRET}).run(stage)

    assert places(leak_guard.new_leaks()) == EVERYWHERE
    assert leak_guard.new_leaks() == []


@pytest.mark.parametrize("stage", ["main", "post"])
def test_text_that_only_resembles_a_secret_is_no_leak(tmp_path: Path, stage: Stage) -> None:
    step(SHOW_EVERYWHERE, "Zq8 and pa55, but no wörd", tmp_path, {"password": SECRET}).run(stage)

    assert leak_guard.new_leaks() == []


def test_a_secret_may_be_printed_only_after_it_is_masked(tmp_path: Path) -> None:
    """A mask command in the middle of a line does not count."""
    step(f"{MASK}; {SHOW}", SECRET, tmp_path, {"password": SECRET}).run()
    assert leak_guard.new_leaks() == []

    for code in (f"{SHOW}; {MASK}", f"print('say ::add-mask::' + text); {SHOW}"):
        step(code, SECRET, tmp_path, {"password": SECRET}).run()
        assert places(leak_guard.new_leaks()) == {"the log", "the raw stream"}


def test_masking_one_secret_does_not_cover_another(tmp_path: Path) -> None:
    """Any text that a step masks counts as a secret."""
    step(
        "print('::add-mask::pa55-of-another')\n" + SHOW, SECRET, tmp_path, {"password": SECRET}
    ).run()
    assert places(leak_guard.new_leaks()) == {"the log", "the raw stream"}

    step(f"{MASK}\n{SHOW_EVERYWHERE}", "derived-Zq8-x7", tmp_path, {}).run()
    assert places(leak_guard.new_leaks()) == UNMASKED


def test_a_leak_in_a_debug_line_counts_without_debug_logging(tmp_path: Path) -> None:
    step("print('::debug::' + text)", SECRET, tmp_path, {"password": SECRET}).run()

    assert places(leak_guard.new_leaks()) == {"the raw stream"}


def test_a_leak_in_the_summary_is_found_behind_escapes(tmp_path: Path) -> None:
    """A browser shows the text without the escapes that hide it from the runner's masks."""
    code = (
        f"print('::add-mask::' + {SECRET!r})\nopen(os.environ['GITHUB_STEP_SUMMARY'], "
        "'a').write(text)"
    )
    step(
        code,
        html.escape(SECRET.replace("-", r"\-").replace("_", r"\_")),
        tmp_path,
        {"password": SECRET},
    ).run()

    assert places(leak_guard.new_leaks()) == {"the summary on GitHub's page"}


SOURCES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "token": ({"token": SECRET}, {}, SECRET),
    "password": ({"password": SECRET}, {}, SECRET),
    "client_secret": ({"client_secret": SECRET}, {}, SECRET),
    "client_key": ({"client_key": PEM}, {}, PEM.splitlines()[2]),
    "client_key in a file": ({"client_key": "key.pem"}, {}, PEM.splitlines()[1]),
    "a header": ({"headers": f"X-One: 1\nX-Two: {SECRET}\n"}, {}, SECRET),
    "a header with a scheme": ({"headers": "Authorization: Basic Zq8Zq8Zq8"}, {}, "Zq8Zq8Zq8"),
    "AWS secret key": ({}, {"AWS_SECRET_ACCESS_KEY": SECRET}, SECRET),
    "AWS session token": ({}, {"AWS_SESSION_TOKEN": SECRET}, SECRET),
    "OIDC request token": ({}, {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET}, SECRET),
    "a proxy's password": ({}, {"HTTPS_PROXY": "http://me:Zq8%2FZq8%2B@proxy:3128"}, "Zq8/Zq8+"),
    "a URL's password": (
        {"airflow_url": f"https://me:{quote(SECRET, safe='')}@airflow"},
        {},
        SECRET,
    ),
    "any token": ({}, {}, f"access_token={TOKEN}&x=1"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_secrets_is_searched_for(tmp_path: Path, source: str) -> None:
    """The same text is no leak without its source."""
    (tmp_path / "key.pem").write_text(PEM)
    inputs, env, text = SOURCES[source]

    step(SHOW_EVERYWHERE, text, tmp_path, inputs, **env).run()
    assert places(leak_guard.new_leaks()) == EVERYWHERE

    step(SHOW_EVERYWHERE, text.replace(TOKEN, "e"), tmp_path, {}).run()
    assert leak_guard.new_leaks() == []


def test_neither_the_path_nor_the_first_line_of_a_key_is_secret(tmp_path: Path) -> None:
    for text, key in (("secrets/key.pem", "secrets/key.pem"), (PEM.splitlines()[0], PEM)):
        step(SHOW_EVERYWHERE, text, tmp_path, {"client_key": key}).run()

    assert leak_guard.new_leaks() == []


def test_githubs_token_may_be_printed_but_not_written_elsewhere(tmp_path: Path) -> None:
    """The runner masks it from the start."""
    token = RunnerContext().token
    step(SHOW, token, tmp_path, {"github_token": token}).run()
    assert leak_guard.new_leaks() == []

    step(SHOW_EVERYWHERE, token, tmp_path, {"github_token": token}).run()
    assert places(leak_guard.new_leaks()) == UNMASKED


def test_secrets_that_a_fake_service_issues_or_receives_are_searched_for(tmp_path: Path) -> None:
    with FakeAirflow(dags=[FakeDag("sales")]) as fake:
        token = fake.token()
        with fake.session() as session:
            session.headers["Authorization"] = "Bearer opaque-Zq8-x7"
            session.headers["Cookie"] = "a=1; session=cookie-Zq8-x7"
            session.get(f"{fake.url}/api/v2/dags", timeout=60)
    for text in (token[9:], "opaque-Zq8-x7", "cookie-Zq8-x7"):
        step(SHOW, text, tmp_path, {}).run()
        assert places(leak_guard.new_leaks()) == {"the log", "the raw stream"}

    known_secrets.clear()
    step(SHOW, "opaque-Zq8-x7", tmp_path, {}).run()
    assert leak_guard.new_leaks() == []


def test_a_secret_among_the_process_arguments_is_found(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class LeakyArgumentsLauncher(CodeLauncher):
        def prepare(
            self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
        ) -> Launch:
            launch = super().prepare(stage, metadata, host, env)
            return replace(launch, argv=(*launch.argv, f"--token={quote(self.text)}"))

    ActionStep(
        {"dag_id": "sales", "token": SECRET},
        launcher=LeakyArgumentsLauncher(text=SECRET),
        workspace=tmp_path,
    ).run()

    assert places(leak_guard.new_leaks()) == {"the process's arguments"}


def test_a_step_that_is_still_running_is_checked_once_for_what_it_printed(tmp_path: Path) -> None:
    code = f"{SHOW}; print('ready'); time.sleep(60)"
    with step(code, SECRET, tmp_path, {"password": SECRET}).start() as running:
        running.wait_for("ready")
        assert places(leak_guard.new_leaks()) == {"the raw stream"}
        assert leak_guard.new_leaks() == []

    with step(SHOW, SECRET, tmp_path, {"password": SECRET}).start() as running:
        running.wait_for("pa55")
    assert places(leak_guard.new_leaks()) == {"the raw stream"}
