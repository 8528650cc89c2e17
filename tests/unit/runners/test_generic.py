"""What a system without commands of its own is told: text that acts nowhere, no secret, and the
outputs as JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError
from entrypoint.report.console import Console
from entrypoint.runners.generic import GenericRunner
from tests.support.factories import an_outcome
from tests.support.listening import printed_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = re.compile(r"##\w*\[|\x1b|section_(?:start|end):\d+:\w+\r")


def speeches(log: GenericRunner, text: str) -> tuple[Callable[[], object], ...]:
    """Everything by which a text can get into the log."""
    return (
        lambda: log.say(f"0:00  {text}"),
        lambda: log.relay([text]),
        lambda: log.annotate("error", text, text, ending=text, file=text, line=1),
        lambda: log.append_summary(text),
        lambda: log.debug(text),
        lambda: log.group(text).__enter__(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "##vso[task.setvariable variable=a]b",
        "x ##VSO[task.complete result=Succeeded;]",
        "##[error]no",
        "##teamcity[message]",
        "\x1b[0Ksection_start:1:a\r\x1b[0Ktitle",
    ],
)
def test_nothing_acts(text: str) -> None:
    """No text acts as a command of Azure Pipelines, GitLab, TeamCity or GitHub."""
    printed = printed_by(*speeches(GenericRunner(verbose=True), text))

    assert COMMAND.search(text)
    assert not COMMAND.search(printed)
    assert len(printed.splitlines()) >= 6


def test_a_mask_prints_nothing() -> None:
    """GitHub's command for it would show the secret to whoever reads the log."""
    assert printed_by(lambda: GenericRunner().mask("s3cret-token")) == ""


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4 and text.isprintable()))
def test_secrets_are_masked(secret: str) -> None:
    """Whatever quotes a secret, a task's log or an error, shows *** in its place."""
    log = GenericRunner(verbose=True)
    log.mask(secret)
    printed = printed_by(*speeches(log, f"a {secret} b"))

    assert "***" in printed
    if not re.search(r"[*a-z\s#:,.\[\]0-9]", secret, re.IGNORECASE):
        assert secret not in printed


def test_a_key_is_masked_line_by_line() -> None:
    """Of a secret of several lines no line is seen, and the longest is masked first."""
    log = GenericRunner()
    log.mask("-----BEGIN KEY-----\nMIIBVgIB\nMIIBVgIBADAN\n}\n")
    printed = printed_by(lambda: log.relay(["MIIBVgIBADAN", "x MIIBVgIB y", "}"]))

    assert printed.split("\n") == ["    ***", "    x *** y", "    }", ""]


def test_an_annotation() -> None:
    """The level and the place come first, as compilers write them, then what happened and what to
    do.
    """
    printed = printed_by(
        lambda: GenericRunner().annotate(
            "warning",
            "load failed: KeyError",
            "'x'\n\nmore",
            ending="\nDAG run: u",
            file="a.py",
            line=3,
        )
    )

    assert printed == "WARNING: a.py:3: load failed: KeyError\n    'x'\n    more\n    DAG run: u\n"


def test_a_group_is_a_title() -> None:
    """What would be folded stands below its title."""
    log = GenericRunner()

    def story() -> None:
        with log.group("Log of load"):
            log.relay(["a line"])

    assert printed_by(story) == "Log of load\n    a line\n"


def test_debugging() -> None:
    """What is for debugging is printed only if that is wanted."""
    assert printed_by(lambda: GenericRunner().debug("GET /x")) == ""
    assert printed_by(lambda: GenericRunner(verbose=True).debug("GET /x")) == "DEBUG: GET /x\n"


def test_outputs(tmp_path: Path) -> None:
    """The file holds at every moment what is known: text as text, and what is JSON as the value
    itself.
    """
    path = tmp_path / "outputs.json"
    log = GenericRunner(str(path))
    log.write()
    assert json.loads(path.read_text()) == {}
    log.set_output("run_id", "r1")
    log.set_output("duration", "")
    assert json.loads(path.read_text()) == {"run_id": "r1", "duration": ""}
    for name, value in {
        "created": "true",
        "duration": "12.500",
        "failed_tasks": '["a[0]"]',
        "xcom": '{"é": [1]}',
    }.items():
        log.set_output(name, value)
    log.set_output("state", "success\ud800")

    assert json.loads(path.read_text(encoding="utf-8")) == {
        "run_id": "r1",
        "duration": 12.5,
        "created": True,
        "failed_tasks": ["a[0]"],
        "xcom": {"é": [1]},
        "state": "success\\ud800",
    }
    assert [file.name for file in tmp_path.iterdir()] == ["outputs.json"]


def test_no_file_for_the_outputs() -> None:
    """Where nobody names a file, nothing is written."""
    log = GenericRunner()
    log.write()
    log.set_output("run_id", "r1")
    log.save_state("RUN_ID", "r1")


@pytest.mark.parametrize("path", ["missing/outputs.json", "."])
def test_a_file_that_cannot_be_written(tmp_path: Path, path: str) -> None:
    """It is named before anything else is done."""
    with pytest.raises(ActionError, match="cannot be written") as caught:
        GenericRunner(str(tmp_path / path)).write()

    assert str(tmp_path) in caught.value.detail


def test_a_file_that_can_no_longer_be_written(tmp_path: Path) -> None:
    """Once a DAG run may be there, a file that is gone is told once and ends nothing."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    log = GenericRunner(str(folder / "outputs.json"))
    log.write()
    (folder / "outputs.json").unlink()
    folder.rmdir()
    printed = printed_by(
        lambda: log.set_output("run_id", "r1"), lambda: log.set_output("state", "queued")
    )

    assert printed.count("WARNING: The file for the outputs cannot be written") == 1
    assert "not written" in printed


def test_the_story_goes_on_there() -> None:
    """The live log is the same as on GitHub, without a command."""
    console = Console(lambda: 0.0, GenericRunner())
    printed = printed_by(
        lambda: console.run_found(an_outcome()), lambda: console.unencrypted("http://x")
    )

    assert "DAG run r1 of nightly_sales" in printed
    assert "WARNING: The connection to Airflow is not encrypted" in printed
    assert "::" not in printed
