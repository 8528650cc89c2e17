"""The workflows to copy: valid, pinned, named in the README, and nothing in them that the action does not know."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrypoint.settings import NAMES, parse_settings

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a secret of AWS",
    "AWS_REGION": "eu-west-1",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example.com/token?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a token of GitHub's",
}
FILES = ("ca_certificate", "client_certificate", "client_key")
each = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def gate(file: Path) -> dict[str, Any]:
    """The `with:` block of this action's step."""
    (job,) = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    (step,) = [step for step in job["steps"] if "airflow-dag-run" in step.get("uses", "")]
    inputs: dict[str, Any] = step["with"]
    return inputs


def test_the_readme_names_each() -> None:
    """The README's table links every workflow, and none that is not there."""
    linked = re.findall(r"\]\(examples/workflows/([\w-]+)\.yml\)", README)

    assert sorted(linked) == [file.stem for file in WORKFLOWS]


@each
def test_inputs(file: Path) -> None:
    """The step is understood as it stands, once its expressions have values."""
    inputs = gate(file)
    assert set(inputs) <= set(NAMES)

    inputs = {name: str(text).replace("${{ github.sha }}", "0" * 40) for name, text in inputs.items()}
    given = {name: re.sub(r"\$\{\{.*?\}\}", "x", text) for name, text in inputs.items() if name not in FILES}
    settings = parse_settings(given, Path("/github/workspace"), ENVIRONMENT)

    assert settings.dag_id == "nightly_sales"


@each
def test_secrets(file: Path) -> None:
    """What is secret comes from `secrets`, from an earlier step, or is not there at all."""
    secret = {"token", "password", "client_secret", "client_key"}
    lines = [str(text) for name, text in gate(file).items() if name in secret]
    lines += [line.partition(": ")[2] for line in str(gate(file).get("headers", "")).splitlines()]

    assert [
        line for line in lines if not re.fullmatch(r"(?:Bearer )?\$\{\{ (?:secrets|steps)\.[\w.]+ \}\}", line)
    ] == []


def test_they_pass_the_linters(tmp_path: Path) -> None:
    """Each is a workflow by GitHub's schema, and has nothing that actionlint or zizmor's pedantic persona finds."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for file in WORKFLOWS:
        copy = Path(shutil.copy(file, folder))
        copy.write_text(copy.read_text().replace("OWNER/airflow-dag-run@SHA", f"owner/airflow-dag-run@{'0' * 40}"))
    tools = Path(sys.executable).parent
    schema: list[str | Path] = [
        tools / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *folder.iterdir(),
    ]
    meaning: list[str | Path] = [tools / "actionlint", "-shellcheck", tools / "shellcheck", "-pyflakes", ""]
    safety: list[str | Path] = [tools / "zizmor", "--offline", "--quiet", "--pedantic", tmp_path]
    for command in (schema, [*meaning, *folder.iterdir()], safety):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        assert done.returncode == 0, done.stdout + done.stderr
