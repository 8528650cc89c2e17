"""The replay of GitHub's runner: environment, results and signals of a step."""

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.runner import ActionStep, Annotation, RunnerContext
from dev.runner.launch import Host, Launch, Stage
from dev.runner.metadata import Metadata

ACTION = """
inputs:
  dag_id: {required: true}
  timeout: {default: 1h}
  flag: {default: true}
  github_token: {default: '${{ github.token }}'}
  matrix: {default: '${{ toJSON(matrix) }}'}
runs:
  using: docker
  image: Dockerfile
  post-entrypoint: /post
  env: {FROM_ACTION: action, FROM_BOTH: action}
"""
DUMP = """
import json, os, sys
seen = {name: value for name, value in os.environ.items() if name != "INPUT_GITHUB_TOKEN"}
with open(os.environ["GITHUB_OUTPUT"], "a") as file:
    file.write("env=" + json.dumps(seen) + "\\n")
"""


@dataclass
class SnippetLauncher:
    """Launches a few lines of Python instead of the action."""

    code: str
    gone: bool = False

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        del stage, metadata
        return Launch(
            (sys.executable, "-I", "-u", "-c", self.code), env, host.workspace, self.discard
        )

    def discard(self) -> None:
        self.gone = True


Make = Callable[..., ActionStep]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    action = tmp_path / "action.yml"
    action.write_text(ACTION)
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    def step(code: str, inputs: Mapping[str, str] | None = None, **more: Any) -> ActionStep:
        return ActionStep(
            inputs or {}, launcher=SnippetLauncher(code), workspace=workspace, action=action, **more
        )

    return step


def environment(step: ActionStep, stage: Stage = "main") -> dict[str, str]:
    """Return the environment that a script dumped, without GitHub's token."""
    seen: dict[str, str] = json.loads(step.run(stage).outputs["env"])
    return seen


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_all_declared_inputs_are_set(make: Make) -> None:
    """As given, by default, or empty; scalars and expressions as text."""
    seen = environment(make(DUMP, {"DAG_ID": "sales"}))

    assert {name: value for name, value in seen.items() if name.startswith("INPUT_")} == {
        "INPUT_DAG_ID": "sales",
        "INPUT_TIMEOUT": "1h",
        "INPUT_FLAG": "true",
        "INPUT_MATRIX": "null",
    }


def test_a_matrix_arrives_as_json(make: Make) -> None:
    seen = environment(make(DUMP, context=RunnerContext(matrix={"region": "APAC"})))

    assert json.loads(seen["INPUT_MATRIX"]) == {"region": "APAC"}


def test_an_undeclared_input_is_a_warning_and_is_passed_on(make: Make) -> None:
    step = make(DUMP, {"dagid": "x"})
    result = step.run()

    assert [note.level for note in result.annotations] == ["warning"]
    assert "'dagid'" in result.annotations[0].message
    assert json.loads(result.outputs["env"])["INPUT_DAGID"] == "x"


def test_a_default_with_an_unknown_expression_is_an_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "action.yml").write_text(ACTION.replace("github.token", "secrets.X"))

    with pytest.raises(ValueError, match=r"secrets\.X"):
        make("").run()


def test_variables_of_github_win_over_the_env_of_the_step_and_the_action(
    make: Make, tmp_path: Path
) -> None:
    """The token is not set by default."""
    job = {"FROM_BOTH": "job", "INPUT_TIMEOUT": "job", "GITHUB_SHA": "job"}
    seen = environment(make(DUMP, env=job, context=RunnerContext(sha="f" * 40, debug=True)))

    assert (seen["FROM_ACTION"], seen["FROM_BOTH"], seen["INPUT_TIMEOUT"]) == (
        "action",
        "job",
        "1h",
    )
    assert (seen["GITHUB_SHA"], seen["RUNNER_DEBUG"]) == ("f" * 40, "1")
    assert seen["GITHUB_WORKSPACE"] == str((tmp_path / "workspace").resolve())
    assert not {"GITHUB_TOKEN", "PATH", "PYTHONPATH"} & seen.keys()
    assert Path(seen["GITHUB_EVENT_PATH"]).name == "event.json"


