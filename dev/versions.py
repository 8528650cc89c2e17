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

`make versions` starts a real Airflow of each version (PostgreSQL, LocalExecutor) and runs the whole
action against it, with one suite of scenarios for all: success, failure, resume, attach, restart,
refusals, links, dates, XComs, dry runs, a cancel, a lost answer, commits of a git bundle, scheduled
runs. It writes this table. A scenario that a version cannot pass checks what the step says instead;
that is the last column. A scenario about something that a version does not have is left out and not
counted. A workflow does this every week.

| Airflow | Python | scenarios | what it cannot do, and what the step says then |
|---|---|---|---|
"""
_TAIL = """
Left out before the version that brought it: params with a schema (2.2), mapped tasks (2.3), an own
pattern for run ids that Airflow names in its refusal and git bundles (3.0), `allowed_run_types`
(3.2), loops, retry policies and draining (3.4). Before 2.0 Airflow has no stable REST API. [The
notes](notes/airflow-versions.md) say what differs, as measured.
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
