"""The examples for other CI systems hold what the action reads there: every variable, known inputs,
the image by digest.
"""

from __future__ import annotations

import re

import pytest

from entrypoint.inputs.settings import INPUT_NAMES, SECRET_INPUTS
from entrypoint.runners.generic import _SYSTEMS
from tests.support.other_ci import FILES, FOLDER, IMAGE, job, text

DOCUMENT = (FOLDER.parents[1] / "docs" / "other-ci.md").read_text(encoding="utf-8")
BY_HAND = {"azure": {"SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID"}}
"""Variables that are put together, and so stand in no table of the code."""


def handed_over(script: str) -> set[str]:
    """The variables that a `docker run` hands over by name."""
    return set(re.findall(r"--env ([A-Z_]+)(?=[\s\\])", script))


def inputs(system: str) -> set[str]:
    """The inputs that an example gives."""
    script, environment, _ = job(system, "t0ken")
    return set(re.findall(r"INPUT_([A-Z_]+)", f"{script} {' '.join(environment)}"))


@pytest.mark.parametrize("system", FILES)
def test_inputs(system: str) -> None:
    """An example gives inputs that there are, and all that are required."""
    given = {name.lower() for name in inputs(system)}

    assert given <= set(INPUT_NAMES)
    assert given >= {"airflow_url", "token", "dag_id"}
    assert ("run_id" in given) is (system == "shell")


@pytest.mark.parametrize("system", ["azure", "jenkins"])
def test_variables(system: str) -> None:
    """Whatever the action reads of a system's variables is handed over to the container, and
    nothing that it does not.
    """
    (known,) = (one for one in _SYSTEMS if one.name == system)
    single = {known.sign, known.sha, known.run_id, known.run_url, known.attempt, known.step} - {""}
    passed = {
        name for name in handed_over(job(system, "t0ken").script) if not name.startswith("INPUT_")
    }

    assert passed >= single | BY_HAND.get(system, set())
    for names in (known.repository, known.job, known.actor):
        assert passed & set(names)
    assert passed <= single | {*known.repository, *known.job, *known.actor} | BY_HAND.get(
        system, set()
    )


@pytest.mark.parametrize("system", ["azure", "jenkins", "shell"])
def test_no_secret_in_a_command(system: str) -> None:
    """Secrets travel by name, never in the arguments of a process."""
    script = job(system, "t0ken").script

    assert "INPUT_TOKEN" in handed_over(script)
    assert not re.search(
        rf"INPUT_({'|'.join(SECRET_INPUTS)})=",
        script.replace('export INPUT_TOKEN="$AIRFLOW_TOKEN"', ""),
        re.IGNORECASE,
    )


@pytest.mark.parametrize("system", FILES)
def test_the_image_is_pinned(system: str) -> None:
    """An example names the image by its digest, once."""
    assert text(system).count(IMAGE) == 1
    assert text(system).count("airflow-dag-run@") == 1


@pytest.mark.parametrize("system", FILES)
def test_the_document_names_it(system: str) -> None:
    """Each example is linked where the other systems are described."""
    assert f"(../examples/other-ci/{FILES[system]})" in DOCUMENT


def test_every_system_is_described() -> None:
    """Each system that the action knows has an example, and a shell has one too."""
    assert {one.name for one in _SYSTEMS} | {"shell"} == set(FILES)
