"""The repository's own workflows: pinned, bounded, with the least permissions, in order, and with
gates that miss nothing.
"""

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
    # Makes no objects
    file.stem: yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    for file in FILES
}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
PINNED = re.compile(r"(\./[\w./-]*|[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+)")
each_file = pytest.mark.parametrize(
    "file", [*FILES, *ACTIONS], ids=lambda file: str(file.relative_to(GITHUB))
)
each_job = pytest.mark.parametrize(("workflow", "job"), JOBS, ids="-".join)


def job_of(workflow: str, job: str) -> Any:
    """One job."""
    return WORKFLOWS[workflow]["jobs"][job]


def needs(workflow: str, job: str) -> set[str]:
    """The jobs that a job waits for."""
    found = job_of(workflow, job).get("needs", [])
    return {found} if isinstance(found, str) else set(found)


def all_needs(workflow: str, job: str) -> set[str]:
    """The jobs that a job waits for, and those that they wait for."""
    found = needs(workflow, job)
    return found.union(*(all_needs(workflow, one) for one in found))


def test_they_are_there() -> None:
    """There are the three workflows of the pipeline, and all of them are looked at here."""
    assert set(WORKFLOWS) == {"ci", "release", "self-test"}


@pytest.mark.parametrize(
    "command",
    [
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *FILES),
        (
            "check-jsonschema",
            "--builtin-schema",
            "vendor.github-actions",
            ROOT / "action.yml",
            *ACTIONS,
        ),
        ("check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml"),
        ("actionlint", "-shellcheck", Path(sys.executable).parent / "shellcheck", "-pyflakes", ""),
    ],
    ids=["workflows", "actions", "dependabot", "actionlint"],
)
def test_they_are_valid(command: tuple[str | Path, ...]) -> None:
    """Workflows, actions and the update's settings are what GitHub's schemas and its expressions
    allow.
    """
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
def test_actions_are_pinned(file: Path) -> None:
    """Every action is this repository's own, or named by a whole commit with its version beside
    it.
    """
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
def test_pinned(action: str, pinned: bool) -> None:
    """The check for pins tells a whole commit from a part of one, and from a tag."""
    assert bool(PINNED.fullmatch(action)) is pinned


def test_one_version_of_each_action() -> None:
    """An action that is used in several places is the same commit in each."""
    used = {
        pin
        for file in FILES
        for pin in re.findall(r"uses: (\w.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert len(used) == len({pin.partition("@")[0] for pin in used})


@each_file
def test_images_are_pinned(file: Path) -> None:
    """An image that a workflow names is named by digest, but where its digest is what is asked
    for.
    """
    images = re.findall(r"\b(?:moby|docker)/[a-z-]+:\S+", file.read_text(encoding="utf-8"))

    assert [
        image for image in images if not re.fullmatch(r"\S+:v?[\d.]+@sha256:[0-9a-f]{64}", image)
    ] == []


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_workflows_may_nothing(workflow: str) -> None:
    """A workflow has no permission that its jobs do not ask for."""
    assert WORKFLOWS[workflow]["permissions"] == {}
    assert "concurrency" in WORKFLOWS[workflow]


@each_job
def test_jobs_are_bounded(workflow: str, job: str) -> None:
    """A job has a name, a limit of time, a runner of a known version, and says which permissions it
    has.
    """
    declared = job_of(workflow, job)

    assert {"name", "permissions", "timeout-minutes"} <= set(declared)
    assert 0 < int(declared["timeout-minutes"]) <= 60
    runners = [
        leg["runner"] for leg in declared.get("strategy", {}).get("matrix", {}).get("include", [])
    ]
    assert set(runners or [declared["runs-on"]]) <= {"ubuntu-24.04", "ubuntu-24.04-arm"}


@each_file
def test_permissions_have_reasons(file: Path) -> None:
    """Each permission of a job says what it is for."""
    granted = re.findall(
        r"^ +[a-z-]+: (?:read|write)\b.*$", file.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert [line for line in granted if not re.search(r": (read|write) # \w", line)] == []


def test_only_a_release_writes() -> None:
    """What a pull request can start has no permission to write, and sees no secret."""
    for workflow, job in JOBS:
        if workflow != "release":
            assert set(job_of(workflow, job)["permissions"].items()) <= {("contents", "read")}
    assert not [file.name for file in FILES if "secrets." in file.read_text(encoding="utf-8")]
    assert not [
        name for name, workflow in WORKFLOWS.items() if "pull_request_target" in workflow["on"]
    ]


@each_job
def test_checkouts_keep_no_credential(workflow: str, job: str) -> None:
    """No checkout leaves the job's token behind for later steps."""
    checkouts = [
        step
        for step in job_of(workflow, job)["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]

    assert [step["with"].get("persist-credentials") for step in checkouts] == ["false"] * len(
        checkouts
    )


@each_job
def test_nothing_is_pasted_into_a_script(workflow: str, job: str) -> None:
    """A script gets values by its environment, never by an expression in its text."""
    assert [
        step["run"] for step in job_of(workflow, job)["steps"] if "${{" in step.get("run", "")
    ] == []


@pytest.mark.parametrize("workflow", ["ci", "self-test"])
def test_the_gate_misses_nothing(workflow: str) -> None:
    """The gate waits for every other job, and runs whatever became of them."""
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
def test_the_gate_passes_on_success_only(workflow: str, results: list[str], passes: bool) -> None:
    """The gate's script passes exactly if each job succeeded, a skipped one included."""
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
def test_expected_failures_are_asserted(workflow: str, job: str) -> None:
    """What may fail without failing the job has its failure asserted by a later step."""
    steps = job_of(workflow, job)["steps"]
    for number, step in enumerate(steps):
        if "continue-on-error" in step:
            later = [
                str(one.get("env"))
                for one in steps[number + 1 :]
                if "failure" in one.get("run", "")
            ]
            assert any(f"steps.{step['id']}.outcome" in env for env in later), step


def test_the_self_test_runs_this_action() -> None:
    """Every job of the self-test but the gate runs the action of the work tree, and reads its
    outputs.
    """
    for name, job in WORKFLOWS["self-test"]["jobs"].items():
        if name != "gate":
            (step,) = [step for step in job["steps"] if step.get("uses") == "./"]
            assert f"steps.{step['id']}.outputs" in str(job["steps"][-1]["env"])


def test_the_digest_never_precedes_the_image() -> None:
    """A release builds, tests, publishes, uses, and only then commits and tags; each waits for all
    before it.
    """
    order = ["check", "build", "test", "publish", "use", "tag", "announce"]

    assert list(WORKFLOWS["release"]["jobs"]) == order
    assert [all_needs("release", job) for job in order] == [
        set(order[:number]) for number in range(len(order))
    ]


def test_updates_cool_down() -> None:
    """Packages, images and actions are updated, but none to a version of this week."""
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]

    assert {update["package-ecosystem"] for update in updates} == {
        "pip",
        "docker",
        "github-actions",
    }
    assert all(update["cooldown"]["default-days"] >= 7 for update in updates)


def test_the_hooks_are_the_linters() -> None:
    """The hooks before a commit run what `make lint` runs, each with the tool of the lock."""
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

    # A schema's hook is handed the files that changed.
    assert [
        line if line in hooks else re.sub(r"( [\w./*-]+\.yml)+$", "", line) for line in linters
    ] == hooks


def test_the_action_of_the_work_tree_is_built() -> None:
    """On main action.yml points at the Dockerfile, so that `uses: ./` runs what is there and not an
    image of before.
    """
    assert (
        yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["runs"]["image"]
        == "Dockerfile"
    )
