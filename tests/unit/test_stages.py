"""Masking before the first request, and the result after a failure in the report."""

from pathlib import Path
from typing import Any

import pytest

from entrypoint.inputs.settings import INPUT_NAMES, SECRET_INPUTS
from entrypoint.models import StepOutcome
from entrypoint.report import publish
from entrypoint.runners import github as commands
from entrypoint.stages import _run_stage, _secrets
from tests.support.factories import a_step, an_outcome

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws-k3y",
    "AWS_SESSION_TOKEN": "aws-sess1on",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "requ3st",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return a job with AWS credentials and GitHub's OIDC endpoint."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def masked_values(**inputs: str) -> set[str]:
    return {secret for secret in _secrets(dict.fromkeys(INPUT_NAMES, "") | inputs) if secret}


@pytest.mark.parametrize(
    ("inputs", "secrets"),
    [
        ({}, set()),
        *(
            ({name: "s3cret"}, {"s3cret"})
            for name in ("token", "password", "client_secret", "client_key")
        ),
        ({"headers": "X-Key: k3y\nAuthorization: Basic abc"}, {"k3y", "Basic abc", "abc"}),
        ({"headers": "no header"}, {"no header"}),
        ({"mwaa_environment": "m"}, {"aws-k3y", "aws-sess1on"}),
        ({"oidc_audience": "a"}, {"requ3st"}),
        ({"google_workload_identity_provider": "p"}, {"requ3st"}),
        (
            {"token": "one", "password": "two", "oidc_audience": "a", "headers": "A: b"},
            {"one", "two", "requ3st", "b"},
        ),
    ],
)
def test_every_given_or_used_secret_is_masked(inputs: dict[str, str], secrets: set[str]) -> None:
    """Invalid inputs count, too."""
    assert masked_values(**inputs) == secrets


@pytest.mark.parametrize(
    "name", [name for name in INPUT_NAMES if name not in (*SECRET_INPUTS, "headers")]
)
def test_other_values_are_not_masked(name: str) -> None:
    assert "shown" not in masked_values(**{name: "shown"})


def test_missing_job_credentials_mask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)

    assert masked_values(mwaa_environment="m", oidc_audience="a") == set()


@pytest.mark.parametrize("result", ["success", "failed", "timeout", "cancelled"])
@pytest.mark.parametrize("saying", [True, False])
def test_failure_in_the_report_changes_no_result_and_no_output(
    result: str,
    saying: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def breaks(*_: Any, **__: Any) -> Any:
        raise OverflowError("date value out of range")

    decided = a_step(an_outcome(result=result))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setattr("entrypoint.runners.github.read_context", lambda _: None)
    monkeypatch.setattr(commands, "prepare_streams", lambda: None)
    monkeypatch.setattr(publish, "publish", breaks)
    if not saying:
        monkeypatch.setattr(commands, "say", breaks)

    def do(*_: object) -> StepOutcome:
        return decided

    assert _run_stage(do) == decided
    assert ("OverflowError in test_stages.py" in capsys.readouterr().out) is saying
    assert not (tmp_path / "outputs").exists()
