"""Which notes Airflow's listener believes: those that the action writes, once and as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.factories import SHA

MARKER = {
    "airflow": "https://airflow.example.com",
    "api_url": "https://api.github.com",
    "repository": "octo-org/sales",
    "commit": SHA,
}


def line(**changes: Any) -> str:
    """The line that the action writes, but for these changes."""
    return (
        "airflow-dag-run: "
        f"{json.dumps({**MARKER, **changes}, separators=(',', ':'), ensure_ascii=False)}"
    )


@pytest.mark.parametrize(
    ("note", "environment"),
    [
        (line(), None),
        (line(environment="production"), "production"),
        (f"Deployed by octocat\n{line()}\n[stopped because its workflow was cancelled]", None),
        (f"x {line()}\r\n{line(environment='a b')}", "a b"),
        (f"{'x' * (1000 - len(line()) - 1)}\n{line()}", None),
        (line(environment="größe 🚀"), "größe 🚀"),
    ],
)
def test_a_marker(listener: Any, note: str, environment: str | None) -> None:
    """A marker is found on a line of its own, whatever else stands in the note."""
    assert listener.parse_marker(note) == (*MARKER.values(), environment)


@pytest.mark.parametrize(
    "note",
    [
        None,
        "",
        b"airflow-dag-run: {}",
        line().encode(),
        7,
        "Deployed by octocat",
        f"x {line()}",
        f"{line()}\n{line()}",
        f"{line()}\n{line(commit='a' * 40)}",
        line().replace(",", ",\n"),
        line().replace(",", ", "),
        line(environment=""),
        line(environment="x" * 256),
        line(environment="a\u200bb"),
        line()[:-1],
        "airflow-dag-run: ",
        "airflow-dag-run: null",
        f"airflow-dag-run: {json.dumps([MARKER])}",
        f"airflow-dag-run: {'[' * 900}",
        line(environment=None),
        line(environment=7),
        line(commit=7),
        line(status="success"),
        line(commit=SHA[:12]),
        line(commit=SHA.upper()),
        line(commit=f"{SHA}\n"),
        line(repository="octo-org/sales/../secrets"),
        line(repository="octo-org/sales\n"),
        line(repository="octo-org"),
        line(repository="octo-örg/sales"),
        line(repository=f"octo-org/{'x' * 101}"),
        line(api_url="ftp://api.github.com"),
        line(api_url="https://api.github.com/ x"),
        line(api_url=f"https://{'x' * 101}"),
        line(airflow=None),
        line(airflow=7),
        line(airflow=["https://airflow.example.com"]),
        line(airflow=""),
        line(airflow="airflow.example.com"),
        line(airflow="ftp://airflow.example.com"),
        line(airflow="https://airflow.example.com/ x"),
        line(airflow="https://airflow.example.com/\n"),
        line(airflow='https://airflow.example.com/"'),
        line(airflow="https://airflow.example.com\\"),
        line(airflow="https://öirflow.example.com"),
        line(airflow=f"https://{'x' * 201}"),
        line().replace('"airflow":"https://airflow.example.com",', ""),
        line(repository=f"{'o' * 41}/sales"),
        line().replace('"repository"', '"repo"'),
        f"\ud800\n{line()}",
        line(environment="\ud800"),
        f"{'x' * 1000}\n{line()}",
        f"{line()}{' ' * 10_000_000}",
    ],
    ids=lambda note: repr(note)[:60],
)
def test_no_marker(listener: Any, note: object) -> None:
    """What no action writes, once and as a whole, is no marker, whatever it is."""
    assert listener.parse_marker(note) is None
