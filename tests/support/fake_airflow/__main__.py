"""`python -m tests.support.fake_airflow`: run one, for jobs on systems on which no Airflow runs."""

import threading

from tests.support.fake_airflow import FakeAirflow, FakeDag, FakeTask

_DAGS = (
    FakeDag("nightly_sales", tasks=(FakeTask("load"),), polls=2),
    FakeDag("failing_sales", tasks=(FakeTask("transform", ends="failed"),), polls=2, ends="failed"),
    FakeDag("slow_sales", tasks=(FakeTask("wait"),)),
)


def main() -> None:
    """Print the URL, and serve until this process is ended. A run of slow_sales does not end."""
    airflow = FakeAirflow("2.11.2", dags=_DAGS)
    # Not every system lets two sockets have one port, even if only one of them listens.
    airflow._port.close()
    airflow.states("slow_sales", ["running"])
    with airflow:
        print(f"ready at {airflow.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