def test_saved_state_reaches_the_post_stage(make: Make) -> None:
    step = make('import os\nopen(os.environ["GITHUB_STATE"], "a").write("run_id=a b\\n")\n' + DUMP)

    assert "STATE_run_id" not in environment(step)
    step.state["more"] = "x"
    seen = environment(step, "post")
    assert (seen["STATE_run_id"], seen["STATE_more"]) == ("a b", "x")


def test_a_result_has_the_masked_log_of_both_streams(make: Make) -> None:
    """A lone CR begins a new line. Only `raw` is not masked."""
    code = """
import os, sys
print("::add-mask::s3cret", flush=True)
print("s3cret\\r::error title=T::no s3cret", file=sys.stderr, flush=True)
print("end", end="", flush=True)
open(os.environ["GITHUB_STEP_SUMMARY"], "a").write("s3cret")
sys.exit(3)
"""
    result = make(code).run()

    assert (result.exit_code, result.conclusion) == (3, "failure")
    assert result.log == "***\nError: no ***\nend\n"
    assert result.raw == "::add-mask::s3cret\ns3cret\n::error title=T::no s3cret\nend\n"
    assert result.summary == "***\n"
    assert result.annotations == (Annotation("error", "no ***", "T"),)
    assert result.masks == {"s3cret"}
    assert not result.unexpected_commands


def test_an_invalid_output_file_fails_the_step(make: Make) -> None:
    result = make('import os\nopen(os.environ["GITHUB_OUTPUT"], "a").write("a<<E\\ntrunc")').run()

    assert (result.exit_code, result.conclusion) == (0, "failure")


def test_the_token_is_masked_from_the_start(make: Make) -> None:
    assert make('import os; print(os.environ["INPUT_GITHUB_TOKEN"])').run().log == "***\n"


def test_a_signal_reaches_the_process(make: Make) -> None:
    code = """
import signal, time
signal.signal(signal.SIGINT, lambda *_: exit(7))
print("ready")
time.sleep(60)
"""
    with make(code).start() as running:
        assert running.wait_for("ready") == "ready"
        running.signal(signal.SIGINT)
        assert running.wait(10).exit_code == 7


def test_a_step_that_ignores_both_signals_is_killed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner still reads its files."""
    monkeypatch.setattr(
        "dev.runner.running.CANCEL_SIGNALS", ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3))
    )
    code = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: print(signal.Signals(number).name))
open(os.environ["GITHUB_STATE"], "a").write("run_id=x\\n")
print("ready")
while True:
    time.sleep(60)
"""
    with make(code).start() as running:
        running.wait_for("ready")
        result = running.cancel()

    assert (result.exit_code, result.state) == (-signal.SIGKILL, {"run_id": "x"})
    assert result.raw == "ready\nSIGINT\nSIGTERM\n"


def test_no_process_outlives_a_timeout(make: Make) -> None:
    """Neither the step, nor its children, nor what the launcher left."""
    code = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("child", child.pid)
time.sleep(60)
"""
    step = make(code)
    with step.start() as running:
        line = running.wait_for("child")
        with pytest.raises(TimeoutError, match=line):
            running.wait(0.1)

    assert step.launcher == SnippetLauncher(code, gone=True)
    deadline = time.monotonic() + 10
    while is_alive(int(line.split()[1])):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_ended_step_is_not_signalled(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make('print("a")').start() as running:
        running.wait()
        monkeypatch.setattr("subprocess.Popen.poll", lambda _: None)


def test_waiting_for_a_missing_line_ends_with_the_step(make: Make) -> None:
    with make('print("a")').start() as running, pytest.raises(TimeoutError, match="'b'"):
        running.wait_for("b")
