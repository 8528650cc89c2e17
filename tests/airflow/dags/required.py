"""A task group with a plain and a mapped task, and a cleanup that waits for the test.

The conf says what `load` does (`mode`) and over what `each` is mapped (`shops`).
"""

from __future__ import annotations

from datetime import timedelta

from executions import is_open

try:
    from airflow.sdk import dag, get_current_context, task, task_group
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task, task_group
    from airflow.exceptions import AirflowSkipException
    from airflow.operators.python import get_current_context


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def required() -> None:
    @task_group
    def main() -> None:
        @task(retries=1, retry_delay=timedelta(seconds=2))
        def load() -> None:
            context = get_current_context()
            mode = context["dag_run"].conf["mode"]
            if mode == "skipped":
                raise AirflowSkipException("no new sales")
            if mode == "failed" or (mode == "retried" and context["ti"].try_number == 1):
                raise RuntimeError("no sales for APAC")

        @task
        def shops() -> list[str]:
            return list(get_current_context()["dag_run"].conf["shops"])

        @task
        def each(shop: str) -> str:
            return shop.upper()

        load()
        each.expand(shop=shops())

    @task.sensor(poke_interval=5, timeout=120, mode="reschedule", trigger_rule="all_done")
    def cleanup(run_id: str | None = None) -> bool:
        return is_open(run_id)

    main() >> cleanup()


required()
