"""`python -m dev.pictures FOLDER`: write the job summaries shown in `docs/images`.

The action's own code writes them, from the results of the example DAGs in `make demo`, with
durations that suit a timeline. Render each file as GitHub does (github-markdown-css, Mermaid) and
save the picture in `docs/images` under the same name.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from entrypoint.errors import ExceptionInfo, StackFrame
from entrypoint.models import DagRun, Failure, Outcome, RunRequest, TaskInstance
from entrypoint.report.summary import summary
from entrypoint.runners.base import Context

_DAGS = Path(__file__).parents[1] / "examples" / "dags"
_START = datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)
_CONTEXT = Context(
    system="github",
    sha="0123456789abcdef0123456789abcdef01234567",
    repository="octo-org/sales",
    run_id="8000000001",
    attempt=1,
    job="gate",
    step="dag",
    actor="octocat",
    run_url="https://github.com/octo-org/sales/actions/runs/8000000001",
    commit_url="https://github.com/octo-org/sales/commit/0123456789abcdef0123456789abcdef01234567",
    api_url="https://api.github.com",
    workspace=Path(),
)
_AIRFLOW = "3.3.2"


def main() -> int:
    """Write a file for each picture, and print its path."""
    parser = argparse.ArgumentParser(prog="python -m dev.pictures", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in summaries().items():
        file = folder / f"{name}.md"
        file.write_text(f"{text}\n", encoding="utf-8")
        print(file)
    return 0


def summaries() -> dict[str, str]:
    """Return the two job summaries by the names of their pictures."""
    return {
        "summary-success": summary(_succeeded(), _CONTEXT),
        "summary-failed": summary(_failed(), _CONTEXT),
    }


def _outcome(dag_id: str, tasks: tuple[TaskInstance, ...], seconds: float) -> Outcome:
    run_id = f"github__{_CONTEXT.sha[:12]}__{_CONTEXT.run_id}__5f0c2e1a"
    end = _START + timedelta(seconds=seconds)
    run = DagRun(dag_id, run_id, "success", {}, start_date=_START, end_date=end)
    url = f"https://airflow.example.com/dags/{dag_id}/runs/{run_id}"
    return Outcome(
        result="success",
        request=RunRequest(dag_id, run_id, {}),
        run=run,
        run_url=url,
        created=True,
        tasks=tuple(
            task._replace(url=f"{url}/tasks/{task.task_id}{_mapped(task)}") for task in tasks
        ),
        airflow_version=_AIRFLOW,
        waited=seconds + 2,
    )


def _mapped(task: TaskInstance) -> str:
    return f"/mapped/{task.map_index}" if task.map_index >= 0 else ""


def _task(
    task_id: str, begin: float, seconds: float, *, map_index: int = -1, state: str = "success"
) -> TaskInstance:
    start = _START + timedelta(seconds=begin)
    return TaskInstance(
        task_id,
        map_index,
        state,
        1,
        seconds,
        "",
        start_date=start,
        end_date=start + timedelta(seconds=seconds),
    )


def _succeeded() -> Outcome:
    tasks = (
        _task("shops", 1.2, 12.4),
        *(_task("add_up", 15.1 + index, 41.7 + 9 * index, map_index=index) for index in range(3)),
        _task("total", 78.9, 6.3),
    )
    return _outcome("nightly_sales", tasks, 86.1)


def _failed() -> Outcome:
    extract, transform = _task("extract", 1.1, 18.2), _task("transform", 20.6, 33.5, state="failed")
    load = TaskInstance("load", -1, "upstream_failed", 0, None, "")
    outcome = _outcome("failing_sales", (extract, transform, load), 54.9)
    assert outcome.run is not None  # noqa: S101 - just made
    assert outcome.tasks is not None  # noqa: S101 - just made
    file = "failing_sales.py"
    raise_, cause, sum_ = (
        _line(file, text) for text in ("raise SalesFileError", "return int(", "return sum(")
    )
    where = f"/opt/airflow/dags/{file}"
    raised = (
        ExceptionInfo(
            "SalesFileError",
            "cannot read the amount in line 'Oslo;n/a'",
            (StackFrame(where, sum_, "transform"), StackFrame(where, raise_, "read_amount")),
        ),
        ExceptionInfo(
            "ValueError",
            "invalid literal for int() with base 10: 'n/a'",
            (StackFrame(where, cause, "read_amount"),),
        ),
    )
    log = (
        "[2026-01-31T09:30:36.012345Z] INFO - Reading 2 lines",
        "[2026-01-31T09:31:09.104211Z] ERROR - Task failed with exception",
        f'  File "{where}", line {cause}, in read_amount',
        str(raised[1]),
        f'  File "{where}", line {sum_}, in transform',
        f'  File "{where}", line {raise_}, in read_amount',
        str(raised[0]),
    )
    failure = Failure(outcome.tasks[1], str(raised[0]), raised, log)
    return outcome._replace(
        result="failed", run=outcome.run._replace(state="failed"), failures=(failure,)
    )


def _line(file: str, text: str) -> int:
    """Return the number of the line that contains the text."""
    lines = (_DAGS / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


if __name__ == "__main__":
    sys.exit(main())
