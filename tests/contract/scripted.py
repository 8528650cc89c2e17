"""The scripted versions of the DAGs in `tests/airflow/dags` and `examples/dags`."""

from __future__ import annotations

from tests.support.fake_airflow import KILLED, FakeDag, FakeError, FakeQuestion, FakeTask

REGION = {
    "type": "string",
    "enum": ["AMER", "APAC", "EMEA"],
    "default": "EMEA",
    "description": "Whose sales to add up",
}
SHOPS = [
    {"shop": "Cairo", "amount": 450},
    {"shop": "Lyon", "amount": 870},
    {"shop": "Oslo", "amount": 690},
]
SECONDS = {"type": "number", "minimum": 0}
FILES = "/opt/airflow/dags"
CHAIN = FakeError(
    "RuntimeError",
    "The sales of 2025-01-31 cannot be loaded",
    frames=(
        (f"{FILES}/chained_failure.py", 27, "load_sales"),
        (f"{FILES}/chained_failure.py", 18, "load"),
    ),
    cause=FakeError(
        "ValueError",
        "Not an amount: 'n/a'",
        frames=(
            (f"{FILES}/chained_failure.py", 16, "load"),
            (f"{FILES}/sales_helpers.py", 15, "total"),
            (f"{FILES}/sales_helpers.py", 15, "<genexpr>"),
            (f"{FILES}/sales_helpers.py", 9, "parse_amount"),
        ),
    ),
)
LOCKED_OUT = (
    FakeError("ConnectionError", "The partner does not answer"),
    FakeError("PermissionError", "The partner has locked us out"),
)

DAGS = (
    FakeDag(
        "quick_success",
        tasks=(FakeTask("succeed", log=("It works",), xcom={"return_value": "done"}),),
    ),
    FakeDag(
        "quick_failure",
        tasks=(FakeTask("fail", ends="failed", error=FakeError("ValueError", "It does not work")),),
    ),
    FakeDag("paused_dag", tasks=(FakeTask("succeed"),), paused=True),
    FakeDag("tagged_smoke", (FakeTask("succeed"),), file="tagged.py", tags=("tagged", "smoke")),
    FakeDag(
        "tagged_weekly",
        (FakeTask("succeed"),),
        file="tagged.py",
        tags=("tagged", "smoke, weekly", "Zoë & co"),
    ),
    FakeDag(
        "unstable", tasks=(FakeTask("prepare"), FakeTask("wobble", ends=("failed", "success")))
    ),
    FakeDag("empty_many", tasks=tuple(FakeTask(f"empty_{number:02}") for number in range(60))),
    FakeDag(
        "slow_sales",
        tasks=(FakeTask("crunch"),),
        polls=1_000_000,
        params_schema={"seconds": SECONDS | {"default": 60}},
    ),
    FakeDag(
        "nightly_sales",
        tasks=(
            FakeTask("shops", xcom={"return_value": SHOPS}),
            *(
                FakeTask("add_up", map_index=index, xcom={"return_value": SHOPS[index]["amount"]})
                for index in range(3)
            ),
            FakeTask("total", xcom={"return_value": 2010}),
        ),
        params_schema={"region": REGION},
    ),
    FakeDag(
        "chained_failure",
        tasks=(
            FakeTask("load_sales", ends="failed", log=("Loading the sales",), error=CHAIN),
            FakeTask("publish", ends="upstream_failed"),
        ),
    ),
    FakeDag(
        "retries_exhausted",
        tasks=(
            FakeTask(
                "call_partner",
                ends=("up_for_retry", "failed"),
                states={2: "running", 3: "ends", 4: "running"},
                retries=1,
                error=LOCKED_OUT,
            ),
        ),
        polls=5,
    ),
    FakeDag(
        "worker_killed",
        tasks=(
            FakeTask(
                "devour", ends="failed", log=("Reading everything into memory",), error=KILLED
            ),
        ),
    ),
    FakeDag(
        "too_slow",
        tasks=(FakeTask("crunch"), FakeTask("publish")),
        dag_run_timeout=10,
        ends="timeout",
    ),
    FakeDag("one_at_a_time", tasks=(FakeTask("occupy"),), max_active_runs=1),
    FakeDag(
        "full_pool",
        tasks=(FakeTask("occupy", pool="tiny", states={2: "running"}),),
        polls=1_000_000,
        params_schema={"seconds": SECONDS | {"default": 5}},
    ),
)
ONLY_3 = (
    FakeDag(
        "human_input",
        tasks=(
            FakeTask(
                "approve",
                operator="HITLOperator",
                states={2: "running", 3: "awaiting_input"},
                question=FakeQuestion(
                    "Publish the sales of January?", ("Publish", "Reject"), "12 rows are new."
                ),
            ),
        ),
        polls=1_000_000,
    ),
)
