"""`make why`: measure what tools do when something goes wrong, and renew the table of docs/why.md.

`make why CASE=failed TOOL=af` only shows one of them. It uses the Airflow that `make demo
KEEP=true` keeps running, or else starts one.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dev import kept
from dev.airflow import LocalAirflow
from dev.airflow_settings import AIRFLOW_3, ROOT
from dev.bench.install import FOLDER, install, version
from dev.why import page
from dev.why.cases import CASES, DAG_IDS, TOOLS, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow_api import AirflowApi

PAGE = ROOT / "docs" / "why.md"
RESULTS = FOLDER.parent / "why"


def main() -> int:
    """Measure the chosen cases with the chosen tools, print each outcome, and save it."""
    parser = argparse.ArgumentParser(prog="make why", description=__doc__)
    parser.add_argument("--case", choices=CASES, help=" | ".join(CASES), metavar="CASE")
    parser.add_argument("--tool", choices=TOOLS, help=" | ".join(TOOLS), metavar="TOOL")
    parser.add_argument("--table", action="store_true", help="only write the page")
    given = parser.parse_args()
    # A shell starts a background job with SIGINT ignored, and the tools would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not given.table:
        cases = [given.case] if given.case else list(CASES)
        tools = [given.tool] if given.tool else list(TOOLS)
        for tool in tools:
            if environment := TOOLS[tool].environment:
                install(environment)
        with _airflow() as airflow:
            for case in cases:
                for tool in tools:
                    _show(airflow, case, tool)
    if given.table or not (given.case or given.tool):
        page.write(PAGE, page.load(RESULTS))
        print(f"Wrote {PAGE.relative_to(ROOT)}")
    return 0


def _show(airflow: AirflowApi, case: str, tool: str) -> None:
    print(f"\n{case}, {tool}: {CASES[case].title}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    output = RESULTS / f"{case}.{tool}.log"
    outcome = measure(CASES[case], tool, airflow, output)
    print(output.read_text(errors="replace").rstrip())
    right = "right" if CASES[case].right(outcome) else "wrong"
    print(f"=> {page.describe(outcome)} ({right}), after {outcome.seconds:.0f} s", flush=True)
    date = datetime.now(UTC).date().isoformat()
    measured = page.Measurement(date, _version(tool), airflow.version, outcome)
    page.save(RESULTS, case, tool, measured)


def _version(tool: str) -> str:
    """Return the version of a tool; for this action the last commit that changed its code."""
    one = TOOLS[tool]
    if one.environment and one.package:
        return version(one.environment, one.package)
    if tool == "curl":
        return _printed("curl", "--version").split()[1]
    return _printed("git", "log", "-1", "--format=%h", "--", "entrypoint")


def _printed(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def _airflow() -> Iterator[AirflowApi]:
    """Find the Airflow that the demo keeps, or start one for this context."""
    if found := kept.find():
        print(f"Using the Airflow of `make demo KEEP=true` at {found.url}")
        yield found
        return
    with LocalAirflow(AIRFLOW_3, dags=ROOT / "examples" / "dags") as airflow:
        for dag_id in DAG_IDS:
            airflow.wait_for_dag(dag_id)
        yield airflow


if __name__ == "__main__":
    sys.exit(main())
