"""DAG files that do not import, in Airflow's folder during a scenario."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.airflow.job import get, until
from tests.airflow.scenarios.users import ONLY_TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow import LocalAirflow
    from dev.runner import StepResult
    from tests.airflow.scenario import ScenarioRunner

_AFTER_THE_LAST_PARSING = 20.0  # seconds
_NEVER_PARSED = '''"""A file with an Airflow DAG that never existed: the file was never parsed."""

import no_such_package_anywhere
'''
_PARSED = '''"""A file with an Airflow DAG, until a broken version replaces it."""

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


def columns():
    return ["day", "amount"]


@dag(schedule=None, catchup=False)
def weekly_report():
    @task
    def render():
        print("Rendered")

    render()


columns()
weekly_report()
'''
_BROKEN = _PARSED.replace(
    'return ["day", "amount"]', 'raise LookupError("The column amount is gone")'
)


def never_parsed(scenarios: ScenarioRunner) -> StepResult:
    with dag_file(scenarios, "never_parsed.py", _NEVER_PARSED):
        until(lambda: is_import_error(scenarios.airflow, "never_parsed.py"), "an import error")
        if scenarios.airflow.api == "/api/v1":
            unseen = scenarios.credential(ONLY_TASKS)
            scenarios.begin(
                "no import errors", lambda scenarios: scenarios.refused("never_parsed", **unseen)
            )
        result = scenarios.refused("never_parsed", scenarios.job(scenarios.checkout))
        if scenarios.airflow.api == "/api/v1":
            scenarios.wait_until_done("no import errors")
    return result


def broken_later(scenarios: ScenarioRunner) -> StepResult:
    airflow = scenarios.airflow
    with dag_file(scenarios, "reporting.py", _PARSED):
        airflow.wait_for_dag("weekly_report")
        with dag_file(scenarios, "reporting.py", _BROKEN):
            until(lambda: is_import_error(airflow, "reporting.py"), "an import error")
            until(
                lambda: get(airflow, "/dags/weekly_report")["has_import_errors"],
                "known to be broken",
            )
            return scenarios.refused("weekly_report", scenarios.job(scenarios.checkout))


def broken_with_tag(scenarios: ScenarioRunner) -> StepResult:
    airflow = scenarios.airflow
    parsed, broken = (
        text.replace("weekly_report", "weekly_tagged").replace(
            "catchup=False", 'catchup=False, tags=["weekly"]'
        )
        for text in (_PARSED, _BROKEN)
    )
    with dag_file(scenarios, "tagged_later.py", parsed):
        airflow.wait_for_dag("weekly_tagged")
        with dag_file(scenarios, "tagged_later.py", broken):
            until(
                lambda: (
                    is_import_error(airflow, "tagged_later.py")
                    and get(airflow, "/dags/weekly_tagged")["has_import_errors"]
                ),
                "known to be broken",
            )
            return scenarios.refused("", dags="quick_success\ntag:weekly")


@contextmanager
def dag_file(scenarios: ScenarioRunner, name: str, text: str) -> Iterator[None]:
    """Put a DAG file into Airflow's folder and the checkout, and remove it from the folder."""
    folders = scenarios.airflow.dags, scenarios.checkout / scenarios.airflow.dags.name
    for folder in folders:
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(text)
        # Airflow parses a file again if it is newer than the end of the last parsing, and shows a
        # DAG before it has recorded that end.
        soon = time.time() + _AFTER_THE_LAST_PARSING
        os.utime(unfinished, (soon, soon))
        os.replace(unfinished, folder / name)  # noqa: PTH105 - as atomic as its name says
    try:
        yield
    finally:
        (scenarios.airflow.dags / name).unlink(missing_ok=True)


def is_import_error(airflow: LocalAirflow, name: str) -> bool:
    errors = get(airflow, "/importErrors?limit=100")["import_errors"]
    return any(error["filename"].endswith(name) for error in errors)
