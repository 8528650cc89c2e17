"""A DAG whose params have a schema, which Airflow checks at the trigger."""

from __future__ import annotations

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Param


@dag(
    schedule=None,
    catchup=False,
    params={
        "days": Param(7, type="integer", minimum=1, maximum=31, description="How far to look back"),
        "region": Param("EMEA", type="string", enum=["APAC", "EMEA", "LATAM"]),
        "customer": Param(type="string", minLength=1),
    },
    default_args={"retries": 0},
)
def typed_params() -> None:
    @task
    def show(params: dict[str, object] | None = None) -> None:
        print(params)

    show()


typed_params()
