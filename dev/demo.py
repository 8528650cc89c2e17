"""`make demo`: run the action once against a real Airflow 3 on this machine.

It shows what a workflow's author would see on GitHub: the step's live log, its outputs and its job
summary. Nothing is left running, except with `KEEP=true` until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from dev import kept
from dev.airflow import LocalAirflow
from dev.airflow_settings import AIRFLOW_3, ROOT
from dev.runner import ActionStep, Process, StepResult

_EXAMPLES = Path(__file__).parents[1] / "examples"
_DAGS = _EXAMPLES / "dags"
_LIMIT = 600.0  # seconds for the step


def main() -> int:
    """Run one example DAG through the action, show the results, return the exit code."""
    names = sorted(path.stem for path in _DAGS.glob("*.py"))
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("dag", choices=names, metavar="DAG", help=" | ".join(names))
    parser.add_argument("--dry-run", action="store_true", help="only check, trigger nothing")
    parser.add_argument("--keep", action="store_true", help="keep Airflow running until Ctrl-C")
    given = parser.parse_args()
    dag: str = given.dag

    _say("1/4  Installing and starting Airflow 3 (the first time takes about a minute)")
    with LocalAirflow(AIRFLOW_3, dags=_DAGS) as airflow, tempfile.TemporaryDirectory() as workspace:
        # Like a checkout of the DAGs' repository
        shutil.copytree(_EXAMPLES, workspace, dirs_exist_ok=True)
        airflow.wait_for_dag(dag)
        _say(f"2/4  Running the action as a step of a workflow would: dag_id: {dag}")
        inputs = {
            "airflow_url": airflow.url,
            "username": "admin",
            "password": airflow.users["admin"],
            "dag_id": dag,
            "dry_run": str(given.dry_run).lower(),
        }
        step = ActionStep(inputs, launcher=Process(), workspace=Path(workspace))
        with step.start(show=print) as running:
            result = running.wait(_LIMIT)
        _show(result)
        if given.keep:
            _keep(airflow)
        _say("4/4  Stopping Airflow")
    return result.exit_code


def _keep(airflow: LocalAirflow) -> None:
    """Return after Ctrl-C; until then other terminals can use this Airflow."""
    with contextlib.suppress(KeyboardInterrupt), kept.announced(airflow):
        _say(f"Airflow keeps running at {airflow.url}. Stop it with Ctrl-C.")
        print(f"Use it in another terminal: . {kept.FILE.relative_to(ROOT)}", flush=True)
        signal.pause()


def _show(result: StepResult) -> None:
    _say("3/4  What the step leaves behind")
    print("Outputs:")
    for name, value in result.outputs.items():
        print(f"  {name} = {value}")
    print("\nAnnotations (GitHub shows them on the workflow run, and in the pull request's diff):")
    for note in result.annotations:
        place = f" on {note.file}, line {note.line}" if note.file else ""
        print(f"  {note.level}{place}: {note.title}")
    print("\nJob summary (Markdown, GitHub renders it):\n")
    print(result.summary)
    meaning = "the workflow goes on" if result.exit_code == 0 else "the workflow stops here"
    print(f"Exit code {result.exit_code}: {meaning}.")


def _say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
