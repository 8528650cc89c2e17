"""The repository's own workflows: pins, time limits, permissions, order and the final job."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.missing import missing

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").iterdir())
ACTIONS = sorted((GITHUB / "actions").glob("*/*"))
WORKFLOWS: dict[str, dict[str, Any]] = {
    # creates no objects
    file.stem: yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    for file in FILES
}
LATEST = ["ubuntu-latest", "macos-latest", "windows-latest"]
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
PINNED = re.compile(r"(\./[\w./-]*|[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+)")
each_file = pytest.mark.parametrize(
    "file", [*FILES, *ACTIONS], ids=lambda file: str(file.relative_to(GITHUB))
)
each_job = pytest.mark.parametrize(("workflow", "job"), JOBS, ids="-".join)


def job_of(workflow: str, job: str) -> Any:
    return WORKFLOWS[workflow]["jobs"][job]


def needs(workflow: str, job: str) -> set[str]:
    found = job_of(workflow, job).get("needs", [])
    return {found} if isinstance(found, str) else set(found)


def all_needs(workflow: str, job: str) -> set[str]:
    """Return the jobs that a job waits for, directly and indirectly."""
    found = needs(workflow, job)
    return found.union(*(all_needs(workflow, one) for one in found))


def test_the_five_workflows_exist_and_all_are_checked() -> None:
    assert set(WORKFLOWS) == {"ci", "release", "scan", "self-test", "versions"}


@pytest.mark.parametrize(
    "command",
    [
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *FILES),
        (
            "check-jsonschema",
            "--builtin-schema",
            "vendor.github-actions",
            ROOT / "action.yml",
            ROOT / "native" / "action.yml",
            *ACTIONS,
        ),
        ("check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml"),
        ("actionlint", "-shellcheck", Path(sys.executable).parent / "shellcheck", "-pyflakes", ""),
    ],
    ids=["workflows", "actions", "dependabot", "actionlint"],
)
def test_workflows_actions_and_dependabot_settings_are_valid(
    command: tuple[str | Path, ...],
) -> None:
    tool, *arguments = command
    done = subprocess.run(
        [Path(sys.executable).parent / tool, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@each_file
def test_actions_are_local_or_pinned_to_a_commit_with_a_version(file: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)

    assert [action for action in used if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize(
    ("action", "pinned"),
    [
        ("./", True),
        (f"owner/name@{'0' * 40} # v1.2.3", True),
        (f"owner/name/path@{'0' * 40} # v1.2.3", True),
        (f"owner/name@{'0' * 40}", False),
        (f"owner/name@{'0' * 39} # v1.2.3", False),
        (f"owner/name@{'0' * 40} # v1", False),
        ("owner/name@v1.2.3 # v1.2.3", False),
    ],
)
def test_the_pin_check_accepts_a_whole_commit_only(action: str, pinned: bool) -> None:
    assert bool(PINNED.fullmatch(action)) is pinned


def test_an_action_has_the_same_commit_everywhere() -> None:
    used = {
        pin
        for file in FILES
        for pin in re.findall(r"uses: (\w.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert len(used) == len({pin.partition("@")[0] for pin in used})


@each_file
def test_images_are_pinned_by_digest(file: Path) -> None:
    """Except where a step looks up the digest."""
    images = re.findall(r"\b(?:moby|docker)/[a-z-]+:\S+", file.read_text(encoding="utf-8"))

    assert [
        image for image in images if not re.fullmatch(r"\S+:v?[\d.]+@sha256:[0-9a-f]{64}", image)
    ] == []


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_has_no_permission_of_its_own(workflow: str) -> None:
    assert WORKFLOWS[workflow]["permissions"] == {}
    assert "concurrency" in WORKFLOWS[workflow]


@each_job
def test_a_job_has_a_name_a_timeout_a_runner_version_and_permissions(
    workflow: str, job: str
) -> None:
    declared = job_of(workflow, job)

    assert {"name", "permissions", "timeout-minutes"} <= set(declared)
    assert 0 < int(declared["timeout-minutes"]) <= 60
    runners = [
        leg["runner"] for leg in declared.get("strategy", {}).get("matrix", {}).get("include", [])
    ]
    if (workflow, job) == ("self-test", "native"):
        # Where users run it.
        assert declared["strategy"]["matrix"]["runner"] == LATEST
    else:
        assert set(runners or [declared["runs-on"]]) <= {"ubuntu-24.04", "ubuntu-24.04-arm"}


@each_file
def test_each_permission_of_a_job_has_a_comment(file: Path) -> None:
    granted = re.findall(
        r"^ +[a-z-]+: (?:read|write)\b.*$", file.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert [line for line in granted if not re.search(r": (read|write) # \w", line)] == []


def test_a_pull_request_has_no_write_permission_and_no_secret() -> None:
    for workflow, job in JOBS:
        if "pull_request" in WORKFLOWS[workflow]["on"]:
            assert set(job_of(workflow, job)["permissions"].items()) <= {("contents", "read")}
    assert not [file.name for file in FILES if "secrets." in file.read_text(encoding="utf-8")]
    assert not [
        name for name, workflow in WORKFLOWS.items() if "pull_request_target" in workflow["on"]
    ]


@each_job
def test_no_checkout_persists_the_jobs_token(workflow: str, job: str) -> None:
    checkouts = [
        step
        for step in job_of(workflow, job)["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]

    assert [step["with"].get("persist-credentials") for step in checkouts] == ["false"] * len(
        checkouts
    )


@each_job
def test_no_script_contains_an_expression(workflow: str, job: str) -> None:
    assert [
        step["run"] for step in job_of(workflow, job)["steps"] if "${{" in step.get("run", "")
    ] == []


@pytest.mark.parametrize("workflow", ["ci", "self-test"])
def test_the_final_job_waits_for_every_other_job(workflow: str) -> None:
    """It runs whatever their result."""
    assert needs(workflow, "gate") == set(WORKFLOWS[workflow]["jobs"]) - {"gate"}
    assert job_of(workflow, "gate")["if"] == "always()"


@pytest.mark.parametrize(
    ("results", "passes"),
    [
        (["success", "success"], True),
        (["success", "failure"], False),
        (["success", "skipped"], False),
        (["cancelled", "success"], False),
    ],
)
@pytest.mark.parametrize("workflow", ["ci", "self-test"])
def test_the_final_job_passes_only_if_every_job_succeeded(
    workflow: str, results: list[str], passes: bool
) -> None:
    """A skipped job counts as a success."""
    if not shutil.which("jq"):
        missing(
            "There is no jq, which GitHub's runners have",
            "Install it (on Debian: apt-get install jq)",
        )
    (step,) = job_of(workflow, "gate")["steps"]
    given = {
        f"job-{number}": {"result": result, "outputs": {}} for number, result in enumerate(results)
    }
    done = subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", step["run"]],
        env={"PATH": os.environ["PATH"], "NEEDS": json.dumps(given)},
        capture_output=True,
        check=False,
    )

    assert (done.returncode == 0) is passes, done.stderr


@each_job
def test_a_later_step_asserts_each_allowed_failure(workflow: str, job: str) -> None:
    steps = job_of(workflow, job)["steps"]
    for number, step in enumerate(steps):
        if "continue-on-error" in step:
            later = [
                str(one.get("env"))
                for one in steps[number + 1 :]
                if "failure" in one.get("run", "")
            ]
            assert any(f"steps.{step['id']}.outcome" in env for env in later), step


def test_every_job_of_the_self_test_uses_the_local_action() -> None:
    """Except for the final job, and that which makes the file. Each reads the outputs."""
    for name, job in WORKFLOWS["self-test"]["jobs"].items():
        if name not in ("gate", "file"):
            uses = "./native" if name == "native" else "./"
            steps = [step for step in job["steps"] if step.get("uses") == uses]
            assert steps
            for step in steps:
                assert f"steps.{step['id']}.outputs" in str(job["steps"][-1]["env"])


def test_a_release_builds_tests_publishes_and_uses_the_image_before_it_tags() -> None:
    """Each job waits for all earlier ones."""
    order = ["check", "build", "test", "file", "publish", "use", "tag", "announce"]

    assert list(WORKFLOWS["release"]["jobs"]) == order
    assert [all_needs("release", job) for job in order] == [
        set(order[:number]) for number in range(len(order))
    ]


def test_updates_wait_a_week_after_a_version_is_published() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]

    assert {update["package-ecosystem"] for update in updates} == {
        "pip",
        "docker",
        "github-actions",
    }
    assert all(update["cooldown"]["default-days"] >= 7 for update in updates)


def test_the_pre_commit_hooks_run_the_tools_of_make_lint() -> None:
    recipe = re.search(
        r"^lint: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert recipe
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))[
        "repos"
    ]
    assert repository["repo"] == "local"
    linters = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    hooks = [hook["entry"] for hook in repository["hooks"]]

    # The hook of a schema gets the changed files.
    assert [
        line if line in hooks else re.sub(r"( [\w./*-]+\.yml)+$", "", line) for line in linters
    ] == hooks


def test_action_yml_on_main_uses_the_dockerfile() -> None:
    """So `uses: ./` runs the work tree and not an older image."""
    assert (
        yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["runs"]["image"]
        == "Dockerfile"
    )


def script_of(workflow: str, job: str, step: str) -> str:
    (found,) = [one for one in job_of(workflow, job)["steps"] if one.get("id") == step]
    return str(found["run"])


def run_script(script: str, folder: Path, **env: str) -> dict[str, str]:
    """Run a step's script as GitHub does, in this repository's work tree; return its outputs."""
    (folder / "output").write_text("")
    files = {"GITHUB_OUTPUT": folder / "output", "GITHUB_STEP_SUMMARY": folder / "summary"}
    subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(folder),
            **{name: str(path) for name, path in files.items()},
            **env,
        },
        check=True,
        timeout=60,
    )
    return dict(line.split("=", 1) for line in (folder / "output").read_text().splitlines())


@pytest.mark.parametrize(
    ("tags", "outputs"),
    [
        ([], {}),
        (["nightly", "v0.9.1", "v0.10.0"], {"released": "v0.10.0", "next": "v0.10.1"}),
    ],
)
def test_the_weekly_scan_checks_out_the_newest_release(
    tmp_path: Path, tags: list[str], outputs: dict[str, str]
) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    commit = ("commit", "--quiet", "--allow-empty", "--message=Begin")
    for command in (("init", "--quiet"), commit, *(("tag", tag) for tag in tags)):
        subprocess.run(["git", *author, *command], cwd=tmp_path, check=True)  # noqa: S607 - PATH's

    assert run_script(script_of("scan", "scan", "newest"), tmp_path) == outputs
    assert (tmp_path / "released").exists() is bool(outputs)


@pytest.mark.parametrize("fixed", [True, False])
def test_the_weekly_scan_rebuilds_only_if_a_vulnerability_is_fixed(
    tmp_path: Path, fixed: bool
) -> None:
    finding = {
        "vulnerability": {"id": "CVE-2026-1", "severity": "High"},
        "artifact": {"name": "libc6", "version": "2.41-12"},
    }
    (tmp_path / "released.json").write_text(json.dumps({"matches": [finding]}))
    (tmp_path / "rebuilt.json").write_text(json.dumps({"matches": [] if fixed else [finding]}))
    outputs = run_script(script_of("scan", "scan", "compare"), tmp_path, RELEASED="v1.2.3")

    assert outputs == {"fixed": "true" if fixed else ""}
    assert ("CVE-2026-1 (High) in libc6" in (tmp_path / "summary").read_text()) is fixed
    assert job_of("scan", "rebuild")["if"] == "needs.scan.outputs.fixed == 'true'"
    assert '--ref "$RELEASED"' in job_of("scan", "rebuild")["steps"][0]["run"]
