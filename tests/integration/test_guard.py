"""The guard against leaks sees a secret in every place, in every form and however a step runs, and
makes its test red.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from dev.runner import Context, Process, Step
from tests.support import guard
from tests.support import known_secrets as ledger
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
class Script(Process):
    """Runs some code in place of the action's, in the same way. What it shows is not among its
    arguments.
    """

    code: str = ""
    text: str = ""

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """The code for every stage."""
        launch = super().prepare(stage, metadata, host, env)
        file = host.temp / "code.py"
        file.write_text(program(self.code, self.text), encoding="utf-8")
        return replace(launch, argv=(self.python, "-u", str(file)))


def step(code: str, text: str, workspace: Path, inputs: Mapping[str, str], **env: str) -> Step:
    """A step of these inputs that runs the code on the text."""
    return Step(
        {"dag_id": "sales", **inputs},
        launcher=Script(code=code, text=text),
        workspace=workspace,
        env=env,
    )


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("stage", ["main", "post"])
def test_a_process_that_leaks(tmp_path: Path, stage: Stage, leak: str) -> None:
    """A secret in any form is seen in all places at once, in either stage."""
    step(SHOW_EVERYWHERE, LEAKS[leak], tmp_path, {"password": SECRET}).run(stage)

    assert places(guard.leaks()) == EVERYWHERE
    assert guard.leaks() == []


@pytest.mark.parametrize("stage", ["main", "post"])
def test_a_process_that_does_not(tmp_path: Path, stage: Stage) -> None:
    """A step that shows something else everywhere passes."""
    step(SHOW_EVERYWHERE, "Zq8 and pa55, but no wörd", tmp_path, {"password": SECRET}).run(stage)

    assert guard.leaks() == []


def test_a_mask(tmp_path: Path) -> None:
    """What is masked first may be printed, what is masked afterwards or in the middle of a line may
    not.
    """
    step(f"{MASK}; {SHOW}", SECRET, tmp_path, {"password": SECRET}).run()
    assert guard.leaks() == []

    for code in (f"{SHOW}; {MASK}", f"print('say ::add-mask::' + text); {SHOW}"):
        step(code, SECRET, tmp_path, {"password": SECRET}).run()
        assert places(guard.leaks()) == {"the log", "the raw stream"}


def test_a_mask_for_another(tmp_path: Path) -> None:
    """Masking one secret does not excuse another, and what a step masks is a secret whoever gave
    it.
    """
    step(
        "print('::add-mask::pa55-of-another')\n" + SHOW, SECRET, tmp_path, {"password": SECRET}
    ).run()
    assert places(guard.leaks()) == {"the log", "the raw stream"}

    step(f"{MASK}\n{SHOW_EVERYWHERE}", "derived-Zq8-x7", tmp_path, {}).run()
    assert places(guard.leaks()) == UNMASKED


def test_what_only_debug_logging_would_show(tmp_path: Path) -> None:
    """A debug line counts although this run's log is without it."""
    step("print('::debug::' + text)", SECRET, tmp_path, {"password": SECRET}).run()

    assert places(guard.leaks()) == {"the raw stream"}


def test_markdown(tmp_path: Path) -> None:
    """In the summary a secret counts as a browser shows it, without the escapes that hide it from
    the runner's masks.
    """
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

    assert places(guard.leaks()) == {"the summary on GitHub's page"}


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
def test_what_is_secret(tmp_path: Path, source: str) -> None:
    """Whatever is a secret by its name or its looks is looked for; the same text is none without
    it.
    """
    (tmp_path / "key.pem").write_text(PEM)
    inputs, env, text = SOURCES[source]

    step(SHOW_EVERYWHERE, text, tmp_path, inputs, **env).run()
    assert places(guard.leaks()) == EVERYWHERE

    step(SHOW_EVERYWHERE, text.replace(TOKEN, "e"), tmp_path, {}).run()
    assert guard.leaks() == []


def test_the_name_of_a_key_file(tmp_path: Path) -> None:
    """Where a key lies is no secret, and the lines that every key has are none."""
    for text, key in (("secrets/key.pem", "secrets/key.pem"), (PEM.splitlines()[0], PEM)):
        step(SHOW_EVERYWHERE, text, tmp_path, {"client_key": key}).run()

    assert guard.leaks() == []


def test_the_runner_masks_its_own_token(tmp_path: Path) -> None:
    """GitHub's token is hidden from the start, so that it may be printed, but nowhere else."""
    token = Context().token
    step(SHOW, token, tmp_path, {"github_token": token}).run()
    assert guard.leaks() == []

    step(SHOW_EVERYWHERE, token, tmp_path, {"github_token": token}).run()
    assert places(guard.leaks()) == UNMASKED


def test_what_a_stand_in_notes(tmp_path: Path) -> None:
    """What a stand-in issued or was shown is looked for, before, during and after the step."""
    with FakeAirflow(dags=[FakeDag("sales")]) as fake:
        token = fake.token()
        with fake.session() as session:
            session.headers["Authorization"] = "Bearer opaque-Zq8-x7"
            session.headers["Cookie"] = "a=1; session=cookie-Zq8-x7"
            session.get(f"{fake.url}/api/v2/dags", timeout=60)
    for text in (token[9:], "opaque-Zq8-x7", "cookie-Zq8-x7"):
        step(SHOW, text, tmp_path, {}).run()
        assert places(guard.leaks()) == {"the log", "the raw stream"}

    ledger.clear()
    step(SHOW, "opaque-Zq8-x7", tmp_path, {}).run()
    assert guard.leaks() == []


def test_arguments(tmp_path: Path) -> None:
    """A secret among the arguments of the process is seen, of the variables' names none is."""

    @dataclass(frozen=True)
    class Talkative(Script):
        def prepare(
            self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
        ) -> Launch:
            launch = super().prepare(stage, metadata, host, env)
            return replace(launch, argv=(*launch.argv, f"--token={quote(self.text)}"))

    Step(
        {"dag_id": "sales", "token": SECRET}, launcher=Talkative(text=SECRET), workspace=tmp_path
    ).run()

    assert places(guard.leaks()) == {"the process's arguments"}


def test_a_step_without_a_result(tmp_path: Path) -> None:
    """A step that goes on, or whose result nobody asks for, is judged by what it has printed so
    far, and told once.
    """
    code = f"{SHOW}; print('ready'); time.sleep(60)"
    with step(code, SECRET, tmp_path, {"password": SECRET}).start() as running:
        running.wait_for("ready")
        assert places(guard.leaks()) == {"the raw stream"}
        assert guard.leaks() == []

    with step(SHOW, SECRET, tmp_path, {"password": SECRET}).start() as running:
        running.wait_for("pa55")
    assert places(guard.leaks()) == {"the raw stream"}
