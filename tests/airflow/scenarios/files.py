"""DAG files that do not import, in Airflow's folder for as long as a play lasts."""

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
    from tests.airflow.scenario import Stage

_AFTER_THE_LAST_PARSING = 20.0
"""Seconds."""
_NEVER_PARSED = '''"""A file with an Airflow DAG that never existed: the file was never parsed."""

import no_such_package_anywhere
'''
_PARSED = '''"""A file with an Airflow DAG, until somebody breaks it."""

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


def never_parsed(stage: Stage) -> StepResult:
    with dag_file(stage, "never_parsed.py", _NEVER_PARSED):
        until(lambda: is_import_error(stage.airflow, "never_parsed.py"), "an import error")
        if stage.airflow.api == "/api/v1":
            unseen = stage.credential(ONLY_TASKS)
            stage.begin("no import errors", lambda stage: stage.refused("never_parsed", **unseen))
        result = stage.refused("never_parsed", stage.job(stage.checkout))
        if stage.airflow.api == "/api/v1":
            stage.over("no import errors")
    return result


def broken_later(stage: Stage) -> StepResult:
    airflow = stage.airflow
    with dag_file(stage, "reporting.py", _PARSED):
        airflow.wait_for_dag("weekly_report")
        with dag_file(stage, "reporting.py", _BROKEN):
            until(lambda: is_import_error(airflow, "reporting.py"), "an import error")
            until(
                lambda: get(airflow, "/dags/weekly_report")["has_import_errors"],
                "known to be broken",
            )
            return stage.refused("weekly_report", stage.job(stage.checkout))


@contextmanager
def dag_file(stage: Stage, name: str, text: str) -> Iterator[None]:
    """A DAG file that is there for a while, in Airflow's folder and in the checkout; never half of
    it.
    """
    folders = stage.airflow.dags, stage.checkout / stage.airflow.dags.name
    for folder in folders:
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(text)
        # Airflow parses again what is younger than the end of its last parsing, and shows a DAG
        # before that end is noted.
        soon = time.time() + _AFTER_THE_LAST_PARSING
        os.utime(unfinished, (soon, soon))
        os.replace(unfinished, folder / name)  # noqa: PTH105 - as atomic as its name says
    try:
        yield
    finally:
        (stage.airflow.dags / name).unlink(missing_ok=True)


def is_import_error(airflow: LocalAirflow, name: str) -> bool:
    errors = get(airflow, "/importErrors?limit=100")["import_errors"]
    return any(error["filename"].endswith(name) for error in errors)
