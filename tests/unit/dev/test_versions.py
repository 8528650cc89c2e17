"""The table of `make versions`, and the list of its workflow."""

from __future__ import annotations

from typing import Any

import yaml

from dev.airflow_settings import AIRFLOW_2, AIRFLOW_3, RELEASES, ROOT
from dev.versions import _row, _rows

REPORT: dict[str, Any] = {
    "version": "2.5.1",
    "python": "3.9",
    "passed": 19,
    "failed": [],
    "limits": [["xcom", "This Airflow does not know xcom"]],
}
ROW = "| 2.5.1 | 3.9 | 19 of 19 | xcom: “This Airflow does not know xcom” |"


def test_a_row_says_what_passed_and_what_the_version_cannot_do() -> None:
    assert _row(REPORT) == ROW
    failed = REPORT | {"passed": 17, "failed": ["cancel", "link"], "limits": []}
    assert _row(failed) == "| 2.5.1 | 3.9 | 17 of 19, failed: cancel, link | nothing |"


def test_the_rows_of_the_page_are_found_again() -> None:
    page = f"| Airflow | x |\n|---|---|\n| 2.0.2 | 3.8 | 1 of 1 | nothing |\n{ROW}\n\nMore.\n"

    assert _rows(page) == {"2.0.2": "| 2.0.2 | 3.8 | 1 of 1 | nothing |", "2.5.1": ROW}


def test_the_workflow_tries_every_release() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "versions.yml").read_text())

    tried = workflow["jobs"]["version"]["strategy"]["matrix"]["airflow"]
    assert tried == [release.name for release in RELEASES]


def test_a_release_is_a_number_whatever_follows_it() -> None:
    known = {version.name: version.release for version in (*RELEASES, AIRFLOW_2, AIRFLOW_3)}

    assert known["2.5.1"] == (2, 5, 1)
    assert known["3.4.0b2"] == (3, 4, 0)
    assert known["2.11.2"] == (2, 11, 2)
    assert list(known.values())[:-2] == sorted(release.release for release in RELEASES)


def test_the_page_has_a_row_for_each_release_and_no_failure() -> None:
    rows = _rows((ROOT / "docs" / "versions.md").read_text(encoding="utf-8"))

    assert list(rows) == [release.name for release in RELEASES]
    assert [name for name, row in rows.items() if "failed" in row.split("|")[3]] == []
