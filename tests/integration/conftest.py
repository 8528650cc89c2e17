"""Fixtures of several modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The runner's file for the state that the post stage reads."""
    file = tmp_path / "state"
    file.touch()
    monkeypatch.setenv("GITHUB_STATE", str(file))
    return file
