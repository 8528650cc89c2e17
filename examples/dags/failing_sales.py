"""A run that fails: one task succeeds, one raises a chained exception, one is never reached.

Works unchanged on Airflow 2.11 and 3.
"""

from __future__ import annotations

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


class SalesFileError(Exception):
    """A file of sales cannot be used."""


def read_amount(line: str) -> int:
    """The amount at the end of a line `shop;amount`."""
    try:
        return int(line.rpartition(";")[2])
    except ValueError as error:
        raise SalesFileError(f"cannot read the amount in line {line!r}") from error


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def failing_sales() -> None:
    """Fails in the middle."""

    @task
    def extract() -> list[str]:
        """Two lines, of which the second is spoilt."""
        return ["Lyon;870", "Oslo;n/a"]

    @task
    def transform(lines: list[str]) -> int:
        """Fails on the spoilt line."""
        print(f"Reading {len(lines)} lines")
        return sum(read_amount(line) for line in lines)

    @task
    def load(amount: int) -> None:
        """Never reached: becomes `upstream_failed`."""
        print(f"Storing {amount}")

    load(transform(extract()))


failing_sales()
