"""`make versions`: try the action on a real Airflow of each version, and renew docs/versions.md.

It runs `tests/versions` once for each version; the Airflows are installed on first use. With
VERSION it renews only the row of that version. It must not know what the scenarios do.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dev.airflow_settings import RELEASES, ROOT

PAGE = ROOT / "docs" / "versions.md"
_HEAD = """\
# Airflow from {first} to {last}

The action supports every Airflow from 2.0 to 3.4, also the releases between those in the table of
tests below. 3.4 was tried as a beta, so its release may differ.

## What needs a newer Airflow

On an older Airflow, an input of this table is an error before the trigger, unless the last column
says otherwise. The other inputs need no certain version.

| input or feature | since | on an older Airflow |
|---|---|---|
| `if_run_exists: resume` after skipped or interrupted tasks | after 2.0 | error for such a run |
| `on_cancel: cancel`, `on_timeout: cancel` | 2.2 | the run goes on |
| `wait_for_dag`, if Airflow knows the DAG already | 2.3 | |
| the log of a mapped task | 2.4 | a mapped task fails without its reason |
| `note` | 2.5 | |
| `data_interval_start`, `data_interval_end` | 2.9 | |
| the listener of `report_to` | 2.9 | before 2.5 `report_to` is an error |
| `xcom` | 2.10 | |
| `run_after` | 3.0 | |
| `expect_commit` (with a git bundle) | 3.0 | |
| the state of the run as a stream | 3.1 | the run is polled |
| a human's input as the reason why a run is stuck | 3.1 | not shown |
| `partition_key` | 3.2 | |
| `if_paused: drain` | 3.4 | |

[Troubleshooting](troubleshooting.md) explains the errors, mostly below the title [This Airflow does
not know …](troubleshooting.md#this-airflow-does-not-know-).

## How each version is tried

`make versions` starts a real Airflow of each version (PostgreSQL, LocalExecutor) and runs the whole
action against it, with one suite of scenarios for all: success, failure, resume, attach, restart,
refusals, links, dates, XComs, dry runs, a cancel, a lost answer, commits of a git bundle, scheduled
runs. It writes this table, and a workflow does this every week. All other tests of this action run
on Airflow 2.11.2 and 3.3.2, so these are not in the table.

If a version cannot pass a scenario, the scenario checks what the step says instead; the last column
has these messages. A scenario about something that a version does not have is left out and not
counted. So "nothing" means that no scenario needed such a message, and not that this version has
everything of the table above.

| Airflow | Python | scenarios | what the scenarios found missing, and what the step says then |
|---|---|---|---|
"""
_TAIL = """
These scenarios are left out before the version that brought the feature: params with a schema
(2.2), mapped tasks (2.3), git bundles, and a pattern for run ids that Airflow names in its refusal
(3.0), `allowed_run_types` (3.2), loops, retry policies and draining (3.4). Before 2.0 Airflow has
no stable REST API. [The notes](notes/airflow-versions.md) say what differs, as measured.
"""


def main() -> int:
    """Try the chosen versions one after the other, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make versions", description=__doc__)
    parser.add_argument("version", nargs="*", help="a release of the table; all if left out")
    names = [release.name for release in RELEASES]
    chosen = parser.parse_args().version or names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"unknown: {', '.join(unknown)}. Known: {', '.join(names)}")
    reports = [_try(name) for name in names if name in chosen]
    rows = _rows(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "")
    rows |= {str(report["version"]): _row(report) for report in reports}
    head = _HEAD.format(first=names[0], last=names[-1])
    PAGE.write_text(
        head + "".join(f"{rows[name]}\n" for name in names if name in rows) + _TAIL,
        encoding="utf-8",
    )
    failed = [str(report["version"]) for report in reports if report["failed"]]
    print(f"{len(reports) - len(failed)} of {len(reports)} versions passed; see {PAGE.name}")
    for name in failed:
        print(f"failed: {name}")
    return 1 if failed else 0


def _try(name: str) -> dict[str, Any]:
    """Run the scenarios against one version, and return its report."""
    print(f"Airflow {name}", flush=True)
    with tempfile.TemporaryDirectory() as results:
        tests = [sys.executable, "-m", "pytest", "--quiet", "tests/versions"]
        env = os.environ | {"AIRFLOW_VERSIONS": name, "VERSIONS_RESULTS": results, "CI": "true"}
        exit_code = subprocess.run(tests, cwd=ROOT, env=env, check=False).returncode
        file = Path(results) / f"{name}.json"
        nothing = {"version": name, "python": "", "passed": 0, "failed": ["start"], "limits": []}
        report: dict[str, Any] = json.loads(file.read_text()) if file.exists() else nothing
    if exit_code and not report["failed"]:
        report["failed"] = ["other tests"]
    return report


def _row(report: dict[str, Any]) -> str:
    total = report["passed"] + len(report["failed"])
    passed = f"{report['passed']} of {total}"
    if report["failed"]:
        passed += f", failed: {', '.join(report['failed'])}"
    limits = "; ".join(f"{feature}: “{sentence}”" for feature, sentence in report["limits"])
    return f"| {report['version']} | {report['python']} | {passed} | {limits or 'nothing'} |"


def _rows(page: str) -> dict[str, str]:
    """Return the rows of an earlier page by version."""
    return {
        row.split("|")[1].strip(): row for row in re.findall(r"^\| \d[^\n]*\|$", page, re.MULTILINE)
    }


if __name__ == "__main__":
    sys.exit(main())
