"""DAGs that every Airflow can run: success, failure, a failure once, a long run, a pause."""

from __future__ import annotations

import time
from typing import Any

from everywhere import OPTIONS, current_run, dag, task
from executions import is_open, record


@dag("plain_success", **OPTIONS)
def plain_success() -> None:
    @task
    def succeed() -> dict[str, Any]:
        """Return the conf as an XCom."""
        return {"conf": dict(current_run().conf or {})}

    succeed()


@dag("plain_failure", **OPTIONS)
def plain_failure() -> None:
    @task
    def extract() -> None: ...

    @task
    def transform() -> None:
        raise RuntimeError("no sales for APAC")

    @task
    def load() -> None:
        """Never runs."""

    extract() >> transform() >> load()


@dag("plain_unstable", **OPTIONS)
def plain_unstable() -> None:
    @task
    def prepare() -> None:
        """Must not run again in a resumed run."""
        record("prepare", current_run().run_id)

    @task
    def wobble() -> None:
        """Fails the first time."""
        if record("wobble", current_run().run_id) == 1:
            raise RuntimeError("not today")

    @task
    def publish() -> None:
        record("publish", current_run().run_id)

    prepare() >> wobble() >> publish()


@dag("plain_slow", **OPTIONS)
def plain_slow() -> None:
    @task
    def wait() -> None:
        """Wait until the test opens the gate, two minutes at most."""
        for _ in range(240):
            if is_open(current_run().run_id):
                return
            time.sleep(0.5)

    wait()


@dag("plain_paused", is_paused_upon_creation=True, **OPTIONS)
def plain_paused() -> None:
    @task
    def succeed() -> None: ...

    succeed()


@dag("plain_untouched", **OPTIONS)
def plain_untouched() -> None:
    @task
    def succeed() -> None:
        """Never runs: only refused steps name this DAG."""

    succeed()


plain_success_dag = plain_success()
plain_failure_dag = plain_failure()
plain_unstable_dag = plain_unstable()
plain_slow_dag = plain_slow()
plain_paused_dag = plain_paused()
plain_untouched_dag = plain_untouched()
