"""The way of a request through the code is the one that docs/architecture.md draws."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests.adapters

from tests.support.fake_airflow import FakeAirflow, FakeDag
from tests.support.step import run_against

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def test_a_poll_goes_through_the_files_that_the_architecture_page_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways, send = set[tuple[str, ...]](), requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: requests.PreparedRequest, **options: Any) -> Any:
        files = [
            frame.filename.removeprefix(f"{ROOT / 'entrypoint'}/")
            for frame in traceback.extract_stack()
            if frame.filename.startswith(str(ROOT / "entrypoint"))
        ]
        if request.method == "GET" and re.search(r"/dagRuns/[^/]+$", request.path_url):
            ways.add(tuple(dict.fromkeys(files)))
        return send(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", watched)
    with FakeAirflow("2.11.2", dags=[FakeDag("sales", polls=4)]) as fake:
        assert run_against(fake).result == "success"
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^request: +(.+)$", page, re.MULTILINE)

    assert tuple(line.split(" ─► ")) in ways
