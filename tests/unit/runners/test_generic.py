"""Runners without commands of their own: context, log, masks and outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError
from entrypoint.report.console import Console
from entrypoint.run.request import derive_note, derive_run_id
from entrypoint.runners.base import Context
from entrypoint.runners.generic import GenericRunner, read_context
from tests.support.factories import SHA, an_outcome
from tests.support.runner_log import printed_by

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = re.compile(r"##\w*\[|\x1b|section_(?:start|end):\d+:\w+\r")


def ways_to_log(log: GenericRunner, text: str) -> tuple[Callable[[], object], ...]:
    """Return every method by which a text can get into the log."""
    return (
        lambda: log.say(f"0:00  {text}"),
        lambda: log.relay([text]),
        lambda: log.annotate("error", text, text, ending=text, file=text, line=1),
        lambda: log.append_summary(text),
        lambda: log.debug(text),
        lambda: log.group(text).__enter__(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "##vso[task.setvariable variable=a]b",
        "x ##VSO[task.complete result=Succeeded;]",
        "##[error]no",
        "##teamcity[message]",
        "\x1b[0Ksection_start:1:a\r\x1b[0Ktitle",
    ],
)
def test_text_is_no_command_of_any_ci_system(text: str) -> None:
    printed = printed_by(*ways_to_log(GenericRunner(verbose=True), text))

    assert COMMAND.search(text)
    assert not COMMAND.search(printed)
    assert len(printed.splitlines()) >= 6


def test_mask_prints_nothing() -> None:
    """GitHub's command would show the secret in the log."""
    assert printed_by(lambda: GenericRunner().mask("s3cret-token")) == ""


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4 and text.isprintable()))
def test_masked_secret_is_shown_as_asterisks(secret: str) -> None:
    log = GenericRunner(verbose=True)
    log.mask(secret)
    printed = printed_by(*ways_to_log(log, f"a {secret} b"))

    assert "***" in printed
    if not re.search(r"[*a-z\s#:,.\[\]0-9]", secret, re.IGNORECASE):
        assert secret not in printed


def test_each_line_of_a_multiline_secret_is_masked() -> None:
    log = GenericRunner()
    log.mask("-----BEGIN KEY-----\nMIIBVgIB\nMIIBVgIBADAN\n}\n")
    printed = printed_by(lambda: log.relay(["MIIBVgIBADAN", "x MIIBVgIB y", "}"]))

    assert printed.split("\n") == ["    ***", "    x *** y", "    }", ""]


def test_annotation_begins_with_level_and_place() -> None:
    """Compilers write them so."""
    printed = printed_by(
        lambda: GenericRunner().annotate(
            "warning",
            "load failed: KeyError",
            "'x'\n\nmore",
            ending="\nDAG run: u",
            file="a.py",
            line=3,
        )
    )

    assert printed == "WARNING: a.py:3: load failed: KeyError\n    'x'\n    more\n    DAG run: u\n"


def test_group_is_printed_below_its_title() -> None:
    log = GenericRunner()

    def events() -> None:
        with log.group("Log of load"):
            log.relay(["a line"])

    assert printed_by(events) == "Log of load\n    a line\n"


def test_debug_text_is_printed_only_if_wanted() -> None:
    assert printed_by(lambda: GenericRunner().debug("GET /x")) == ""
    assert printed_by(lambda: GenericRunner(verbose=True).debug("GET /x")) == "DEBUG: GET /x\n"


