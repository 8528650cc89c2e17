"""A run that waits for human input (Airflow 3.1 and later; defines nothing on Airflow 2)."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.hitl import HITLOperator
    from airflow.sdk import dag
except ImportError:  # Airflow 2, and Airflow 3.0
    pass
else:

    @dag(schedule=None, catchup=False, default_args={"retries": 0})
    def human_input() -> None:
        HITLOperator(
            task_id="approve",
            subject="Publish the sales of January?",
            body="12 rows are new.",
            options=["Publish", "Reject"],
        )

    human_input()
