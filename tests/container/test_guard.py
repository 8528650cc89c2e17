"""The leak guard checks what a container writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.runner import ActionStep, Container
from tests.support import leak_guard
from tests.support.leaks import EVERYWHERE, LEAKS, SECRET, SHOW_EVERYWHERE, places, program

if TYPE_CHECKING:
    from pathlib import Path

    from dev.runner import Stage

PROGRAM = "/github/workspace/show"
ACTION = (
    f"runs: {{using: docker, image: Dockerfile, entrypoint: {PROGRAM}, post-entrypoint: "
    f"{PROGRAM}}}\n"
)


@pytest.mark.parametrize("stage", ["main", "post"])
def test_a_leak_in_any_place_of_either_stage_is_found(
    container: Container, tmp_path: Path, stage: Stage
) -> None:
    """A text that is no secret is not reported."""
    show, action = tmp_path / "show", tmp_path / "action.yml"
    action.write_text(ACTION)
    for text, seen in ((LEAKS["base64 of a pair"], EVERYWHERE), ("nothing", set[str]())):
        show.write_text(f"#!/opt/action/bin/python -IuB\n{program(SHOW_EVERYWHERE, text)}")
        show.chmod(0o755)
        inputs = {"dag_id": "sales", "password": SECRET}
        result = ActionStep(inputs, launcher=container, workspace=tmp_path, action=action).run(
            stage
        )

        assert result.exit_code == 0, result.raw
        assert places(leak_guard.new_leaks()) == seen
