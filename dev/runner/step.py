"""One step of an action, run as by GitHub's runner (docs/notes/runner.md)."""

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from dev.runner.commands import StepLog
from dev.runner.context import RunnerContext
from dev.runner.files import CommandFiles
from dev.runner.launch import Host, Launcher, Native, Stage
from dev.runner.masking import Masker
from dev.runner.metadata import Metadata
from dev.runner.result import StepResult
from dev.runner.running import RunningStep

_ACTION = Path(__file__).parents[2] / "action.yml"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ActionStep:
    """A step with its `with:` (inputs) and `env:`; later stages keep its state and masks.

    Attributes:
        launcher: starts the stages
        state: the next stage's STATE_* values
    """

    def __init__(
        self,
        inputs: Mapping[str, str],
        *,
        launcher: Launcher,
        workspace: Path,
        env: Mapping[str, str] = _NOTHING,
        context: RunnerContext | None = None,
        action: Path | None = None,
    ) -> None:
        self.state: dict[str, str] = {}
        self._inputs = dict(inputs)
        self._env = dict(env)
        self.launcher = launcher
        self._context = context or RunnerContext()
        own = launcher.metadata if isinstance(launcher, Native) else _ACTION
        self._metadata = Metadata.read(action or own)
        self._masker = Masker()
        self._masker.add(self._context.token)
        temp = Path(tempfile.mkdtemp(prefix="runner-temp-"))
        weakref.finalize(self, shutil.rmtree, temp, ignore_errors=True)
        self._host = Host(temp=temp, workspace=workspace.resolve())
        for folder in (self._host.home, self._host.workflow, self._host.file_commands):
            folder.mkdir()
        self._event_path = self._host.workflow / "event.json"
        self._event_path.write_text(json.dumps(dict(self._context.event)), encoding="utf-8")

    def run(self, stage: Stage = "main", timeout: float = 60) -> StepResult:
        """Run `stage` to its end.

        Raises:
            TimeoutError: after `timeout` seconds; nothing is left running
        """
        with self.start(stage) as running:
            return running.wait(timeout)

    def start(
        self, stage: Stage = "main", show: Callable[[str], None] | None = None
    ) -> RunningStep:
        """Start `stage`, and return at once.

        Args:
            stage: name of the stage
            show: called with each line of the log as GitHub shows it

        Raises:
            ValueError: if the action has no such stage
            OSError: if a variable is too large for the kernel (128 KiB), which fails on GitHub, too
        """
        if stage == "post" and not self._metadata.post_entrypoint:
            raise ValueError("The action has no post-entrypoint")
        log = StepLog(self._masker, debug=self._context.debug)
        if undeclared := self._metadata.undeclared(self._inputs):
            valid = "', '".join(self._metadata.inputs)
            unexpected = "', '".join(undeclared)
            log.issue(
                "warning", f"Unexpected input(s) '{unexpected}', valid inputs are ['{valid}']"
            )
        files = CommandFiles(self._host.file_commands)
        launch = self.launcher.prepare(stage, self._metadata, self._host, self._environment(files))

        def feed(line: str) -> None:
            shown = len(log.lines)
            log.feed(line)
            if show is not None:
                for text in log.lines[shown:]:
                    show(text)

        def finish(exit_code: int, lines: tuple[str, ...]) -> StepResult:
            return self._result(log, files, exit_code, lines)

        return RunningStep(launch, feed, finish)

    def _environment(self, files: CommandFiles) -> dict[str, str]:
        """Return the environment in the runner's order: later variables win."""
        github = self._context.environment(
            workspace=self._host.workspace, temp=self._host.temp, event_path=self._event_path
        )
        return {
            **self._metadata.env,
            **self._env,
            **{f"STATE_{name}": value for name, value in self.state.items()},
            **self._metadata.input_environment(self._inputs, self._context),
            "HOME": str(self._host.home),
            **github,
            **files.environment,
        }

    def _result(
        self, log: StepLog, files: CommandFiles, exit_code: int, lines: tuple[str, ...]
    ) -> StepResult:
        contents = files.collect(log, self._masker)
        state = log.state | contents.state
        self.state |= state
        return StepResult(
            exit_code=exit_code,
            conclusion="failure" if exit_code or log.failed else "success",
            raw="".join(f"{line}\n" for line in lines),
            log="".join(f"{line}\n" for line in log.lines),
            outputs=log.outputs | contents.outputs,
            state=state,
            env=contents.env,
            path=contents.path,
            summary=contents.summary,
            annotations=tuple(log.annotations),
            masks=frozenset(log.masks),
            unexpected_commands=tuple(log.unexpected),
        )
