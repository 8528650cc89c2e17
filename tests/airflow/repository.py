"""A git repository with DAGs for the git bundle of an Airflow 3."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

DAG_ID = "deployed"
_DAG = '''"""A DAG that says which commit's code it is."""

from airflow.sdk import dag, task

NUMBER = {number}


@dag("{dag_id}", schedule=None, catchup=False)
def deployed():
    @task(task_id="which_{shape}")
    def which():
        if {fails}:
            raise RuntimeError(f"the code of commit {{NUMBER}} is wrong")
        return NUMBER

    which()


deployed()
'''
_BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
_GIT = "airflow.providers.git.bundles.git.GitDagBundle"


def bundle_settings(*repositories: GitRepository) -> dict[str, str]:
    """Return the settings that give an Airflow 3 these bundles beside the usual DAG folder.

    Each bundle has the name of its DAG, and is fetched at the default interval.
    """
    bundles: list[dict[str, Any]] = [
        {"name": "dags-folder", "classpath": _LOCAL, "kwargs": {"refresh_interval": 2}}
    ]
    for repository in repositories:
        git = {
            "repo_url": str(repository.folder),
            "tracking_ref": "main",
            "subdir": "dags",
            "refresh_interval": 300,
        }
        bundles.append({"name": repository.dag_id, "classpath": _GIT, "kwargs": git})
    storage = repositories[0].folder
    return {
        _BUNDLES: json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(
            storage.with_name(f"{storage.name}-bundles")
        ),
    }


class GitRepository:
    """A repository with one branch.

    Its DAG returns the number of the commit. `settings` are for an Airflow 3 that writes the DAG
    structure at most every 10 s (default: 30 s), so that it sometimes lags behind the bundle.

    Args:
        folder: folder of the repository
        dag_id: name of the DAG and of the bundle
        broken: whether the first commit cannot be imported
    """

    def __init__(self, folder: Path, dag_id: str = DAG_ID, *, broken: bool = False) -> None:
        self.folder = folder
        self.dag_id = dag_id
        self.file = folder / "dags" / f"{dag_id}.py"
        self.file.parent.mkdir(parents=True)
        self.commits: list[str] = []
        self._git("init", "--quiet", "--initial-branch=main")
        self.push(broken=broken)

    @property
    def settings(self) -> dict[str, str]:
        return bundle_settings(self) | {"AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "10"}

    @property
    def history(self) -> dict[str, str | None]:
        """The parent of each commit."""
        return dict(zip(self.commits, [None, *self.commits], strict=False))

    def push(self, *, broken: bool = False, fails: bool = False, shape: int | None = None) -> str:
        """Push the next commit: new code, and every fifth time a new structure.

        Args:
            broken: whether the commit cannot be imported
            fails: whether the task of the commit fails
            shape: number of the structure, in place of a new one every fifth time
        """
        number = len(self.commits)
        text = _DAG.format(
            dag_id=self.dag_id,
            number=number,
            shape=number // 5 if shape is None else shape,
            fails=fails,
        )
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
