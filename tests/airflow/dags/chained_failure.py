"""A task whose helper module raises, and which raises something else from that: two exceptions, and
frames in two files.
"""

from __future__ import annotations

from sales_helpers import total

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def load(day: str) -> float:
    """Loads the sales of one day, in vain."""
    try:
        return total(["12.50", "n/a"])
    except ValueError as error:
        raise RuntimeError(f"The sales of {day} cannot be loaded") from error


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def chained_failure() -> None:
    @task
    def load_sales() -> float:
        """Fails below a helper of its own file and two of the helper module."""
        print("Loading the sales")
        return load("2025-01-31")

    @task
    def publish() -> None:
        """Never runs, because its upstream task fails."""

    load_sales() >> publish()


chained_failure()
