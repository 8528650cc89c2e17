"""A scripted Airflow: a real socket server on 127.0.0.1 that speaks as 2.11.2 or as 3.3.2 and goes wrong on demand.

It exists only where faults must be scripted; `tests/contract/test_fake_airflow.py` holds it to the real ones.
A run moves on by being looked at (each GET of it, each line of /wait), never by time, so no test has to sleep.

    with FakeAirflow("3.3.2", dags=[FakeDag("nightly_sales", tasks=(FakeTask("extract", ends="failed"),))]) as fake:
        fake.fault(Fault.RESET, on=("POST", "/dagRuns"), when="after")
        ...
        assert [run.state for run in fake.runs("nightly_sales")] == ["failed"]
"""

from tests.support.fake_airflow.faults import Fault
from tests.support.fake_airflow.messages import Recorded
from tests.support.fake_airflow.nouns import FakeDag, FakeRun, FakeTask, FakeTaskInstance
from tests.support.fake_airflow.server import FakeAirflow, Version

__all__ = ["FakeAirflow", "FakeDag", "FakeRun", "FakeTask", "FakeTaskInstance", "Fault", "Recorded", "Version"]
