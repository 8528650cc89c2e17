"""Options of airflow-dag-run.pyz become inputs; a secret is never the value of an option."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoint.command_line import UsageError, read_options, run
from entrypoint.inputs.settings import INPUT_NAMES, SECRET_INPUTS
from entrypoint.signals import Interrupts

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cret-in-the-wrong-place"
SECRETS = ("headers", *SECRET_INPUTS)


@pytest.mark.parametrize("name", [name for name in INPUT_NAMES if name not in SECRETS])
def test_every_input_without_a_secret_is_an_option(name: str) -> None:
    variable, option = f"INPUT_{name.upper()}", f"--{name.replace('_', '-')}"

    assert read_options([option, "a=b"]) == {variable: "a=b"}
    assert read_options([f"--{name}=--x", "--outputs", "o.json"]) == {
        variable: "--x",
        "AIRFLOW_DAG_RUN_OUTPUTS": "o.json",
    }


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_read_from_a_file_only(name: str, tmp_path: Path) -> None:
    option = f"--{name.replace('_', '-')}"
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbfline\nline\n")

    assert read_options([f"{option}-file", str(tmp_path / "secret")]) == {
        f"INPUT_{name.upper()}": "line\nline\n"
    }
    for arguments in ([option, SECRET], [f"{option}={SECRET}"]):
        with pytest.raises(UsageError, match=f"{option}-file") as raised:
            read_options(arguments)
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dagid", "x"], "--dagid is not an option"),
        ([f"--{SECRET}"], "Argument 1 is not an option"),
        (["--dag-id", "x", SECRET], "Argument 3 is not an option"),
        (["dag_id", "x"], "Argument 1 is not an option"),
        (["-dag-id=x"], "Argument 1 is not an option"),
        (["--dag-id"], "--dag-id has no value"),
        (["--dry-run", "--dag-id", "x"], "--dry-run has no value"),
        (["--dry-run", "--dag-id=x"], "--dry-run has no value"),
        (["--dag-id=x", "--dag_id", "y"], "--dag_id is given twice"),
        (["--token-file", "/no/such/file"], "--token-file cannot be read: No such file"),
        (["--token-file", "/no/such\0file"], "--token-file cannot be read"),
        (["--launched"], "--launched is not an option"),
    ],
)
def test_wrong_arguments_are_an_error_that_quotes_no_value(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, Interrupts(), lambda: pytest.fail("not needed")) == 2

    printed = capsys.readouterr().err
    assert f"ERROR: {message}" in printed or message in printed
    assert SECRET not in printed


def test_a_secret_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff")

    with pytest.raises(UsageError, match="it is not UTF-8"):
        read_options(["--token-file", str(tmp_path / "secret")])


def test_a_value_that_no_variable_can_have_is_an_error_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For example a token that an editor saved as UTF-16."""
    (tmp_path / "secret").write_text("\0".join(SECRET))
    arguments = ["--token-file", str(tmp_path / "secret")]

    assert run(arguments, Interrupts(), lambda: pytest.fail("not needed")) == 2
    assert "The value for INPUT_TOKEN has a character" in (printed := capsys.readouterr().err)
    assert SECRET[:3] not in printed.replace("\0", "")
