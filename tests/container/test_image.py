"""The content of the image, and its isolation from the user's workspace and job."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from dev.engine import REPOSITORY, docker, entrypoint, try_docker
from dev.image import installed
from dev.runner import ActionStep, Container
from tests.container import attack

SITE = "/opt/action/lib/python3.13/site-packages"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with modules that try to replace those of the image."""
    path = tmp_path / "workspace"
    attack.write_modules(path)
    return path


def probe(
    image: str, code: str, *, workspace: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Return the output of `code` in the image's Python with the action's flags."""
    python, *flags = entrypoint(image)[:-2]
    options = [
        option for name, value in (env or {}).items() for option in ("-e", f"{name}={value}")
    ]
    if workspace:
        options += ["-v", f"{workspace}:/github/workspace", "--workdir=/github/workspace"]
    return docker(
        "run",
        "--rm",
        "--network=host",
        *options,
        f"--entrypoint={python}",
        image,
        *flags,
        "-c",
        code,
    )


def test_python_starts_without_a_shell_isolated_and_unbuffered(image: str) -> None:
    assert entrypoint(image) == ["/opt/action/bin/python", "-I", "-u", "-B", "-m", "entrypoint"]


def test_the_image_runs_as_root_in_any_working_directory(image: str) -> None:
    """Only root may write the runner's files."""
    assert docker("inspect", "--format={{.Config.User}}{{.Config.WorkingDir}}", image).strip() == ""


def test_the_image_has_labels(image: str) -> None:
    labels = json.loads(docker("inspect", "--format={{json .Config.Labels}}", image))

    assert labels["org.opencontainers.image.title"] == "Airflow DAG Run"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_package_in_the_image_equals_the_repository(image: str) -> None:
    code = f"""
import hashlib, json, pathlib
root = pathlib.Path("{SITE}/entrypoint")
files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
print(json.dumps({{str(path.relative_to(root)): digest(path) for path in files}}))
"""
    root = REPOSITORY / "entrypoint"
    ours = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)

    assert json.loads(probe(image, code)) == {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in ours
    }


def test_only_the_distributions_of_the_lock_are_installed(image: str) -> None:
    """No PyGithub, cryptography, charset-normalizer or pip."""
    locked = dict(
        re.findall(r"^([\w-]+)==(\S+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    )

    assert installed(image) == locked
    assert not locked.keys() & {"pygithub", "cryptography", "charset-normalizer", "pip"}


def test_the_image_has_no_compiler_pip_or_tests_of_dependencies(image: str) -> None:
    code = """
import importlib.util, shutil
print([name for name in ("cc", "gcc", "g++", "make", "rustc") if shutil.which(name)])
names = ("pip", "setuptools", "tests", "github", "cryptography")
print([name for name in names if importlib.util.find_spec(name)])
"""
    assert probe(image, code).split() == ["[]", "[]"]


def test_every_module_has_unchecked_bytecode(image: str) -> None:
    """So a start compiles nothing, and looks at no source. The standard library has no sources."""
    code = f"""
import importlib.util, json, os, pathlib
library, site = pathlib.Path(os.__file__).parent, pathlib.Path("{SITE}")
sources = list(site.rglob("*.py"))
cached = [pathlib.Path(importlib.util.cache_from_source(path)) for path in sources]
files = [*library.rglob("*.pyc"), *cached]
flags = {{int.from_bytes(path.read_bytes()[4:8], "little") for path in files}}
print(json.dumps([len(list(library.rglob("*.py"))), len(sources) > 100, len(files) > 400, *flags]))
"""
    assert json.loads(probe(image, code)) == [0, True, True, 0b01]


def test_the_action_starts_on_a_read_only_file_system(image: str) -> None:
    done = try_docker("run", "--rm", "--read-only", "--network=host", image)

    assert done.returncode == 1
    assert done.stdout.startswith("ERROR: 4 inputs are not usable")
    assert "Traceback" not in done.stdout + done.stderr


def test_without_the_flags_the_workspaces_modules_are_imported(image: str, workspace: Path) -> None:
    """The attack of the workspace works, so that the other tests prove something."""
    options = (
        "--rm",
        "--network=host",
        "--volume",
        f"{workspace}:/github/workspace",
        "--workdir=/github/workspace",
    )

    assert attack.MARK in docker(
        "run", *options, "--entrypoint=/opt/action/bin/python", image, "-m", "entrypoint"
    )


def test_every_module_comes_from_the_image(image: str, workspace: Path) -> None:
    """With an attacking workspace as current directory and attacking variables."""
    code = """
import json, sys
import entrypoint.__main__, requests, jwt, actions_toolkit.core
files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
print(json.dumps(sorted({file for file in files if file})))
"""
    env = {name: value for name, value in attack.ENV.items() if name != "PYTHONINSPECT"}
    files = json.loads(probe(image, code, workspace=workspace, env=env))

    assert f"{SITE}/entrypoint/__main__.py" in files
    assert f"{SITE}/requests/__init__.py" in files
    assert [path for path in files if not path.startswith((SITE, "/usr/"))] == []


def test_a_step_in_an_attacking_workspace_still_refuses_its_inputs(
    container: Container, workspace: Path
) -> None:
    step = ActionStep(
        {"dag_id": "nightly_sales"}, launcher=container, workspace=workspace, env=attack.ENV
    )
    before = sorted(workspace.rglob("*"))

    result = step.run()

    assert attack.MARK not in result.raw
    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert "airflow_url" in result.annotations[0].message
    assert sorted(workspace.rglob("*")) == before
