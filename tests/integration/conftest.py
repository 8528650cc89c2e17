"""Fixtures of several modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.services import GitRepository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A repository with two DAG files and a helper module."""
    repository = GitRepository(tmp_path / "repository")
    repository.commit({"dags/team/sales.py": "1", "dags/team/stock.py": "1", "helper.py": "1"})
    return repository


@pytest.fixture
def state_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The runner's file for the state that the post stage reads."""
    return runner_file(monkeypatch, tmp_path, "state")


@pytest.fixture
def output_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The runner's file for the outputs of the step."""
    return runner_file(monkeypatch, tmp_path, "output")


def runner_file(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> Path:
    file = folder / name
    file.touch()
    monkeypatch.setenv(f"GITHUB_{name.upper()}", str(file))
    return file
