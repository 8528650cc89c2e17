"""native/: how it finds a Python, what it gives to it, and what it reports without one."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dev.runner import ActionStep
from pyz.metadata import ROOT, SOURCE, TARGET, native_metadata
from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask
from tests.support.file import native_launcher, newest_python, node
from tests.support.step import admin_inputs

if TYPE_CHECKING:
    from pathlib import Path


def javascript(expression: str, **names: Any) -> Any:
    """Return the value of an expression about the launcher `it`, with these names."""
    program = (
        f"const it = require({json.dumps(str(ROOT / 'native' / 'launch.cjs'))});"
        f"const {{{', '.join(names) or 'none'}}} = JSON.parse(process.argv[1]);"
        "const attempt = () => { try { return " + expression + " } catch (error) {"
        " return { title: error.title, detail: error.detail, hint: error.hint } } };"
        "console.log(JSON.stringify(attempt()))"
    )
    done = subprocess.run(
        [node(), "-e", program, json.dumps(names)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_native_action_yml_is_written_from_action_yml() -> None:
    text = TARGET.read_text(encoding="utf-8")
    ours, native = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (SOURCE, TARGET))

    assert text == native_metadata(SOURCE.read_text(encoding="utf-8"))
    assert (native["inputs"], native["outputs"]) == (ours["inputs"], ours["outputs"])
    for script in (native["runs"]["main"], native["runs"]["post"]):
        assert (TARGET.parent / script).is_file()


@pytest.mark.parametrize(
    ("platform", "workspace", "path", "folders"),
    [
        (
            "linux",
            "/w/repo",
            "/usr/bin:/w/repo/.venv/bin:/w/repo::.:bin:/w/repository:/w:/usr/bin",
            ["/usr/bin", "/w/repository", "/w"],
        ),
        (
            "win32",
            r"D:\a\Repo",
            r'C:\Python312\;"C:\Program Files\Git";d:\A\repo\bin;D:\a\Repo;D:bin;;D:\a;E:\a\Repo',
            ["C:\\Python312\\", r"C:\Program Files\Git", r"D:\a", r"E:\a\Repo"],
        ),
        ("win32", r"\\server\share\repo", r"\\SERVER\share\repo\bin;\\server\x", [r"\\server\x"]),
    ],
)
def test_no_folder_of_the_workspace_is_searched(
    platform: str, workspace: str, path: str, folders: list[str]
) -> None:
    """Nor one that depends on the working directory. Names have no case on Windows."""
    name = "Path" if platform == "win32" else "PATH"
    found = javascript(
        "it.searchPath(env, workspace, it.system(platform))",
        env={name: path},
        workspace=workspace,
        platform=platform,
    )

    assert found == folders


@pytest.mark.parametrize(
    ("platform", "root", "found"),
    [
        ("linux", "/opt/tools", "/opt/tools/Python/3.12.1/x64/bin"),
        ("win32", r"C:\tools", r"C:\tools\Python\3.12.1\x64"),
    ],
)
def test_the_tool_cache_is_searched_newest_first(platform: str, root: str, found: str) -> None:
    folders = javascript(
        "it.toolCache(env, it.system(platform), (folder) => folder.endsWith('Python') "
        "? ['3.9.20', '3.11.4', '3.12.1', '3.11.10', 'x'] : ['x64', 'x64.complete'])",
        env={"RUNNER_TOOL_CACHE": root},
        platform=platform,
    )

    assert folders == [
        found.replace("3.12.1", each) for each in ("3.12.1", "3.11.10", "3.11.4", "3.9.20")
    ]


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_python_gets_only_the_variables_that_the_action_needs(platform: str) -> None:
    kept = {
        "INPUT_DAG_ID": "x",
        "STATE_RUNS": "[]",
        "GITHUB_OUTPUT": "o",
        "RUNNER_TEMP": "t",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "u",
        "AWS_REGION": "r",
        "https_proxy": "p",
        "KRB5CCNAME": "c",
        "HOME": "h",
        "SystemRoot": r"C:\Windows",
        "CI": "true",
    }
    dropped = (
        *(
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "GCONV_PATH",
            "GSS_MECH_CONFIG",
        ),
        *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "NODE_OPTIONS", "OPENSSL_CONF", "KRB5_TRACE"),
        *("SSL_CERT_FILE", "SSLKEYLOGFILE", "TMPDIR", "TEMP", "HOSTALIASES", "SECRET"),
    )
    env = kept | dict.fromkeys(dropped, "x") | {"Path" if platform == "win32" else "PATH": "x"}
    found = javascript(
        "it.cleaned(env, ['/one', '/two'], it.system(platform))", env=env, platform=platform
    )

    assert found == kept | {"PATH": "/one;/two" if platform == "win32" else "/one:/two"}


def program(path: Path, script: str) -> Path:
    """Write a shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def found_python(workspace: Path, **env: str) -> Any:
    """Return the Python that is found in this environment, or the error."""
    return javascript(
        "it.findPython(env, workspace, { ...it.system(), usual: [] }).python ",
        env=env,
        workspace=str(workspace),
    )


