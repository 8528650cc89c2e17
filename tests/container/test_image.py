"""The image by itself: what is in it, and that nothing in the user's workspace or job gets into the
process.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from dev.engine import REPOSITORY, docker, entrypoint, try_docker
from dev.image import installed
from dev.image import main as print_weight
from dev.runner import Container, Step
from tests.container import hostile

SITE = "/opt/action/lib/python3.13/site-packages"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A hostile workspace."""
    path = tmp_path / "workspace"
    hostile.plant(path)
    return path


def probe(
    image: str, code: str, *, workspace: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """What `code` prints in the image's Python, under the flags that the action runs with."""
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


def test_entrypoint(image: str) -> None:
    """Python is started without a shell in between, isolated and unbuffered."""
    assert entrypoint(image) == ["/opt/action/bin/python", "-I", "-u", "-B", "-m", "entrypoint"]


def test_user(image: str) -> None:
    """The image runs as root, which alone may write the runner's files, and does not rely on a
    working directory.
    """
    assert docker("inspect", "--format={{.Config.User}}{{.Config.WorkingDir}}", image).strip() == ""


def test_labels(image: str) -> None:
    """The image says what it is."""
    labels = json.loads(docker("inspect", "--format={{json .Config.Labels}}", image))

    assert labels["org.opencontainers.image.title"] == "Airflow DAG Run"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_content_is_the_repository_s(image: str) -> None:
    """The package in the image equals the one in the repository, file by file."""
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


def test_distributions(image: str) -> None:
    """The lock's distributions are installed, and no other: no PyGithub, no cryptography, no
    charset-normalizer, no pip.
    """
    locked = dict(
        re.findall(r"^([\w-]+)==(\S+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    )

    assert installed(image) == locked
    assert not locked.keys() & {"pygithub", "cryptography", "charset-normalizer", "pip"}


def test_nothing_to_build_or_install_with(image: str) -> None:
    """Neither a compiler, nor pip or the tests of others, can be reached by the action's Python."""
    code = """
import importlib.util, shutil
print([name for name in ("cc", "gcc", "g++", "make", "rustc") if shutil.which(name)])
names = ("pip", "setuptools", "tests", "github", "cryptography")
print([name for name in names if importlib.util.find_spec(name)])
"""
    assert probe(image, code).split() == ["[]", "[]"]


def test_size(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The action adds less than 8 MB to its base, bytecode included; `make image` prints that, what
    is in it and its start.
    """
    print_weight(image)
    told = capsys.readouterr().out
    with capsys.disabled():
        print(f"\n{told}", end="")
    size, over = map(float, re.findall(r"([\d.]+) MB", told))

    assert 0 < over < 8 < size
    assert re.search(r"^\d distributions: \S+ \d.*\brequests \d", told, re.MULTILINE)
    assert re.search(r"^start: \d+\.\d\d s, \d\.\d\d s of CPU", told, re.MULTILINE)


def test_bytecode_is_there_and_never_checked(image: str) -> None:
    """Every module has bytecode that Python takes without a look at its source, so that starting
    writes nothing.
    """
    code = f"""
import importlib.util, pathlib
sources = list(pathlib.Path("{SITE}").rglob("*.py"))
cached = [pathlib.Path(importlib.util.cache_from_source(path)) for path in sources]
print({{path.read_bytes()[4:8] for path in cached}}, len(sources) > 100)
"""
    assert probe(image, code).strip() == f"{{{bytes([1, 0, 0, 0])!r}}} True"


def test_read_only(image: str) -> None:
    """On a read-only file system the action starts, and says what it was not told."""
    done = try_docker("run", "--rm", "--read-only", "--network=host", image)

    assert done.returncode == 1
    assert done.stdout.startswith("ERROR: Nothing says for which commit this is")
    assert "Traceback" not in done.stdout + done.stderr


def test_the_workspace_is_hostile(image: str, workspace: Path) -> None:
    """The trap works: without the flags of the image's entry point, the workspace's modules are
    imported.
    """
    options = (
        "--rm",
        "--network=host",
        "--volume",
        f"{workspace}:/github/workspace",
        "--workdir=/github/workspace",
    )

    assert hostile.MARK in docker(
        "run", *options, "--entrypoint=/opt/action/bin/python", image, "-m", "entrypoint"
    )


def test_modules_come_from_the_image(image: str, workspace: Path) -> None:
    """With a hostile workspace as current directory and hostile variables, every module is the
    image's own.
    """
    code = """
import json, sys
import entrypoint.__main__, requests, jwt, actions_toolkit.core
files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
print(json.dumps(sorted({file for file in files if file})))
"""
    env = {name: value for name, value in hostile.ENV.items() if name != "PYTHONINSPECT"}
    files = json.loads(probe(image, code, workspace=workspace, env=env))

    assert f"{SITE}/entrypoint/__main__.py" in files
    assert f"{SITE}/requests/__init__.py" in files
    assert [path for path in files if not path.startswith((SITE, "/usr/"))] == []


def test_hostile_workspace(container: Container, workspace: Path) -> None:
    """A step in a hostile workspace and environment does what it does elsewhere: here, refuse its
    inputs.
    """
    step = Step(
        {"dag_id": "nightly_sales"}, launcher=container, workspace=workspace, env=hostile.ENV
    )
    before = sorted(workspace.rglob("*"))

    result = step.run()

    assert hostile.MARK not in result.raw
    assert (result.exit_code, result.outputs["result"]) == (1, "error")
    assert "airflow_url" in result.annotations[0].message
    assert sorted(workspace.rglob("*")) == before
