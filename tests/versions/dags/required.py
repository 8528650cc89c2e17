"""DAGs whose cleanup lasts until a test opens the gate, long after their tasks have decided."""

from __future__ import annotations

import time
from datetime import timedelta

from everywhere import OPTIONS, current_run, dag, task
from executions import is_open, record

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # before 3.2
    from airflow.exceptions import AirflowFailException, AirflowSkipException


def cleanup_of(upstream: object) -> None:
    """Add a task that runs after another one, whatever became of it, and beside it a short one."""

    @task(trigger_rule="all_done")
    def cleanup() -> None:
        """Wait until the test opens the gate, two minutes at most."""
        for _ in range(240):
            if is_open(current_run().run_id):
                return
            time.sleep(0.5)

    upstream >> cleanup()


@dag("required_plain", **OPTIONS)
def required_plain() -> None:
    @task(retries=1, retry_delay=timedelta(seconds=3))
    def load() -> None:
        """Succeed, fail at the first or each try, fail without a retry, or be skipped."""
        run = current_run()
        mode, count = run.conf["mode"], record("load", run.run_id)
        if mode == "skipped":
            raise AirflowSkipException("no new sales")
        if mode == "gives up":
            raise AirflowFailException("the key expired")
        if mode == "failed" or (mode == "retried" and count == 1):
            raise RuntimeError("no sales for APAC")

    cleanup_of(load())


@dag("required_mapped", **OPTIONS)
def required_mapped() -> None:
    @task
    def shops() -> list[str]:
        return list(current_run().conf["shops"])

    @task
    def load(shop: str) -> str:
        if shop == "Bergen":
            raise ValueError("no shop in Bergen")
        return shop.upper()

    cleanup_of(load.expand(shop=shops()))


required_plain_dag = required_plain()
if hasattr(task(lambda: None), "expand"):
    required_mapped_dag = required_mapped()
