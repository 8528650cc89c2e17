"""A mapped task of which one instance fails (Airflow 2.3 and later)."""

from __future__ import annotations

from everywhere import OPTIONS, dag, task


@task
def load(shop: str) -> str:
    """Fail for one shop."""
    if shop == "Bergen":
        raise ValueError("no shop in Bergen")
    return shop.upper()


if hasattr(load, "expand"):

    @dag("mapped_failure", **OPTIONS)
    def mapped_failure() -> None:
        load.expand(shop=["Aarhus", "Bergen", "Celle"])

    @dag("mapped_success", **OPTIONS)
    def mapped_success() -> None:
        load.expand(shop=["Aarhus", "Celle"])

    mapped_failure_dag = mapped_failure()
    mapped_success_dag = mapped_success()
