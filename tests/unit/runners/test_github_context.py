"""What the runner's environment says about the step."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from dev import runner
from entrypoint.errors import ActionError
from entrypoint.runners.base import Context
from entrypoint.runners.github import read_context

NEEDED = (
    "GITHUB_SHA",
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "GITHUB_JOB",
    "GITHUB_ACTION",
    "GITHUB_ACTOR",
)


def environment(**changes: str) -> dict[str, str]:
    """What the replayed runner sets."""
    places = {
        "workspace": Path("/github/workspace"),
        "temp": Path("/tmp"),  # noqa: S108 - nothing is written there
        "event_path": Path("/e.json"),
    }
    return runner.Context(run_id="8000000001", run_attempt="3").environment(**places) | changes


def test_context() -> None:
    """Every field is read from the variable that the runner means for it."""
    assert read_context(
        environment(
            GITHUB_TRIGGERING_ACTOR="hubot",
            GITHUB_SERVER_URL="https://ghe.example.com",
            GITHUB_API_URL="https://ghe.example.com/api/v3",
        )
    ) == Context(
        system="github",
        sha=runner.Context().sha,
        repository="octo-org/sales-pipeline",
        run_id="8000000001",
        attempt=3,
        job="gate",
        step="dag",
        actor="hubot",
        run_url="https://ghe.example.com/octo-org/sales-pipeline/actions/runs/8000000001",
        commit_url=f"https://ghe.example.com/octo-org/sales-pipeline/commit/{runner.Context().sha}",
        api_url="https://ghe.example.com/api/v3",
        workspace=Path("/github/workspace"),
        event=Path("/e.json"),
        job_path="gate.__default",
    )


def token(claims: object) -> str:
    """A runner's token with these claims."""
    return f"eyJ0.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("plan", "runtime", "path"),
    [
        ("1c0b.build.__default", token({"scp": "Actions.Results:7:u-1"}), "build.__default"),
        ("1c0b.call.build.(ubuntu, 3.12)", "", "call.build.(ubuntu, 3.12)"),
        (
            "",
            token(
                {"scp": "Actions.GenericRead:00 Actions.Results:7:u-1 Actions.UploadArtifacts:7"}
            ),
            "u-1",
        ),
        ("1c0b", token({"scp": "Actions.Results:7:u-1"}), "u-1"),
        ("", token({"scp": "Actions.Results:7"}), ""),
        ("", token({"scp": ["Actions.Results:7:u-1"]}), ""),
        ("", token([]), ""),
        ("", token({}), ""),
        ("", "replayed", ""),
        ("", "a.é.c", ""),
        ("", "a.////.c", ""),
        ("", "", ""),
    ],
)
def test_job_path(plan: str, runtime: str, path: str) -> None:
    """The path of a job through reusable workflows is read from what the runner tells, if it
    does.
    """
    told = environment(ACTIONS_ORCHESTRATION_ID=plan, ACTIONS_RUNTIME_TOKEN=runtime)
    assert read_context(told).job_path == path


def test_what_may_be_missing() -> None:
    """Older runners and servers leave some variables out; each has a stand-in."""
    context = read_context(dict.fromkeys(NEEDED, "x"))

    assert (context.attempt, context.actor, context.run_url) == (
        1,
        "x",
        "https://github.com/x/actions/runs/x",
    )
    assert (
        context.api_url
        == read_context(environment(GITHUB_API_URL="")).api_url
        == "https://api.github.com"
    )
    assert context.event is None
    assert context.workspace == Path()


@pytest.mark.parametrize(
    ("attempt", "number"), [("2", 2), ("", 1), ("two", 1), ("²", 1), ("-1", 1)]
)
def test_attempt(attempt: str, number: int) -> None:
    """An attempt that is no number counts as the first."""
    assert read_context(environment(GITHUB_RUN_ATTEMPT=attempt)).attempt == number


def test_urls() -> None:
    """The workflow run and the commit have their pages on the server of the run."""
    context = read_context(environment(GITHUB_SERVER_URL="https://ghe.example.com"))

    assert (
        context.run_url == "https://ghe.example.com/octo-org/sales-pipeline/actions/runs/8000000001"
    )
    assert (
        context.commit_url
        == f"https://ghe.example.com/octo-org/sales-pipeline/commit/{context.sha}"
    )


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("value", [None, ""])
def test_missing(name: str, value: str | None) -> None:
    """A variable without which the run id would not be that of a commit is named."""
    environ = environment(**{name: value or ""})
    if value is None:
        del environ[name]
    with pytest.raises(ActionError, match=rf"lacks {name}\.") as caught:
        read_context(environ)

    assert "uses:" in caught.value.hint


def test_all_missing() -> None:
    """Outside GitHub every missing variable is named at once."""
    with pytest.raises(ActionError) as caught:
        read_context({})

    assert caught.value.detail == f"The environment lacks {', '.join(NEEDED)}."