def test_an_older_python_is_passed_over_for_one_of_the_tool_cache(tmp_path: Path) -> None:
    old = program(tmp_path / "old" / "python3", """echo '[[3, 10], "/old/python3"]'""")
    new = tmp_path / "tools" / "Python" / "3.12.1" / "x64" / "bin" / "python3"
    new.parent.mkdir(parents=True)
    new.symlink_to(newest_python())

    assert found_python(tmp_path / "w", PATH=str(old.parent)) == {
        "title": "There is no Python 3.11 or later",
        "detail": f"Found on this runner: {old}: 3.10.",
        "hint": "Run actions/setup-python before this step, or install Python on the runner.",
    }
    assert found_python(
        tmp_path / "w", PATH=str(old.parent), RUNNER_TOOL_CACHE=str(tmp_path / "tools")
    ) == str(new)


def test_a_newer_python_with_its_version_in_its_name_is_found(tmp_path: Path) -> None:
    """As on Enterprise Linux, whose python3 is an old one."""
    program(tmp_path / "bin" / "python3", """echo '[[3, 9], "/old/python3"]'""")
    program(tmp_path / "bin" / "python3.11", "exit 3")
    new = tmp_path / "bin" / "python3.12"
    new.symlink_to(newest_python())

    assert found_python(tmp_path / "w", PATH=str(new.parent)) == str(new)


@pytest.mark.parametrize("of_the_workspace", [False, True])
def test_a_python_finds_its_shared_library_beside_itself(
    tmp_path: Path, *, of_the_workspace: bool
) -> None:
    """As those of setup-python, whose LD_LIBRARY_PATH is that of the job."""
    prefix, folder = tmp_path / "tools", tmp_path / "w" / "lib"
    library = folder if of_the_workspace else prefix / "lib"
    python = program(
        prefix / "bin" / "python3",
        f'[ "$LD_LIBRARY_PATH" = {prefix}/lib ] || exit 127; exec {newest_python()} "$@"',
    )
    library.mkdir(parents=True)
    (library / "libpython3.0.so").touch()
    if of_the_workspace:
        (prefix / "lib").symlink_to(library)
    found = found_python(
        tmp_path / "w", PATH=str(python.parent), LD_LIBRARY_PATH=str(prefix / "lib")
    )

    assert ("cannot be started" in str(found)) == of_the_workspace


