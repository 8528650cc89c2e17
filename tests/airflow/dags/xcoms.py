"""Tasks with XComs of every kind: dict, list, Unicode, mapped, custom key, and 1.5 MB.

And some that do not run: on the branch not taken, skipped, and mapped over nothing.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import dag, task, task_group
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task, task_group
    from airflow.exceptions import AirflowSkipException


def not_run() -> None:
    """Define tasks of which none runs, or not all instances do."""

    @task.branch
    def choose() -> list[str]:
        """Leave `other` out."""
        return []

    @task
    def other() -> int:
        return 1

    @task
    def no_shops() -> list[str]:
        return []

    @task
    def each(shop: str) -> str:
        return shop

    @task_group
    def shop_group(shop: str) -> None:
        each.override(task_id="in_group")(shop)

    @task
    def some(number: int) -> int:
        """Skip one of its instances."""
        if number == 2:
            raise AirflowSkipException("no sales")
        return number

    choose() >> other()
    shops = no_shops()
    each.expand(shop=shops)
    shop_group.expand(shop=shops)
    some.expand(number=[1, 2, 3])


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def xcoms() -> None:
    @task
    def as_dict() -> dict[str, Any]:
        return {
            "rows": 12,
            "share": 0.5,
            "ok": True,
            "nothing": None,
            "nested": {"list": [1, "two"]},
        }

    @task
    def as_list() -> list[Any]:
        return [1, "two", None, {"three": 3}]

    @task
    def as_unicode() -> str:
        """A string beyond ASCII and the basic plane, with quotes and a line break."""
        return 'Grüße, 世界 🚀 "quoted"\nsecond line'

    @task
    def nothing() -> None: ...

    @task
    def mapped(number: int) -> dict[str, int]:
        return {"number": number, "square": number**2}

    @task
    def custom_key(ti: Any = None) -> None:
        ti.xcom_push(key="row_count", value=42)

    @task
    def large() -> str:
        """Larger than a GitHub output may be."""
        return "0123456789abcdef" * 100_000

    not_run()
    as_dict()
    as_list()
    as_unicode()
    nothing()
    mapped.expand(number=[1, 2, 3])
    custom_key()
    large()


xcoms()
