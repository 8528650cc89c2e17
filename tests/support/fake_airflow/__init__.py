"""A fake Airflow: a socket server with the API of 2.11.2 or 3.3.2 and scripted faults.

"2.5.1" and "3.4.0b2" differ from these in what the action has rules for: a note, a refused conf,
loops (docs/notes/airflow-versions.md).

It exists for tests that need faults; `tests/contract/` compares it with the real ones. A run moves
on when it is polled (each GET of it, each line of /wait), never by time, so no test has to sleep.

    task = FakeTask("extract", ends="failed")
    with FakeAirflow("3.3.2", dags=[FakeDag("nightly_sales", tasks=(task,))]) as fake:
        fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
        ...
        assert [run.state for run in fake.runs("nightly_sales")] == ["failed"]

A task's states follow its script, by the number of polls, or calls of the test:

    FakeTask(
        "load",
        pool="tiny",
        states={2: "scheduled", 5: "running", 7: "up_for_retry", 8: "running", 9: "ends"},
        ends=("up_for_retry", "failed"),
        retries=1,
        log=lambda number: (f"row {n}" for n in range(200_000)),
        error=FakeError("RuntimeError", "no sales", cause=FakeError("KeyError", "'amount'")),
    )
    fake.set_task_state("nightly_sales", run_id, "load", "failed")

Further scripting: `fake.deny("logs", role="viewer")`, `fake.health("scheduler", "unhealthy")`,
`fake.pause(...)`, `FakeDag(broken=...)`, `FakeDag(max_active_runs=1)`, `FakeAirflow(pools={"tiny":
1})` (occupied slots are counted as in Airflow), and earlier runs: `fake.create_run(...,
state="success", took=840)`. New code: `fake.deploy(FakeDag(...))`, `fake.parse(dag_id)`.
Afterwards: `fake.received(...)`, `fake.traffic("GET", "/taskInstances")`, `fake.runs(...)`. A test
that uses a filter which Airflow knows and this server lacks fails.
"""

from tests.support.fake_airflow.faults import Fault
from tests.support.fake_airflow.messages import RecordedRequest, Traffic
from tests.support.fake_airflow.models import KILLED, FakeDag, FakeError, FakeQuestion, FakeTask
from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance
from tests.support.fake_airflow.server import FakeAirflow, OtherVersion, Version

__all__ = [
    "KILLED",
    "FakeAirflow",
    "FakeDag",
    "FakeError",
    "FakeQuestion",
    "FakeRun",
    "FakeTask",
    "FakeTaskInstance",
    "Fault",
    "OtherVersion",
    "RecordedRequest",
    "Traffic",
    "Version",
]
