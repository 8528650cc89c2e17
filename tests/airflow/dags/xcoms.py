"""Tasks with XComs of every kind: dict, list, Unicode, mapped, custom key, and 1.5 MB."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


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

    as_dict()
    as_list()
    as_unicode()
    nothing()
    mapped.expand(number=[1, 2, 3])
    custom_key()
    large()


xcoms()
