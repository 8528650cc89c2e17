"""Tasks that are killed as if by the out-of-memory killer, without an exception.

`worker_killed` loses the process of the task, `supervisor_killed` also the one above it.
"""

from __future__ import annotations

import os
import signal

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def worker_killed() -> None:
    @task
    def devour() -> None:
        """Kills its own process."""
        print("Reading everything into memory")
        os.kill(os.getpid(), signal.SIGKILL)

    devour()


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def supervisor_killed() -> None:
    @task
    def devour() -> None:
        """Kills the supervisor's process, then its own."""
        print("Reading everything into memory")
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    devour()


worker_killed()
supervisor_killed()
