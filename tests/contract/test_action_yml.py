"""One contract, written down in three places: action.yml, the code that reads and writes it, and
the README.
"""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from dev.runner.metadata import Metadata
from entrypoint.diagnostics.optional import Feature
from entrypoint.inputs.settings import INPUT_NAMES, Settings, parse_settings
from entrypoint.models import Result
from entrypoint.report.outputs import outputs
from tests.support.factories import START, a_report, a_run, an_outcome

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
NEEDED = {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"}
EXPRESSIONS = {"github_token": "${{ github.token }}", "matrix": "${{ toJSON(matrix) }}"}

# As issue 2 names them; later issues add to the contract and take nothing away.
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
# Settings that several inputs make up; every other setting has the name of its input.
TOGETHER = {
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
    },
    "conf": {"conf", "conf_file"},
}


def tables(heading: str) -> list[list[str]]:
    """The rows of all tables in a section of the README, without their headers: the cells as they
    are written.
    """
    section = re.split(rf"^## {heading}$", README, flags=re.MULTILINE)[1]
    section = re.split("^## ", section, flags=re.MULTILINE)[0]
    rows = [
        re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("|")
    ]
    return [[cell.strip() for cell in row] for row in rows if row[0].strip().startswith("`")]


def names_in(cell: str) -> list[str]:
    """The names between backticks in a cell."""
    return re.findall("`([^`]+)`", cell)


def test_inputs_are_those_of_the_code() -> None:
    """action.yml declares exactly the inputs that the code reads, in the same order."""
    assert tuple(ACTION["inputs"]) == INPUT_NAMES


def test_inputs_are_the_settings() -> None:
    """Every setting comes from an input, and every input ends in a setting."""
    inputs = {name for field in Settings._fields for name in TOGETHER.get(field, {field})}

    assert inputs == set(INPUT_NAMES)


@pytest.mark.parametrize("name", FIRST_INPUTS)
def test_first_inputs(name: str) -> None:
    """No input of the first contract is missing."""
    assert name in ACTION["inputs"]


@pytest.mark.parametrize("name", ACTION["inputs"])
def test_an_input_is_declared_in_full(name: str) -> None:
    """An input has a description that begins with its kind, a name that is an environment's, and no
    type: GitHub has none.
    """
    declared = ACTION["inputs"][name]

    assert re.fullmatch("[a-z]+(_[a-z]+)*", name)
    assert re.match(
        "URL|Secret|Text|JSON object|Path|RFC 3339|Boolean|Duration|Seconds|Lines|Whole "
        "number|Internal|"
        "[a-z-]+(, [a-z-]+)* or",
        declared["description"],
    )
    assert set(declared) <= {"description", "required", "default"}


def test_required() -> None:
    """What the code insists on is required; URL and credential are one of several, which GitHub
    cannot say.
    """
    assert {name for name, declared in ACTION["inputs"].items() if declared.get("required")} == {
        "dag_id"
    }


def test_defaults_are_those_of_the_code() -> None:
    """What action.yml fills in means the same as an empty input, so that neither default can change
    alone.
    """
    defaults = {
        name: text for name, text in Metadata.read(ROOT / "action.yml").inputs.items() if text
    }
    assert {name: defaults.pop(name) for name in EXPRESSIONS} == EXPRESSIONS

    workspace = Path("/github/workspace")
    assert parse_settings(defaults | NEEDED, workspace) == parse_settings(NEEDED, workspace)


@pytest.mark.parametrize(
    "name", [name for name, declared in ACTION["inputs"].items() if "default" in declared]
)
def test_defaults_are_in_the_description(name: str) -> None:
    """A default is said in the description, too, for those who read no YAML."""
    declared = ACTION["inputs"][name]

    assert name in EXPRESSIONS or f"default {declared['default']}" in declared["description"]


@pytest.mark.parametrize("name", ACTION["inputs"])
def test_inputs_in_the_readme(name: str) -> None:
    """Every input has a row in the README, with the default of action.yml."""
    (row,) = [row for row in tables("Inputs") if name in names_in(row[0])]
    declared = ACTION["inputs"][name]

    if declared.get("required"):
        assert row[1] == "required"
    elif name not in EXPRESSIONS and "default" in declared:
        assert row[1] == f"`{declared['default']}`"
    else:
        assert row[1] in ("", "`{}`", "derived", "automatic", "the job's")
    assert row[2]


def test_readme_has_no_other_inputs() -> None:
    """The README's tables promise no input that is not there, and name none twice."""
    named = [name for row in tables("Inputs") for name in names_in(row[0])]

    assert sorted(named) == sorted(INPUT_NAMES)


def test_outputs_are_those_of_the_code() -> None:
    """action.yml declares exactly the outputs that the code writes."""
    everything = an_outcome(
        run=a_run(bundle_version="abc", logical_date=START), xcom={}, report=a_report()
    )

    assert set(ACTION["outputs"]) == {"result", *outputs(everything)}


@pytest.mark.parametrize("name", FIRST_OUTPUTS)
def test_first_outputs(name: str) -> None:
    """No output of the first contract is missing."""
    assert ACTION["outputs"][name]["description"]


@pytest.mark.parametrize("name", ACTION["outputs"])
def test_outputs_in_the_readme(name: str) -> None:
    """Every output has a row in the README, which says when it is there."""
    (row,) = [row for row in tables("Outputs") if name in names_in(row[0])]

    assert row[1]


def test_readme_has_no_other_outputs() -> None:
    """The README's table promises no output that is not there, and names none twice."""
    named = [name for row in tables("Outputs") for name in names_in(row[0])]

    assert sorted(named) == sorted(ACTION["outputs"])


@pytest.mark.parametrize("result", get_args(Result))
def test_results(result: str) -> None:
    """Every result is explained, in action.yml and in the README."""
    assert re.search(rf"\b{result}\b", ACTION["outputs"]["result"]["description"])
    assert [row for row in tables("What each ending means") if row[0] == f"`{result}`"]


def test_example() -> None:
    """The workflow to copy uses inputs and outputs that are there, and is valid."""
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


def test_descriptions_hold_no_address_of_a_machine() -> None:
    """Neither file names a machine but the example's."""
    hosts = set(re.findall(r"https?://([\w.-]+)", f"{ACTION} {README}"))

    assert {host for host in hosts if not host.endswith("example.com")} <= {"github.com"}


@pytest.mark.parametrize("feature", Feature)
def test_features_in_the_readme(feature: Feature) -> None:
    """Every feature that turns itself off without its permission has a row that names both, or
    needs what waiting needs.
    """
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", README, flags=re.MULTILINE))

    if feature in (Feature.DAG, Feature.RUNS, Feature.HEALTH):
        assert feature.permission in (
            *rows["trigger and wait"].replace('"', "").split(", "),
            Feature.HEALTH.permission,
        )
    else:
        assert feature.permission in rows[feature.gives]
