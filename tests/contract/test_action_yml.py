"""action.yml, the code and the README declare the same inputs and outputs."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from dev.runner.metadata import Metadata
from entrypoint.inputs.settings import INPUT_NAMES, Settings, parse_settings
from entrypoint.models import Result
from entrypoint.permissions import Feature
from entrypoint.report.outputs import outputs
from tests.support.factories import START, a_report, a_run, an_outcome

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
NEEDED = {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"}
EXPRESSIONS = {"github_token": "${{ github.token }}", "matrix": "${{ toJSON(matrix) }}"}

# The first contract (issue 2). Later issues may add to it, not remove from it.
FIRST_INPUTS = (
    *(
        "airflow_url",
        "dag_id",
        "conf",
        "conf_file",
        "run_id",
        "logical_date",
        "data_interval_start",
        "data_interval_end",
    ),
    *(
        "run_after",
        "partition_key",
        "note",
        "wait",
        "timeout",
        "poll_interval",
        "if_paused",
        "token",
        "username",
    ),
    *("password", "summary", "matrix"),
)
FIRST_OUTPUTS = (
    *(
        "result",
        "state",
        "run_id",
        "run_url",
        "created",
        "logical_date",
        "start_date",
        "end_date",
        "duration",
    ),
    *("failed_tasks", "airflow_version", "bundle_version"),
)
# Settings made from several inputs; every other setting has the name of its input.
COMPOSED = {
    "access": {
        *(
            "airflow_url",
            "ca_certificate",
            "client_certificate",
            "client_key",
            "headers",
            "token",
            "username",
            "password",
        ),
        *("client_id", "client_secret", "token_url", "scope", "oidc_audience", "mwaa_environment"),
        *("mwaa_access", "aws_role", "google_workload_identity_provider"),
        *("google_service_account", "composer_environment"),
        "kerberos",
    },
    "conf": {"conf", "conf_file"},
}


def tables(heading: str) -> list[list[str]]:
    """Return the cells of all table rows in a section of the README, without the headers."""
    section = re.split(rf"^## {heading}$", README, flags=re.MULTILINE)[1]
    section = re.split("^## ", section, flags=re.MULTILINE)[0]
    rows = [
        re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("|")
    ]
    return [[cell.strip() for cell in row] for row in rows if row[0].strip().startswith("`")]


def backticked(cell: str) -> list[str]:
    """Return the names between backticks in a cell."""
    return re.findall("`([^`]+)`", cell)


def test_action_yml_declares_the_inputs_that_the_code_reads() -> None:
    """In the same order."""
    assert tuple(ACTION["inputs"]) == INPUT_NAMES


def test_every_setting_comes_from_an_input_and_every_input_is_used() -> None:
    inputs = {name for field in Settings._fields for name in COMPOSED.get(field, {field})}

    assert inputs == set(INPUT_NAMES)


@pytest.mark.parametrize("name", FIRST_INPUTS)
def test_no_input_of_the_first_contract_is_missing(name: str) -> None:
    assert name in ACTION["inputs"]


@pytest.mark.parametrize("name", ACTION["inputs"])
def test_each_input_has_a_description_a_valid_name_and_no_type(name: str) -> None:
    """The description begins with the kind of the input. GitHub has no input types."""
    declared = ACTION["inputs"][name]

    assert re.fullmatch("[a-z]+(_[a-z]+)*", name)
    assert re.match(
        "URL|Secret|Text|JSON object|Path|RFC 3339|Boolean|Duration|Seconds|Lines|Whole "
        "number|Internal|"
        "[a-z-]+(, [a-z-]+)* or [a-z]",
        declared["description"],
    )
    assert set(declared) <= {"description", "required", "default"}


def test_no_input_is_required_by_the_runner() -> None:
    """URL, credential and DAG have alternatives, which action.yml cannot express."""
    assert not [name for name, declared in ACTION["inputs"].items() if declared.get("required")]


def test_a_default_means_the_same_as_an_empty_input() -> None:
    defaults = {
        name: text for name, text in Metadata.read(ROOT / "action.yml").inputs.items() if text
    }
    assert {name: defaults.pop(name) for name in EXPRESSIONS} == EXPRESSIONS

    workspace = Path("/github/workspace")
    assert parse_settings(defaults | NEEDED, workspace) == parse_settings(NEEDED, workspace)


@pytest.mark.parametrize(
    "name", [name for name, declared in ACTION["inputs"].items() if "default" in declared]
)
def test_each_default_is_in_the_description(name: str) -> None:
    declared = ACTION["inputs"][name]

    assert name in EXPRESSIONS or f"default {declared['default']}" in declared["description"]


@pytest.mark.parametrize("name", ACTION["inputs"])
def test_the_readme_has_every_input_with_its_default(name: str) -> None:
    (row,) = [row for row in tables("Inputs") if name in backticked(row[0])]
    declared = ACTION["inputs"][name]

    if declared.get("required"):
        assert row[1] == "required"
    elif name not in EXPRESSIONS and "default" in declared:
        assert row[1] == f"`{declared['default']}`"
    else:
        assert row[1] in ("", "`{}`", "derived", "automatic", "the job's")
    assert row[2]


def test_the_readme_names_each_input_once_and_no_other() -> None:
    named = [name for row in tables("Inputs") for name in backticked(row[0])]

    assert sorted(named) == sorted(INPUT_NAMES)


def test_action_yml_declares_the_outputs_that_the_code_writes() -> None:
    everything = an_outcome(
        run=a_run(bundle_version="abc", logical_date=START), xcom={}, report=a_report()
    )

    of_the_step = {"result", "runs", "failed_dags"}
    assert set(ACTION["outputs"]) == of_the_step | set(outputs(everything))


@pytest.mark.parametrize("name", FIRST_OUTPUTS)
def test_no_output_of_the_first_contract_is_missing(name: str) -> None:
    assert ACTION["outputs"][name]["description"]


@pytest.mark.parametrize("name", ACTION["outputs"])
def test_the_readme_says_for_every_output_when_it_is_set(name: str) -> None:
    (row,) = [row for row in tables("Outputs") if name in backticked(row[0])]

    assert row[1]


def test_the_readme_names_each_output_once_and_no_other() -> None:
    named = [name for row in tables("Outputs") for name in backticked(row[0])]

    assert sorted(named) == sorted(ACTION["outputs"])


@pytest.mark.parametrize("result", get_args(Result))
def test_action_yml_and_the_readme_explain_every_result(result: str) -> None:
    assert re.search(rf"\b{result}\b", ACTION["outputs"]["result"]["description"])
    assert [row for row in tables("What each ending means") if row[0] == f"`{result}`"]


def test_the_example_is_valid_and_uses_existing_inputs_and_outputs() -> None:
    (workflow, *_) = re.findall(r"^```yaml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    (step,) = [step for step in job["steps"] if "airflow-dag-run" in step.get("uses", "")]
    used = re.findall(rf"steps\.{step['id']}\.outputs\.(\w+)", workflow)

    assert set(step["with"]) <= set(INPUT_NAMES)
    assert set(used) <= set(ACTION["outputs"])
    settings = {
        name: re.sub(r"\$\{\{.*?\}\}", "x", str(text)) for name, text in step["with"].items()
    }
    assert parse_settings(settings, Path("/github/workspace")).dag_id == step["with"]["dag_id"]


def test_no_host_name_besides_those_of_examples() -> None:
    hosts = set(re.findall(r"https?://([\w.-]+)", f"{ACTION} {README}"))

    assert {host for host in hosts if not host.endswith("example.com")} <= {"github.com"}


@pytest.mark.parametrize("feature", Feature)
def test_the_readme_names_the_permissions_of_every_feature(feature: Feature) -> None:
    """A row may be missing if waiting needs the permission as well."""
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", README, flags=re.MULTILINE))

    if feature in (Feature.DAG, Feature.RUNS, Feature.HEALTH):
        assert feature.permission in (
            *rows["trigger and wait"].replace('"', "").split(", "),
            Feature.HEALTH.permission,
        )
    else:
        named = re.findall('"([^"]+)"', rows[feature.label])
        assert sorted(named) == sorted(one.value for one in feature.permissions)


def test_the_readme_names_no_permission_that_the_code_does_not_know() -> None:
    (section,) = re.findall(r"^## Permissions$(.*?)^## ", README, flags=re.MULTILINE | re.DOTALL)
    known = {f"| {feature.label} |" for feature in Feature}
    rows = [line for line in section.splitlines() if line.startswith("| ") and "can " in line]

    assert rows
    assert [row for row in rows if not row.startswith(tuple(known))] == []
