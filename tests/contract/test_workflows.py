"""The example workflows: valid, pinned, linked, and with known inputs only."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoint import form
from entrypoint.inputs.settings import INPUT_NAMES, parse_settings
from tests.support.doc_pages import pages
from tests.support.workflows import NATIVE, action_inputs, filled

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a secret of AWS",
    "AWS_REGION": "eu-west-1",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example.com/token?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a token of GitHub's",
}
REACTING = ("detached-after-status", "detached-after-deployment")
"""Workflows without a step of this action; they run when Airflow has reported."""
FILES = ("ca_certificate", "client_certificate", "client_key")
each = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def test_each_workflow_is_linked_from_one_page_and_every_link_exists() -> None:
    tables = [
        line
        for page in pages()
        for line in page.read_text(encoding="utf-8").splitlines()
        if line[:1] == "|"
    ]
    linked = re.findall(r"\]\((?:\.\./)?examples/workflows/([\w-]+)\.yml\)", "\n".join(tables))

    assert sorted(linked) == sorted(file.stem for file in WORKFLOWS)


@each
def test_the_inputs_of_each_step_are_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the form of the action that the workflow uses."""
    monkeypatch.setattr(form, "FROM_FILE", NATIVE in file.read_text(encoding="utf-8"))
    steps = action_inputs(file.read_text(encoding="utf-8"))
    assert bool(steps) is (file.stem not in REACTING)

    for step in steps:
        assert set(step) <= set(INPUT_NAMES)
        given = {name: text for name, text in filled(step).items() if name not in FILES}
        settings = parse_settings(given, Path("/github/workspace"), ENVIRONMENT)
        assert settings.dag_id == "nightly_sales" or settings.dags


@each
def test_a_secret_comes_from_secrets_or_an_earlier_step_or_is_missing(file: Path) -> None:
    secret = {"token", "password", "client_secret", "client_key"}
    lines: list[str] = []
    for step in action_inputs(file.read_text(encoding="utf-8")):
        lines += [str(text) for name, text in step.items() if name in secret]
        lines += [line.partition(": ")[2] for line in str(step.get("headers", "")).splitlines()]

    assert [
        line
        for line in lines
        if not re.fullmatch(r"(?:Bearer )?\$\{\{ (?:secrets|steps)\.[\w.]+ \}\}", line)
    ] == []


def test_each_workflow_passes_the_schema_actionlint_and_zizmor(tmp_path: Path) -> None:
    """With zizmor's pedantic persona."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for file in WORKFLOWS:
        copy = Path(shutil.copy(file, folder))
        copy.write_text(
            re.sub(
                r"OWNER/airflow-dag-run(/native)?@SHA",
                rf"owner/airflow-dag-run\1@{'0' * 40}",
                copy.read_text(),
            )
        )
    tools = Path(sys.executable).parent
    schema: list[str | Path] = [
        tools / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *folder.iterdir(),
    ]
    meaning: list[str | Path] = [
        tools / "actionlint",
        "-shellcheck",
        tools / "shellcheck",
        "-pyflakes",
        "",
    ]
    safety: list[str | Path] = [tools / "zizmor", "--offline", "--quiet", "--pedantic", tmp_path]
    for command in (schema, [*meaning, *folder.iterdir()], safety):
        # Ours
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
