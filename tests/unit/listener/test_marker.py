"""The listener's parsing of the marker in a run's note."""

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


def marker_line(**changes: Any) -> str:
    return (
        "airflow-dag-run: "
        f"{json.dumps({**MARKER, **changes}, separators=(',', ':'), ensure_ascii=False)}"
    )


@pytest.mark.parametrize(
    ("note", "environment"),
    [
        (marker_line(), None),
        (marker_line(environment="production"), "production"),
        (
            f"Deployed by octocat\n{marker_line()}\n[stopped because its workflow was cancelled]",
            None,
        ),
        (f"x {marker_line()}\r\n{marker_line(environment='a b')}", "a b"),
        (f"{'x' * (1000 - len(marker_line()) - 1)}\n{marker_line()}", None),
        (marker_line(environment="größe 🚀"), "größe 🚀"),
    ],
)
def test_marker_is_found_on_its_own_line_of_any_note(
    listener: Any, note: str, environment: str | None
) -> None:
    assert listener.parse_marker(note) == (*MARKER.values(), environment)


@pytest.mark.parametrize(
    "note",
    [
        None,
        "",
        b"airflow-dag-run: {}",
        marker_line().encode(),
        7,
        "Deployed by octocat",
        f"x {marker_line()}",
        f"{marker_line()}\n{marker_line()}",
        f"{marker_line()}\n{marker_line(commit='a' * 40)}",
        marker_line().replace(",", ",\n"),
        marker_line().replace(",", ", "),
        marker_line(environment=""),
        marker_line(environment="x" * 256),
        marker_line(environment="a\u200bb"),
        marker_line()[:-1],
        "airflow-dag-run: ",
        "airflow-dag-run: null",
        f"airflow-dag-run: {json.dumps([MARKER])}",
        f"airflow-dag-run: {'[' * 900}",
        marker_line(environment=None),
        marker_line(environment=7),
        marker_line(commit=7),
        marker_line(status="success"),
        marker_line(commit=SHA[:12]),
        marker_line(commit=SHA.upper()),
        marker_line(commit=f"{SHA}\n"),
        marker_line(repository="octo-org/sales/../secrets"),
        marker_line(repository="octo-org/sales\n"),
        marker_line(repository="octo-org"),
        marker_line(repository="octo-örg/sales"),
        marker_line(repository=f"octo-org/{'x' * 101}"),
        marker_line(api_url="ftp://api.github.com"),
        marker_line(api_url="https://api.github.com/ x"),
        marker_line(api_url=f"https://{'x' * 101}"),
        marker_line(airflow=None),
        marker_line(airflow=7),
        marker_line(airflow=["https://airflow.example.com"]),
        marker_line(airflow=""),
        marker_line(airflow="airflow.example.com"),
        marker_line(airflow="ftp://airflow.example.com"),
        marker_line(airflow="https://airflow.example.com/ x"),
        marker_line(airflow="https://airflow.example.com/\n"),
        marker_line(airflow='https://airflow.example.com/"'),
        marker_line(airflow="https://airflow.example.com\\"),
        marker_line(airflow="https://öirflow.example.com"),
        marker_line(airflow=f"https://{'x' * 201}"),
        marker_line().replace('"airflow":"https://airflow.example.com",', ""),
        marker_line(repository=f"{'o' * 41}/sales"),
        marker_line().replace('"repository"', '"repo"'),
        f"\ud800\n{marker_line()}",
        marker_line(environment="\ud800"),
        f"{'x' * 1000}\n{marker_line()}",
        f"{marker_line()}{' ' * 10_000_000}",
    ],
    ids=lambda note: repr(note)[:60],
)
def test_missing_double_or_damaged_marker_is_ignored(listener: Any, note: object) -> None:
    assert listener.parse_marker(note) is None
