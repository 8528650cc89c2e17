"""A git repository with DAGs for the git bundle of an Airflow 3."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DAG_ID = "deployed"
_DAG = '''"""A DAG that says which commit's code it is."""

from airflow.sdk import dag, task

NUMBER = {number}


@dag(schedule=None, catchup=False)
def deployed():
    @task(task_id="which_{shape}")
    def which():
        return NUMBER

    which()


deployed()
'''
_BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
_GIT = "airflow.providers.git.bundles.git.GitDagBundle"


class GitRepository:
    """A repository with one branch.

    Its DAG returns the number of the commit. `settings` give an Airflow 3 its git bundle beside the
    usual DAG folder. The bundle is fetched at the default interval. The DAG structure is written at
    most every 10 s (default: 30 s), so that it sometimes lags behind the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "dags" / f"{DAG_ID}.py"
        self.file.parent.mkdir(parents=True)
        self.commits: list[str] = []
        self._git("init", "--quiet", "--initial-branch=main")
        self.push()

    @property
    def settings(self) -> dict[str, str]:
        git = {
            "repo_url": str(self.folder),
            "tracking_ref": "main",
            "subdir": "dags",
            "refresh_interval": 300,
        }
        bundles = [
            {"name": "dags-folder", "classpath": _LOCAL, "kwargs": {"refresh_interval": 2}},
            {"name": "git", "classpath": _GIT, "kwargs": git},
        ]
        return {
            _BUNDLES: json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(
                self.folder.with_name(f"{self.folder.name}-bundles")
            ),
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "10",
        }

    @property
    def history(self) -> dict[str, str | None]:
        """The parent of each commit."""
        return dict(zip(self.commits, [None, *self.commits], strict=False))

    def push(self, *, broken: bool = False) -> str:
        """Push the next commit: new code, and every fifth time a new structure.

        A broken commit cannot be imported.
        """
        number = len(self.commits)
        text = _DAG.format(number=number, shape=number // 5)
        self.file.write_text(text.replace("return NUMBER", "return (NUMBER") if broken else text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", f"Deploy {number}")
        self.commits.append(self._git("rev-parse", "HEAD").strip())
        return self.commits[-1]

    def _git(self, *arguments: str) -> str:
        who = {
            f"GIT_{role}_{what}": "octocat@example.com"
            for role in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **who,
        }
        command = ["git", "-C", str(self.folder), *arguments]
        done = subprocess.run(
            command, env=env, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout
