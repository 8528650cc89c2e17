"""The commit that this step deploys: known to GitHub, picked up by Airflow before the trigger, and run by the DAG run.

Between the story (`action.py`), which says when, and the rooms that know how (`gate/`, `github/`). It does nothing unless the
inputs `wait_for_dag` and `expect_commit` ask for it.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.connection import BEFORE_TRIGGER, TO_EXPLAIN
from entrypoint.elsewhere.commits import NoHistory
from entrypoint.errors import (
    AirflowUnreachable,
    Forbidden,
    InvalidConf,
    InvalidInputs,
    Mistake,
    Unauthorized,
    UnexpectedAnswer,
)
from entrypoint.gate.belief import Refusals
from entrypoint.gate.commit import require_commit
from entrypoint.gate.deployment import AFTERWARDS, Deployment, is_about_the_dag
from entrypoint.gate.trigger import BETWEEN_LOOKS, refuse_paused
from entrypoint.github.api import Repository
from entrypoint.github.commits import GitHubCommits

if TYPE_CHECKING:
    from entrypoint.connection import Connection
    from entrypoint.errors import ActionError
    from entrypoint.gate.extras import Extras
    from entrypoint.gate.refusal import Relevant
    from entrypoint.models import DagRun
    from entrypoint.runner import Context
    from entrypoint.settings import Settings


class Deploy:
    """The code of one step's DAG run.

    Args:
        settings: whether to wait, for how long, and for which commit.
        context: of which repository.
        line: the connection, with its patience, and the way to GitHub.
    """

    def __init__(self, settings: Settings, context: Context, line: Connection) -> None:
        self._settings = settings
        self._context = context
        self._line = line
        self._until = line.clock() + settings.wait_for_dag
        self._code: Deployment | None = None
        self._refusals = Refusals()
        self._commits = (
            GitHubCommits(Repository(context.api_url, context.repository, settings.github_token, line.wire))
            if context.api_url
            else NoHistory()
        )

    def require_known(self) -> None:
        """Raise InvalidInputs if GitHub knows no such commit: nothing would ever contain it. What it cannot tell may be."""
        commit = self._settings.expect_commit
        if commit is None or commit == self._context.sha:
            return
        known = None
        with suppress(AirflowUnreachable, UnexpectedAnswer):
            look = partial(self._commits.is_known, commit)
            known = self._line.patience.read(look, until=self._line.allow(TO_EXPLAIN), unexpected=False)
        if known is False:
            problem = f"GitHub knows no commit {commit} in {self._context.repository}."
            mistake = Mistake("expect_commit", problem, "Give a commit of this repository, as ${{ github.sha }} does.")
            raise InvalidInputs((mistake,))

    def left(self) -> float:
        """Return the seconds for which the deployment may still be under way: Airflow itself may come up meanwhile."""
        return max(0.0, self._until - self._line.clock())

    def arrive(self, extras: Extras, relevant: Relevant) -> None:
        """Return when Airflow has the code; also once more, if it lost it again. Raises what `Deployment.wait` raises."""
        settings = self._settings
        if not settings.wait_for_dag and settings.expect_commit is None:
            return
        self._line.allow(self.left() + AFTERWARDS)
        if self._code is None:
            self._code = Deployment(
                extras,
                self._line.patience,
                settings.dag_id,
                commit=settings.expect_commit,
                commits=self._commits,
                relevant=relevant,
                may_run=partial(refuse_paused, if_paused=settings.if_paused),
            )
        self._code.wait(self.left())

    def goes_on(self, lack: ActionError) -> bool:
        """Return, after a pause, whether it is worth another try while the deployment may still be under way.

        The DAG that was there a moment ago may be gone for some looks; and a refusal must have been said for a while.
        """
        now, left = self._line.clock(), self.left()
        passes = not isinstance(lack, InvalidConf) or is_about_the_dag(lack)
        if isinstance(lack, (Unauthorized, Forbidden)):
            self._refusals.one_more(now)
            passes = not self._refusals.believed(now)
        if left <= 0 or not passes:
            return False
        self._line.patience.progress.lacking(lack, left)
        self._line.patience.sleep(min(self._line.patience.about(BETWEEN_LOOKS), left))
        return True

    def require(self, run: DagRun) -> None:
        """Make sure that the run has the code. Raises WrongCode, or that GitHub does not answer."""
        if commit := self._settings.expect_commit:
            look = partial(require_commit, run, commit, self._commits)
            # Not for the whole timeout: meanwhile nobody looks at the run.
            self._line.patience.read(look, until=min(self._line.until, self._line.clock() + BEFORE_TRIGGER))