def test_output_file_always_holds_the_known_outputs_as_json(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    log = GenericRunner(str(path))
    log.write()
    assert json.loads(path.read_text()) == {}
    log.set_output("run_id", "r1")
    log.set_output("duration", "")
    assert json.loads(path.read_text()) == {"run_id": "r1", "duration": ""}
    for name, value in {
        "created": "true",
        "duration": "12.500",
        "failed_tasks": '["a[0]"]',
        "xcom": '{"é": [1]}',
    }.items():
        log.set_output(name, value)
    log.set_output("state", "success\ud800")

    assert json.loads(path.read_text(encoding="utf-8")) == {
        "run_id": "r1",
        "duration": 12.5,
        "created": True,
        "failed_tasks": ["a[0]"],
        "xcom": {"é": [1]},
        "state": "success\\ud800",
    }
    assert [file.name for file in tmp_path.iterdir()] == ["outputs.json"]


def test_outputs_without_a_file_are_dropped() -> None:
    log = GenericRunner()
    log.write()
    log.set_output("run_id", "r1")
    log.save_state("RUN_ID", "r1")


@pytest.mark.parametrize("path", ["missing/outputs.json", "."])
def test_unwritable_output_file_is_an_error_at_start(tmp_path: Path, path: str) -> None:
    with pytest.raises(ActionError, match="cannot be written") as caught:
        GenericRunner(str(tmp_path / path)).write()

    assert str(tmp_path) in caught.value.detail


def test_output_file_lost_later_is_one_warning(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    log = GenericRunner(str(folder / "outputs.json"))
    log.write()
    (folder / "outputs.json").unlink()
    folder.rmdir()
    printed = printed_by(
        lambda: log.set_output("run_id", "r1"), lambda: log.set_output("state", "queued")
    )

    assert printed.count("WARNING: The file for the outputs cannot be written") == 1
    assert "not written" in printed


def test_live_log_is_the_same_as_on_github_without_commands() -> None:
    console = Console(lambda: 0.0, GenericRunner())
    printed = printed_by(
        lambda: console.run_found(an_outcome()), lambda: console.unencrypted("http://x")
    )

    assert "DAG run r1 of nightly_sales" in printed
    assert "WARNING: The connection to Airflow is not encrypted" in printed
    assert "::" not in printed


GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": SHA,
    "CI_PROJECT_PATH": "octo/sales",
    "CI_PROJECT_URL": "https://gitlab.example.com/octo/sales",
    "CI_PIPELINE_ID": "4711",
    "CI_PIPELINE_URL": "https://gitlab.example.com/octo/sales/-/pipelines/4711",
    "CI_JOB_NAME": "gate: [eu, 1]",
    "GITLAB_USER_LOGIN": "octocat",
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_SOURCEVERSION": SHA,
    "BUILD_REPOSITORY_NAME": "sales",
    "BUILD_BUILDID": "815",
    "SYSTEM_JOBNAME": "gate",
    "SYSTEM_JOBATTEMPT": "2",
    "BUILD_REQUESTEDFOR": "Octo Cat",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/octo/",
    "SYSTEM_TEAMPROJECTID": "0a1b",
}
JENKINS = {
    "BUILD_TAG": "jenkins-sales-42",
    "GIT_COMMIT": SHA,
    "GIT_URL": "https://git.example.com/octo/sales.git",
    "JOB_NAME": "sales/main",
    "BUILD_ID": "42",
    "BUILD_URL": "https://jenkins.example.com/job/sales/42/",
}
SYSTEMS = {"gitlab": GITLAB, "azure": AZURE, "jenkins": JENKINS}


def test_gitlab_variables_give_the_context() -> None:
    assert read_context(GITLAB, run_id="") == Context(
        system="gitlab",
        sha=SHA,
        repository="octo/sales",
        run_id="4711",
        attempt=1,
        job="gate: [eu, 1]",
        step="",
        actor="octocat",
        run_url="https://gitlab.example.com/octo/sales/-/pipelines/4711",
        commit_url=f"https://gitlab.example.com/octo/sales/-/commit/{SHA}",
        api_url="",
        workspace=Path(),
    )


def test_azure_pipelines_variables_give_the_context() -> None:
    context = read_context(AZURE, run_id="")

    assert (context.system, context.sha, context.repository, context.run_id) == (
        "azure",
        SHA,
        "sales",
        "815",
    )
    assert (context.job, context.attempt, context.actor) == ("gate", 2, "Octo Cat")
    assert context.run_url == "https://dev.azure.com/octo/0a1b/_build/results?buildId=815"


def test_jenkins_variables_give_the_context() -> None:
    """The actor needs a plugin."""
    context = read_context(JENKINS, run_id="")

    assert (context.system, context.sha, context.run_id, context.job) == (
        "jenkins",
        SHA,
        "42",
        "sales/main",
    )
    assert (context.repository, context.actor) == ("https://git.example.com/octo/sales.git", "")
    assert context.run_url == "https://jenkins.example.com/job/sales/42/"
    assert read_context(JENKINS | {"BUILD_USER_ID": "octocat"}, run_id="").actor == "octocat"
    assert read_context({**JENKINS, "GIT_URL": ""}, run_id="").repository == "sales/main"


@pytest.mark.parametrize("system", SYSTEMS)
def test_run_id_names_system_and_commit_and_is_stable_for_a_build(system: str) -> None:
    environ = SYSTEMS[system]
    build = {"gitlab": "CI_PIPELINE_ID", "azure": "BUILD_BUILDID", "jenkins": "BUILD_ID"}[system]
    first, again, other = (
        derive_run_id(read_context(one, run_id=""), None, {})
        for one in (environ, environ | {"SYSTEM_JOBATTEMPT": "3"}, environ | {build: "99"})
    )

    assert first.startswith(f"{system}__{SHA[:12]}__{environ[build]}__")
    assert first == again != other


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_jobs_of_a_build_have_different_run_ids(system: str) -> None:
    job = {"gitlab": "CI_JOB_NAME", "azure": "SYSTEM_JOBNAME", "jenkins": "JOB_NAME"}[system]
    ids = {
        derive_run_id(read_context(SYSTEMS[system] | {job: name}, run_id=""), None, {})
        for name in ("a", "b")
    }

    assert len(ids) == 2


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("missing", ["sha", "build"])
def test_missing_variable_is_named_unless_run_id_is_given(system: str, missing: str) -> None:
    names = {
        "gitlab": ("CI_COMMIT_SHA", "CI_PIPELINE_ID"),
        "azure": ("BUILD_SOURCEVERSION", "BUILD_BUILDID"),
        "jenkins": ("GIT_COMMIT", "BUILD_ID"),
    }
    name = names[system][missing == "build"]
    environ = {key: value for key, value in SYSTEMS[system].items() if key != name}
    with pytest.raises(ActionError, match=rf"lacks {name}\.") as caught:
        read_context(environ, run_id="")

    assert "INPUT_RUN_ID" in caught.value.hint
    assert read_context(environ, run_id="mine").system == system


def test_shell_needs_only_a_run_id() -> None:
    with pytest.raises(ActionError) as caught:
        read_context({"USER": "me"}, run_id="")
    context = read_context({"USER": "me"}, run_id="mine")

    assert all(
        name in caught.value.detail
        for name in ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "BUILD_TAG", "run_id")
    )
    assert (context.system, context.sha, context.run_url) == ("shell", "", "")
    assert derive_note(context) == "Triggered by me"
    assert derive_note(read_context({}, run_id="mine")) == "Triggered by an unknown user"


def test_note_names_actor_commit_and_build() -> None:
    assert derive_note(read_context(GITLAB, run_id="")) == (
        f"Triggered by octocat for commit {SHA[:12]} of octo/sales: "
        "https://gitlab.example.com/octo/sales/-/pipelines/4711"
    )


@pytest.mark.parametrize("attempt", ["", "x", "²"])
def test_invalid_attempt_is_the_first(attempt: str) -> None:
    assert read_context(AZURE | {"SYSTEM_JOBATTEMPT": attempt}, run_id="").attempt == 1
