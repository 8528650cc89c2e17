"""A DAG that fails: one task succeeds, one raises a chained exception, one never runs.

Works unchanged on Airflow 2.11 and 3.
"""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


class SalesFileError(Exception):
    """A sales file cannot be read."""


def read_amount(line: str) -> int:
    """Return the amount at the end of a line `shop;amount`."""
    try:
        return int(line.rpartition(";")[2])
    except ValueError as error:
        raise SalesFileError(f"cannot read the amount in line {line!r}") from error


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def failing_sales() -> None:
    """Fail in the second of three tasks."""

    @task
    def extract() -> list[str]:
        """Return two lines; the second one is invalid."""
        return ["Lyon;870", "Oslo;n/a"]

    @task
    def transform(lines: list[str]) -> int:
        """Add up the amounts; fails at the invalid line."""
        print(f"Reading {len(lines)} lines")
        return sum(read_amount(line) for line in lines)

    @task
    def load(amount: int) -> None:
        """Never run: Airflow marks it `upstream_failed`."""
        print(f"Storing {amount}")

    load(transform(extract()))


failing_sales()
