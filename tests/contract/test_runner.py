"""The replay of GitHub's runner as a whole: what a step gets, what it leaves, how it is signalled
and never outlived.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.runner import Annotation, Context, Step
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
class Script:
    """A launcher of a few lines of Python in place of the action."""

    code: str
    gone: bool = False

    def prepare(
        self, stage: Stage, metadata: Metadata, host: Host, env: Mapping[str, str]
    ) -> Launch:
        """The same code for every stage."""
        del stage, metadata
        return Launch(
            (sys.executable, "-I", "-u", "-c", self.code), env, host.workspace, self.discard
        )

    def discard(self) -> None:
        """Note that the runner cleaned up."""
        self.gone = True


Make = Callable[..., Step]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A factory of steps of the action above: code, inputs, and what else a step takes."""
    action = tmp_path / "action.yml"
    action.write_text(ACTION)
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    def step(code: str, inputs: Mapping[str, str] | None = None, **more: object) -> Step:
        return Step(inputs or {}, launcher=Script(code), workspace=workspace, action=action, **more)  # type: ignore[arg-type]

    return step


def environment(step: Step, stage: Stage = "main") -> dict[str, str]:
    """What a script that dumps its environment saw, but for GitHub's token, which no step may
    show.
    """
    seen: dict[str, str] = json.loads(step.run(stage).outputs["env"])
    return seen


def is_alive(pid: int) -> bool:
    """Whether the process exists, and not merely as a zombie that nobody has reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_inputs(make: Make) -> None:
    """All declared inputs are set: as given, by default, or empty; scalars and expressions as
    text.
    """
    seen = environment(make(DUMP, {"DAG_ID": "sales"}))

    assert {name: value for name, value in seen.items() if name.startswith("INPUT_")} == {
        "INPUT_DAG_ID": "sales",
        "INPUT_TIMEOUT": "1h",
        "INPUT_FLAG": "true",
        "INPUT_MATRIX": "null",
    }


def test_matrix(make: Make) -> None:
    """A leg of a matrix arrives as JSON."""
    seen = environment(make(DUMP, context=Context(matrix={"region": "APAC"})))

    assert json.loads(seen["INPUT_MATRIX"]) == {"region": "APAC"}


def test_undeclared_input(make: Make) -> None:
    """An undeclared input is a warning, and is passed on."""
    step = make(DUMP, {"dagid": "x"})
    result = step.run()

    assert [note.level for note in result.annotations] == ["warning"]
    assert "'dagid'" in result.annotations[0].message
    assert json.loads(result.outputs["env"])["INPUT_DAGID"] == "x"


def test_unknown_expression(make: Make, tmp_path: Path) -> None:
    """A default with an expression that the replay does not know is an error, not an empty
    value.
    """
    (tmp_path / "action.yml").write_text(ACTION.replace("github.token", "secrets.X"))

    with pytest.raises(ValueError, match=r"secrets\.X"):
        make("").run()


def test_environment(make: Make, tmp_path: Path) -> None:
    """The step's env wins over the action's, inputs and GitHub's variables over both; no token is
    there unasked.
    """
    job = {"FROM_BOTH": "job", "INPUT_TIMEOUT": "job", "GITHUB_SHA": "job"}
    seen = environment(make(DUMP, env=job, context=Context(sha="f" * 40, debug=True)))

    assert (seen["FROM_ACTION"], seen["FROM_BOTH"], seen["INPUT_TIMEOUT"]) == (
        "action",
        "job",
        "1h",
    )
    assert (seen["GITHUB_SHA"], seen["RUNNER_DEBUG"]) == ("f" * 40, "1")
    assert seen["GITHUB_WORKSPACE"] == str((tmp_path / "workspace").resolve())
    assert not {"GITHUB_TOKEN", "PATH", "PYTHONPATH"} & seen.keys()
    assert Path(seen["GITHUB_EVENT_PATH"]).name == "event.json"


def test_state_reaches_the_post_stage(make: Make) -> None:
    """State written in main is STATE_* in post, and so is what a test puts in between."""
    step = make('import os\nopen(os.environ["GITHUB_STATE"], "a").write("run_id=a b\\n")\n' + DUMP)

    assert "STATE_run_id" not in environment(step)
    step.state["more"] = "x"
    seen = environment(step, "post")
    assert (seen["STATE_run_id"], seen["STATE_more"]) == ("a b", "x")


def test_result(make: Make) -> None:
    """Lines of both streams are understood alike; a lone CR begins a new line; a secret is masked
    but in `raw`.
    """
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


def test_bad_output_file_fails_the_step(make: Make) -> None:
    """A step that exits 0 fails if the runner cannot read what it wrote."""
    result = make('import os\nopen(os.environ["GITHUB_OUTPUT"], "a").write("a<<E\\ntrunc")').run()

    assert (result.exit_code, result.conclusion) == (0, "failure")


def test_the_token_is_masked_from_the_start(make: Make) -> None:
    """GitHub hides its own token before the step begins."""
    assert make('import os; print(os.environ["INPUT_GITHUB_TOKEN"])').run().log == "***\n"


def test_signal(make: Make) -> None:
    """A signal reaches the process, once it is known to be ready for it."""
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


def test_cancel_uses_the_ladder(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that ignores both signals is killed in the end, and its files are read all the
    same.
    """
    monkeypatch.setattr(
        "dev.runner.running.CANCEL_LADDER", ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3))
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


def test_nothing_outlives_the_wait(make: Make) -> None:
    """After a time-out neither the step nor what it started is left, and what the launcher may have
    left is removed.
    """
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

    assert step.launcher == Script(code, gone=True)
    deadline = time.monotonic() + 10
    while is_alive(int(line.split()[1])):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nobody_is_left_to_end(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that has ended is left as it is, though it is not known yet that it has."""
    with make('print("a")').start() as running:
        running.wait()
        monkeypatch.setattr("subprocess.Popen.poll", lambda _: None)


def test_missing_line(make: Make) -> None:
    """Waiting for a line that never comes ends with the step."""
    with make('print("a")').start() as running, pytest.raises(TimeoutError, match="'b'"):
        running.wait_for("b")
