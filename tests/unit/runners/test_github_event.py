"""On which commit people look for a status: that of a pull request's head, else the workflow
run's.
"""

from pathlib import Path

import pytest

from entrypoint.runners.github import head_commit
from tests.support.factories import SHA, a_context

HEAD = "d" * 40


@pytest.mark.parametrize(
    ("event", "commit"),
    [
        (f'{{"pull_request": {{"head": {{"sha": "{HEAD}"}}}}, "after": "x"}}', HEAD),
        (f'{{"pull_request": {{"head": {{"sha": "{"d" * 64}"}}}}}}', "d" * 64),
        (f'{{"after": "{HEAD}"}}', SHA),
        ("{}", SHA),
        # What is no event.
        ('{"pull_request": null}', SHA),
        ('{"pull_request": "x"}', SHA),
        ('{"pull_request": {"head": {}}}', SHA),
        ('{"pull_request": {"head": {"sha": 7}}}', SHA),
        ('{"pull_request": {"head": {"sha": "main"}}}', SHA),
        (f'{{"pull_request": {{"head": {{"sha": "{HEAD}\\n"}}}}}}', SHA),
        ("[]", SHA),
        ("7", SHA),
        ("", SHA),
        ("{", SHA),
        ("[" * 100_000, SHA),
    ],
    ids=lambda text: text[:50],
)
def test_the_commit(tmp_path: Path, event: str, commit: str) -> None:
    """The head of a pull request is where its checks are shown; without one, or a whole SHA, the
    run's commit stands.
    """
    path = tmp_path / "event.json"
    path.write_text(event)

    assert head_commit(a_context(event=path)) == commit


def test_no_file(tmp_path: Path) -> None:
    """Without a file, without a readable one, and without text in it, it is the run's commit."""
    garbled = tmp_path / "event.json"
    garbled.write_bytes(b'{"pull_request": "\xff"}')

    for event in (None, tmp_path / "absent.json", tmp_path, garbled):
        assert head_commit(a_context(event=event)) == SHA