@pytest.mark.parametrize("printed", ["[[3, 12], null]", '[[3, 12], ""]', '"ab"', "0", "junk", ""])
def test_a_program_that_is_no_python_is_passed_over(tmp_path: Path, printed: str) -> None:
    stub = program(tmp_path / "bin" / "python3", f"echo '{printed}'")
    found = found_python(tmp_path / "w", PATH=str(stub.parent))

    assert found["detail"] == f"Found on this runner: {stub}: cannot be started."


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [("exit 10", 0), ("exit 0", 1), ("exit 3", 3), ("kill -9 $$", 137), ("kill -40 $$", 1)],
)
def test_only_the_exit_code_of_a_stage_that_passes_lets_the_workflow_go_on(
    file: Path, tmp_path: Path, script: str, exit_code: int
) -> None:
    """Node reports 0 for a process that a signal without a name ended, such as 40."""
    python = tmp_path / "bin" / "python3"
    program(python, f"""[ "$3" = -c ] && echo '[[3, 11], "{python}"]' || {script}""")
    launcher = native_launcher(file, path=str(python.parent))
    (workspace := tmp_path / "w").mkdir()
    step = ActionStep({"dag_id": "sales"}, launcher=launcher, workspace=workspace)

    assert step.run().exit_code == exit_code


def test_an_error_of_the_system_is_reported_as_one_of_the_step(file: Path, tmp_path: Path) -> None:
    """`spawn` throws it, unlike that of a missing file."""
    python = tmp_path / "bin" / "python3"
    program(python, f"""echo '[[3, 11], "{python}/{"x" * 5000}"]'""")
    launcher = native_launcher(file, path=str(python.parent))
    (workspace := tmp_path / "w").mkdir()
    result = ActionStep({"dag_id": "sales"}, launcher=launcher, workspace=workspace).run()

    assert (result.exit_code, result.outputs) == (1, {"result": "error", "runs": "[]"})
    assert [note.title for note in result.annotations] == ["Python cannot be started"]


def test_a_python_of_the_workspace_is_not_started(tmp_path: Path) -> None:
    """Whether in the workspace itself or linked from elsewhere."""
    workspace, outside = tmp_path / "w", tmp_path / "outside"
    theirs = program(
        workspace / "python3", f'touch {tmp_path}/started; exec {newest_python()} "$@"'
    )
    broken = program(outside / "python", "exit 3")
    (outside / "python3").symlink_to(theirs)
    found = found_python(workspace, PATH=f"{workspace}:{outside}")

    assert found["detail"] == (
        f"Found on this runner: {outside}/python3: in the workspace; {broken}: cannot be started."
    )
    assert not (tmp_path / "started").exists()


def test_without_the_file_the_step_fails_and_says_so_everywhere(file: Path, tmp_path: Path) -> None:
    """As after `uses:` of a commit that is no release. The post stage has nothing to do."""
    launcher = native_launcher(file)
    folder = tmp_path / "native"
    folder.mkdir()
    for path in launcher.metadata.parent.glob("*[!z]"):
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    broken = native_launcher(file)
    object.__setattr__(broken, "metadata", folder / "action.yml")
    step = ActionStep({"dag_id": "sales"}, launcher=broken, workspace=tmp_path)
    result = step.run()
    title = "This commit of the action has no airflow-dag-run.pyz"

    assert (result.exit_code, result.outputs) == (1, {"result": "error", "runs": "[]"})
    assert [note.title for note in result.annotations] == [title]
    assert title in result.summary
    post = step.run("post")
    assert (post.exit_code, post.raw) == (0, "")


def test_python_stops_the_dag_run_and_ends_if_the_launcher_is_killed(
    file: Path, tmp_path: Path
) -> None:
    launcher = native_launcher(file)
    with FakeAirflow(dags=[FakeDag("sales", tasks=(FakeTask("extract"),))]) as fake:
        fake.states("sales", ["running"])
        step = ActionStep(admin_inputs(fake), launcher=launcher, workspace=tmp_path)
        with step.start() as running:
            running.wait_for("The DAG run is queued")
            running.kill()
            result = running.wait(10)

        assert result.exit_code == -signal.SIGKILL
        assert [run.state for run in fake.runs("sales")] == ["failed"]
    assert launcher.leftovers() == []
