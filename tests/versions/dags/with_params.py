"""A DAG whose params have a schema. Airflow 2.2 and later check a conf against it."""

from __future__ import annotations

from everywhere import OPTIONS, dag, task

try:
    from airflow.sdk import Param
except ImportError:  # Airflow 2
    try:
        from airflow.models.param import Param
    except ImportError:  # before 2.2
        Param = None

if Param is not None:

    @dag(
        "with_params",
        params={
            "days": Param(7, type="integer", minimum=1, maximum=31),
            "region": Param("EMEA", type="string", enum=["APAC", "EMEA"]),
        },
        **OPTIONS,
    )
    def with_params() -> None:
        @task
        def show() -> None: ...

        show()

    with_params_dag = with_params()
