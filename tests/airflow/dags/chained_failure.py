"""Two chained exceptions, with frames in this file and in a helper module."""

from __future__ import annotations

from sales_helpers import total

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def load(day: str) -> float:
    """Fails to load the sales of one day."""
    try:
        return total(["12.50", "n/a"])
    except ValueError as error:
        raise RuntimeError(f"The sales of {day} cannot be loaded") from error


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def chained_failure() -> None:
    @task
    def load_sales() -> float:
        """Fails below a helper of this file and two of the helper module."""
        print("Loading the sales")
        return load("2025-01-31")

    @task
    def publish() -> None:
        """Never runs, because its upstream task fails."""

    load_sales() >> publish()


chained_failure()
