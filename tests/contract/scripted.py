"""The DAGs of `tests/airflow/dags` and `examples/dags` that the contract speaks of, as the scripted Airflow has them."""

from __future__ import annotations

from tests.support.fake_airflow import FakeDag, FakeTask

REGION = {"type": "string", "enum": ["AMER", "APAC", "EMEA"], "default": "EMEA"}

DAGS = (
    FakeDag("quick_success", tasks=(FakeTask("succeed", log=("It works",), xcom={"return_value": "done"}),)),
    FakeDag("quick_failure", tasks=(FakeTask("fail", ends="failed", error=("ValueError", "It does not work")),)),
    FakeDag("paused_dag", tasks=(FakeTask("succeed"),), paused=True),
    FakeDag("unstable", tasks=(FakeTask("prepare"), FakeTask("wobble", ends=("failed", "success")))),
    FakeDag("empty_many", tasks=tuple(FakeTask(f"empty_{number:02}") for number in range(60))),
    FakeDag(
        "slow_sales",
        tasks=(FakeTask("crunch"),),
        looks=1_000_000,
        params_schema={"seconds": {"type": "number", "minimum": 0, "default": 60}},
    ),
    FakeDag(
        "nightly_sales",
        tasks=(
            FakeTask("shops"),
            *(FakeTask("add_up", map_index=index) for index in range(3)),
            FakeTask("total", xcom={"return_value": 2010}),
        ),
        params_schema={"region": REGION},
    ),
)
