"""The context and head commit from GitHub's environment and event file."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from dev import runner
from entrypoint.errors import ActionError
from entrypoint.models import Event
from entrypoint.runners.base import Context
from entrypoint.runners.github import head_commit, is_runner, read_context, read_event
from tests.support.factories import SHA, a_context

NEEDED = (
    "GITHUB_SHA",
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "GITHUB_JOB",
    "GITHUB_ACTION",
    "GITHUB_ACTOR",
)


def runner_environment(**changes: str) -> dict[str, str]:
    places = {
        "workspace": Path("/github/workspace"),
        "temp": Path("/tmp"),  # noqa: S108 - nothing is written there
        "event_path": Path("/e.json"),
    }
    return (
        runner.RunnerContext(run_id="8000000001", run_attempt="3").environment(**places) | changes
    )


def test_every_context_field_is_read_from_its_variable() -> None:
    assert read_context(
        runner_environment(
            GITHUB_TRIGGERING_ACTOR="hubot",
            GITHUB_SERVER_URL="https://ghe.example.com",
            GITHUB_API_URL="https://ghe.example.com/api/v3",
        )
    ) == Context(
        system="github",
        sha=runner.RunnerContext().sha,
        repository="octo-org/sales-pipeline",
        run_id="8000000001",
        attempt=3,
        job="gate",
        step="dag",
        actor="hubot",
        run_url="https://ghe.example.com/octo-org/sales-pipeline/actions/runs/8000000001",
        commit_url=f"https://ghe.example.com/octo-org/sales-pipeline/commit/{runner.RunnerContext().sha}",
        api_url="https://ghe.example.com/api/v3",
        workspace=Path("/github/workspace"),
        event=Path("/e.json"),
        job_path="gate.__default",
        event_name="push",
        ref_sha=runner.RunnerContext().sha,
    )


def runtime_token(claims: object) -> str:
    return f"eyJ0.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("plan", "runtime", "path"),
    [
        (
            "1c0b.build.__default",
            runtime_token({"scp": "Actions.Results:7:u-1"}),
            "build.__default",
        ),
        ("1c0b.call.build.(ubuntu, 3.12)", "", "call.build.(ubuntu, 3.12)"),
        (
            "",
            runtime_token(
                {"scp": "Actions.GenericRead:00 Actions.Results:7:u-1 Actions.UploadArtifacts:7"}
            ),
            "u-1",
        ),
        ("1c0b", runtime_token({"scp": "Actions.Results:7:u-1"}), "u-1"),
        ("", runtime_token({"scp": "Actions.Results:7"}), ""),
        ("", runtime_token({"scp": ["Actions.Results:7:u-1"]}), ""),
        ("", runtime_token([]), ""),
        ("", runtime_token({}), ""),
        ("", "replayed", ""),
        ("", "a.é.c", ""),
        ("", "a.////.c", ""),
        ("", "", ""),
    ],
)
def test_job_path_is_read_from_the_runtime_token(plan: str, runtime: str, path: str) -> None:
    reported = runner_environment(ACTIONS_ORCHESTRATION_ID=plan, ACTIONS_RUNTIME_TOKEN=runtime)
    assert read_context(reported).job_path == path


def test_optional_variables_have_defaults() -> None:
    context = read_context(dict.fromkeys(NEEDED, "x"))

    assert (context.attempt, context.actor, context.run_url) == (
        1,
        "x",
        "https://github.com/x/actions/runs/x",
    )
    assert (
        context.api_url
        == read_context(runner_environment(GITHUB_API_URL="")).api_url
        == "https://api.github.com"
    )
    assert context.event is None
    assert context.workspace == Path()


@pytest.mark.parametrize(
    ("attempt", "number"), [("2", 2), ("", 1), ("two", 1), ("²", 1), ("-1", 1)]
)
def test_invalid_attempt_is_the_first(attempt: str, number: int) -> None:
    assert read_context(runner_environment(GITHUB_RUN_ATTEMPT=attempt)).attempt == number


def test_run_and_commit_urls_are_on_the_server_of_the_run() -> None:
    context = read_context(runner_environment(GITHUB_SERVER_URL="https://ghe.example.com"))

    assert (
        context.run_url == "https://ghe.example.com/octo-org/sales-pipeline/actions/runs/8000000001"
    )
    assert (
        context.commit_url
        == f"https://ghe.example.com/octo-org/sales-pipeline/commit/{context.sha}"
    )


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("value", [None, ""])
def test_missing_required_variable_is_named(name: str, value: str | None) -> None:
    environ = runner_environment(**{name: value or ""})
    if value is None:
        del environ[name]
    with pytest.raises(ActionError, match=rf"lacks {name}\.") as caught:
        read_context(environ)

    assert "uses:" in caught.value.hint


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(ActionError) as caught:
        read_context({})

    assert caught.value.detail == f"The environment lacks {', '.join(NEEDED)}."


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "", "GITHUB_SHA": ""}, True),
        ({"GITHUB_ACTIONS": "false"}, False),
        *(({name: ""}, False) for name in NEEDED),
        ({"GITHUB_OUTPUT": ""}, False),
        ({"GITHUB_OUTPUT": "/nowhere/output"}, False),
        # Another system, with copied variables.
        *(({name: "x"}, False) for name in ("GITLAB_CI", "TF_BUILD", "BUILD_TAG", "JENKINS_URL")),
        ({"GITLAB_CI": "true", "GITHUB_ACTIONS": "true"}, True),
    ],
)
def test_runner_is_known_by_its_other_variables_too(
    tmp_path: Path, changes: dict[str, str], found: bool
) -> None:
    """Old container hooks in Kubernetes do not pass GITHUB_ACTIONS."""
    (tmp_path / "output").touch()
    environ = runner_environment(GITHUB_OUTPUT=str(tmp_path / "output")) | changes

    assert is_runner(environ) is found


HEAD = "d" * 40


@pytest.mark.parametrize(
    ("event", "commit"),
    [
        (f'{{"pull_request": {{"head": {{"sha": "{HEAD}"}}}}, "after": "x"}}', HEAD),
        (f'{{"pull_request": {{"head": {{"sha": "{"d" * 64}"}}}}}}', "d" * 64),
        (f'{{"after": "{HEAD}"}}', SHA),
        ("{}", SHA),
        # Invalid events.
        ('{"pull_request": null}', SHA),
        ('{"pull_request": "x"}', SHA),
        ('{"pull_request": {"head": {}}}', SHA),
        ('{"pull_request": {"head": {"sha": 7}}}', SHA),
        ('{"pull_request": {"head": {"sha": "main"}}}', SHA),
        (f'{{"pull_request": {{"head": {{"sha": "{HEAD}\\n"}}}}}}', SHA),
        ("[]", SHA),
        ("7", SHA),
        ("", SHA),
        ("{", SHA),
        ("[" * 100_000, SHA),
    ],
    ids=lambda text: text[:50],
)
def test_head_commit_is_that_of_the_pull_request_or_the_run(
    tmp_path: Path, event: str, commit: str
) -> None:
    path = tmp_path / "event.json"
    path.write_text(event)

    assert head_commit(a_context(event=path)) == commit


PULL_REQUEST = {"head": {"sha": HEAD}, "merged": False}
RUN = {"head_sha": HEAD, "head_branch": "main"}


def context_of(folder: Path, name: str, payload: object) -> Context:
    """Return the context of a workflow that this event started."""
    (folder / "event.json").write_text(json.dumps(payload))
    return read_context(
        runner_environment(
            GITHUB_EVENT_NAME=name, GITHUB_EVENT_PATH=str(folder / "event.json"), GITHUB_SHA=SHA
        )
    )


@pytest.mark.parametrize(
    ("name", "payload", "commit"),
    [
        # GITHUB_SHA is the last commit of the default branch, or of a pull request's base.
        ("workflow_run", {"workflow_run": RUN}, HEAD),
        ("pull_request_target", {"pull_request": PULL_REQUEST}, HEAD),
        ("check_run", {"check_run": RUN}, HEAD),
        ("check_suite", {"check_suite": RUN}, HEAD),
        ("status", {"sha": HEAD}, HEAD),
        # The payload and GITHUB_SHA name the same commit.
        ("merge_group", {"merge_group": RUN}, HEAD),
        ("deployment", {"deployment": {"sha": HEAD}}, HEAD),
        (
            "deployment_status",
            {"deployment": {"sha": HEAD}, "workflow_run": {"head_sha": SHA}},
            HEAD,
        ),
        # The workflow runs on the branch into which the pull request was merged.
        ("pull_request_target", {"pull_request": PULL_REQUEST | {"merged": True}}, SHA),
        # A test merge of the pull request.
        ("pull_request", {"pull_request": PULL_REQUEST}, SHA),
        ("pull_request_review", {"pull_request": PULL_REQUEST}, SHA),
        # The payload names no commit, or another one.
        ("push", {"after": HEAD, "head_commit": {"id": HEAD}}, SHA),
        ("schedule", {"schedule": "0 3 * * *"}, SHA),
        ("workflow_dispatch", {"inputs": None}, SHA),
        ("repository_dispatch", {"client_payload": {"sha": HEAD, "workflow_run": RUN}}, SHA),
        ("release", {"release": {"target_commitish": HEAD}}, SHA),
        ("issue_comment", {"issue": {"number": 7}, "workflow_run": RUN}, SHA),
        ("", {"workflow_run": RUN}, SHA),
        # Invalid payloads.
        ("workflow_run", {"workflow_run": {"head_sha": "main"}}, SHA),
        ("workflow_run", {}, SHA),
        ("workflow_run", [], SHA),
        ("pull_request_target", {"pull_request": 7}, SHA),
    ],
)
def test_commit_is_the_one_that_the_event_is_about(
    tmp_path: Path, name: str, payload: object, commit: str
) -> None:
    context = context_of(tmp_path, name, payload)

    assert (context.sha, context.ref_sha, context.commit_remark) == (commit, SHA, "")
    assert context.commit_url.endswith(f"/octo-org/sales-pipeline/commit/{commit}")


@pytest.mark.parametrize(
    ("issue", "remark"), [({"pull_request": {"url": "u"}}, True), ({}, False), (7, False)]
)
def test_comment_on_a_pull_request_does_not_name_its_commit(
    tmp_path: Path, issue: object, remark: bool
) -> None:
    context = context_of(tmp_path, "issue_comment", {"issue": issue})

    assert context.sha == SHA
    assert (f"about {SHA[:12]}, the last commit of the default" in context.commit_remark) is remark


def test_missing_or_unreadable_event_file_gives_the_runs_commit(tmp_path: Path) -> None:
    garbled = tmp_path / "event.json"
    garbled.write_bytes(b'{"pull_request": "\xff"}')

    for event in (None, tmp_path / "absent.json", tmp_path, garbled):
        assert head_commit(a_context(event=event)) == SHA


@pytest.mark.parametrize(
    ("text", "payload"),
    [('{"ref": "refs/heads/main"}', {"ref": "refs/heads/main"}), ("[]", {}), ("{", {}), ("", {})],
)
def test_event_has_its_name_and_the_payload_of_its_file(
    tmp_path: Path, text: str, payload: dict[str, str]
) -> None:
    """A file that is not a JSON object gives no payload."""
    path = tmp_path / "event.json"
    path.write_text(text)

    assert read_event(a_context(event=path, event_name="push")) == Event("push", dict(payload))
    assert read_event(a_context(event=None)).payload == {}


def test_text_of_an_event_is_empty_unless_it_is_text() -> None:
    event = Event("push", {"ref": "r", "repository": {"id": 7, "default_branch": "main"}})

    assert event.text_at("repository", "default_branch") == "main"
    for path in (("repository",), ("repository", "id"), ("ref", "x"), ("nope", "x"), ()):
        assert event.text_at(*path) == ""
