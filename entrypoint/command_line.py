"""Run the action from the file airflow-dag-run.pyz: options become inputs.

A secret is never the value of an option, because every user of the machine can read the arguments
of a process. No message repeats an argument that may be a secret in the wrong place.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from entrypoint.signals import Interrupts

USAGE_ERROR = 2
"""The exit code for wrong arguments."""
LAUNCHED_AND_PASSED = 10
"""The exit code for native/launch.cjs if the workflow may go on. Node reports 0 also for a process
that a signal without a name ended.
"""

_COLUMNS = 80
_OUTPUTS_OPTION = "outputs"


class About(TypedDict):
    """What the file says about itself; pyz/build.py makes it from action.yml.

    Attributes:
        version: version of the action.
        description: what the action does.
        inputs: description of each input, by its name.
        bytecode: versions of Python for which the file has bytecode.
    """

    version: str
    description: str
    inputs: dict[str, str]
    bytecode: list[str]


class UsageError(Exception):
    """Arguments that cannot be understood, with what is wrong and what would be right."""


def run(arguments: Sequence[str], interrupts: Interrupts, read_about: Callable[[], About]) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: arguments of the process. `--launched main` and `--launched post` are those of
            native/launch.cjs.
        interrupts: the installed signal handlers.
        read_about: reads what the file says about itself.
    """
    match arguments:
        case ["--launched", "post"]:
            from entrypoint.stages import post_stage  # noqa: PLC0415 - the other stage

            return _for_launcher(post_stage())
        case ["--launched", "main"]:
            from entrypoint.stages import main_stage  # noqa: PLC0415 - as at the end

            interrupts.interrupt_at_end_of(sys.__stdin__)
            return _for_launcher(main_stage(interrupts))
        case ["--help" | "-h"]:
            return _print(_help(read_about()))
        case ["--version"]:
            about = read_about()
            bytecode = ", ".join(about["bytecode"]) or "none"
            return _print(f"airflow-dag-run {about['version']} (bytecode for Python {bytecode})\n")
        case [_, *_]:
            try:
                _set_variables(read_options(arguments))
            except UsageError as error:
                return _print(f"ERROR: {error}\nTry --help.\n", USAGE_ERROR)
    from entrypoint.stages import main_stage  # noqa: PLC0415 - --help does not need it

    return main_stage(interrupts)


def _for_launcher(code: int) -> int:
    return code or LAUNCHED_AND_PASSED


def read_options(arguments: Sequence[str]) -> dict[str, str]:
    """Return the environment variables that the options stand for.

    Raises:
        UsageError: an option is unknown, repeated or without a value, a secret is given as a value,
            or the file of a secret cannot be read.
    """
    options = _options()
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        option, has_value, value = rest.pop(0).partition("=")
        name = _name(option)
        if name not in options:
            raise UsageError(_not_an_option(option, name, len(arguments) - len(rest), options))
        if not has_value:
            # No input's value looks like an option; one that does can be given as --OPTION=VALUE.
            if not rest or _is_option(rest[0], options):
                raise UsageError(
                    f"{option} has no value. Every option needs one: a Boolean is true or false."
                )
            value = rest.pop(0)
        variable, is_secret = options[name]
        if variable in found:
            raise UsageError(f"{option} is given twice.")
        found[variable] = _read_secret(option, value) if is_secret else value
    return found


def _name(option: str) -> str:
    """Return the name in `--some-name`; empty if that is not the form of an option."""
    return option[2:].replace("-", "_") if option.startswith("--") else ""


def _is_option(argument: str, options: Mapping[str, tuple[str, bool]]) -> bool:
    return _name(argument.partition("=")[0]) in options


def _set_variables(variables: Mapping[str, str]) -> None:
    """Set environment variables.

    Raises:
        UsageError: the system cannot represent a value, for example a NUL or a character that the
            locale does not have.
    """
    for name, value in variables.items():
        try:
            os.environ[name] = value
        except ValueError:
            raise UsageError(
                f"The value for {name} has a character that this system does not allow, or is too "
                "long. Write it in UTF-8, and set a UTF-8 locale."
            ) from None


def _options() -> Mapping[str, tuple[str, bool]]:
    """Return each option, with its environment variable and whether its value is in a file."""
    from entrypoint.inputs.settings import INPUT_NAMES, SECRET_INPUTS  # noqa: PLC0415
    from entrypoint.stages import OUTPUTS_FILE  # noqa: PLC0415

    secrets = {*SECRET_INPUTS, "headers"}
    inputs = {
        f"{name}_file" if name in secrets else name: (f"INPUT_{name.upper()}", name in secrets)
        for name in INPUT_NAMES
    }
    return inputs | {_OUTPUTS_OPTION: (OUTPUTS_FILE, False)}


def _not_an_option(
    option: str, name: str, position: int, options: Mapping[str, tuple[str, bool]]
) -> str:
    if f"{name}_file" in options:
        return (
            f"{option} would show a secret to every user of this machine. Give {option}-file and "
            f"the path of a file, or the environment variable INPUT_{name.upper()}."
        )
    what = option if re.fullmatch(r"--[a-z_-]{1,40}", option) else f"Argument {position}"
    return f"{what} is not an option of this command."


def _read_secret(option: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"The file of {option} cannot be read: {reason}.") from None


def _help(about: About) -> str:
    lines = [
        "Usage: python airflow-dag-run.pyz [--OPTION VALUE]...",
        "       python airflow-dag-run.pyz --help | --version",
        "",
        *_wrapped(about["description"]),
        "",
        "Example, with a token in the environment variable INPUT_TOKEN:",
        "",
        "  python -I airflow-dag-run.pyz --airflow-url https://airflow.example.com \\",
        '    --dag-id nightly_sales --run-id "deploy-$(git rev-parse HEAD)"',
        "",
        *_wrapped(
            "An option can also be given as an environment variable: --dag-id is INPUT_DAG_ID. A "
            "secret is read from a file, or from the variable: --token-file or INPUT_TOKEN. Every "
            "option has a value: --dry-run true. In a shell --run-id is required; GitLab CI, Azure "
            "Pipelines and Jenkins provide what it is derived from."
        ),
        "",
        *_wrapped(
            "Exit codes: 0 if the workflow may go on, which is when the run succeeded (with --wait "
            "false: was accepted; with --dry-run true: would be triggered); 2 if an argument is "
            "wrong, and nothing was sent; otherwise not 0."
        ),
        "",
        *_wrapped(
            "These work on GitHub only: --oidc-audience, --aws-role, "
            "--google-workload-identity-provider, --report-to, and the line changed of --dags."
        ),
        "",
    ]
    for option, (variable, is_secret) in _options().items():
        what = "FILE" if is_secret or option == _OUTPUTS_OPTION else "VALUE"
        text = about["inputs"].get(variable.removeprefix("INPUT_").lower()) or (
            "Path of the file for the outputs, as JSON."
        )
        lines += [f"  --{option.replace('_', '-')} {what}", *_wrapped(text, indent=6)]
    return "".join(f"{line}\n" for line in lines)


def _wrapped(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )


def _print(text: str, code: int = 0) -> int:
    """Print to stdout, or with an exit code other than 0 to stderr; return the exit code."""
    from entrypoint.runners.github import prepare_streams  # noqa: PLC0415 - slow to import

    prepare_streams()
    print(text, end="", file=sys.stderr if code else sys.stdout)
    return code
