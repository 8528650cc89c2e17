"""The examples for other CI systems: variables, inputs, secrets and the image's digest."""

from __future__ import annotations

import re

import pytest

from entrypoint.inputs.settings import INPUT_NAMES, SECRET_INPUTS
from entrypoint.runners.generic import _SYSTEMS
from image.rootfs import COMMANDS
from tests.support.other_ci import FILES, FOLDER, IMAGE, job, text

DOCUMENT = (FOLDER.parents[1] / "docs" / "other-ci.md").read_text(encoding="utf-8")
BY_HAND = {"azure": {"SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID"}}
"""Variables that an example composes, so that no table of the code has them."""


def passed_variables(script: str) -> set[str]:
    """Return the variables that a `docker run` passes by name."""
    return set(re.findall(r"--env ([A-Z_]+)(?=[\s\\])", script))


def inputs(system: str) -> set[str]:
    script, environment, _ = job(system, "t0ken")
    return set(re.findall(r"INPUT_([A-Z_]+)", f"{script} {' '.join(environment)}"))


@pytest.mark.parametrize("system", FILES)
def test_an_example_gives_known_inputs_and_all_required_ones(system: str) -> None:
    given = {name.lower() for name in inputs(system)}

    assert given <= set(INPUT_NAMES)
    assert given >= {"airflow_url", "token", "dag_id"}
    assert ("run_id" in given) is (system == "shell")


@pytest.mark.parametrize("system", ["azure", "jenkins"])
def test_an_example_passes_exactly_the_variables_that_the_action_reads(system: str) -> None:
    (known,) = (one for one in _SYSTEMS if one.name == system)
    single = {known.marker, known.sha, known.run_id, known.run_url, known.attempt, known.step} - {
        ""
    }
    passed = {
        name
        for name in passed_variables(job(system, "t0ken").script)
        if not name.startswith("INPUT_")
    }

    assert passed >= single | BY_HAND.get(system, set())
    for names in (known.repository, known.job, known.actor):
        assert passed & set(names)
    assert passed <= single | {*known.repository, *known.job, *known.actor} | BY_HAND.get(
        system, set()
    )


@pytest.mark.parametrize("system", ["azure", "jenkins", "shell"])
def test_secrets_are_passed_by_name_and_not_as_arguments(system: str) -> None:
    script = job(system, "t0ken").script

    assert "INPUT_TOKEN" in passed_variables(script)
    assert not re.search(
        rf"INPUT_({'|'.join(SECRET_INPUTS)})=",
        script.replace('export INPUT_TOKEN="$AIRFLOW_TOKEN"', ""),
        re.IGNORECASE,
    )


@pytest.mark.parametrize("system", FILES)
def test_an_example_names_the_image_once_by_digest(system: str) -> None:
    assert text(system).count(IMAGE) == 1
    assert text(system).count("airflow-dag-run@") == 1


@pytest.mark.parametrize("system", FILES)
def test_the_page_on_other_systems_links_each_example(system: str) -> None:
    assert f"(../examples/other-ci/{FILES[system]})" in DOCUMENT


def test_each_supported_system_and_a_shell_has_an_example() -> None:
    assert {one.name for one in _SYSTEMS} | {"shell"} == set(FILES)


def test_the_page_lists_the_commands_of_the_image() -> None:
    sentence = re.search(r"start a script in it:\n(.+?)\. There is", DOCUMENT, re.DOTALL)

    assert sentence
    assert re.findall(r"`(\w+)`", sentence[1]) == sorted(COMMANDS.keys() - {"sh"})
