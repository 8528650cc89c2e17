"""How a stage ends: one verdict annotation, and the job summary if it is wanted."""

from pathlib import Path

import pytest

from entrypoint.report.publish import publish
from tests.support.listening import heard
from tests.support.nouns import a_context, an_outcome


@pytest.mark.parametrize("wanted", [True, False])
def test_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:  # noqa: FBT001 - a table's column
    """The verdict is always told, the summary only if it is wanted."""
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    log = heard(lambda: publish(an_outcome(), a_context(), write_summary=wanted))

    assert [note.title for note in log.annotations] == ["DAG run succeeded"]
    assert path.exists() is wanted
    if wanted:
        assert path.read_text(encoding="utf-8").startswith("## ✅ DAG run succeeded")
