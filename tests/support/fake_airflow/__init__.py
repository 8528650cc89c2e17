"""A scripted Airflow: a real socket server on 127.0.0.1 that speaks as 2.11.2 or as 3.3.2 and goes
wrong on demand.

It exists only where faults must be scripted; `tests/contract/` holds it to the real ones. A run
moves on by being looked at (each GET of it, each line of /wait), never by time, so no test has to
sleep.

    with FakeAirflow("3.3.2", dags=[FakeDag("nightly_sales", tasks=(FakeTask("extract",
        ends="failed"),))]) as fake: fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
        ... assert [run.state for run in fake.runs("nightly_sales")] == ["failed"]

What becomes of a run is said per task, by looks, or by a test's own hand in between:

    FakeTask("load", pool="tiny", states={2: "scheduled", 5: "running", 7: "up_for_retry", 8:
             "running", 9: "ends"}, ends=("up_for_retry", "failed"), retries=1, log=lambda number:
             (f"row {n}" for n in range(200_000)), error=FakeError("RuntimeError", "no sales",
             cause=FakeError("KeyError", "'amount'"))) fake.set_task_state("nightly_sales", run_id,
             "load", "failed")

Around it: `fake.deny("logs", role="viewer")`, `fake.health("scheduler", "unhealthy")`,
`fake.pause(...)`, `FakeDag(broken=...)`, `FakeDag(max_active_runs=1)`, `FakeAirflow(pools={"tiny":
1})` (what fills them is counted, as in Airflow), and the DAG's past: `fake.create_run(...,
state="success", took=840)`.
New code: `fake.deploy(FakeDag(...))`, `fake.parse(dag_id)`.
Afterwards: `fake.received(...)`, `fake.traffic("GET", "/taskInstances")`, `fake.runs(...)`.
A filter that Airflow knows and this server does not fails the test that uses it.
"""

from tests.support.fake_airflow.faults import Fault
from tests.support.fake_airflow.messages import Recorded, Traffic
from tests.support.fake_airflow.models import KILLED, FakeDag, FakeError, FakeQuestion, FakeTask
from tests.support.fake_airflow.runs import FakeRun, FakeTaskInstance
from tests.support.fake_airflow.server import FakeAirflow, Version

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
    "Recorded",
    "Traffic",
    "Version",
]
