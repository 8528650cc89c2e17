"""GitHub's REST API as far as it tells one commit from another: a repository's history, by the documented answers.

GET /repos/{owner}/{repo}/commits/{ref} and /compare/{base}...{head}, "2022-11-28".
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from tests.support import ledger
from tests.support.fake_airflow.messages import Answer, Request, as_json
from tests.support.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = "octo-org/sales"
_COMMIT = re.compile(rf"/repos/{REPOSITORY}/commits/([0-9a-f]{{40}})")
_COMPARE = re.compile(rf"/repos/{REPOSITORY}/compare/([0-9a-f]{{40}})\.\.\.([0-9a-f]{{40}})")


class GitHubApi(StandIn):
    """Knows a private repository, whose `history` is each commit's parent; it may grow. `token` is the job's.

    `may_read`: whether the token has `contents: read`; without it the repository is not found.
    """

    def __init__(self, history: Mapping[str, str | None], *, may_read: bool = True) -> None:
        super().__init__()
        self.history = dict(history)
        self.token = f"ghs_{secrets.token_urlsafe(30)}"
        self._may_read = may_read
        ledger.note(self.token)

    def answer(self, request: Request) -> Answer:
        """A commit, a comparison, or what is wrong."""
        authorized = request.headers.get("Authorization") == f"Bearer {self.token}"
        if not authorized and request.headers.get("Authorization"):
            return _wrong(401, "Bad credentials")
        if not (authorized and self._may_read) or request.method != "GET":
            return _wrong(404, "Not Found")
        if match := _COMMIT.fullmatch(request.path):
            known = match[1] in self.history
            return (
                as_json(200, self._commit(match[1])) if known else _wrong(422, f"No commit found for SHA: {match[1]}")
            )
        if (match := _COMPARE.fullmatch(request.path)) and {*match.groups()} <= set(self.history):
            return as_json(200, self._comparison(*match.groups(), page=int(request.first("page", "1"))))
        return _wrong(404, "Not Found")

    def _line(self, commit: str | None) -> Iterator[str]:
        while commit is not None:
            yield commit
            commit = self.history[commit]

    def _comparison(self, base: str, head: str, *, page: int) -> dict[str, Any]:
        ours, theirs = list(self._line(head)), list(self._line(base))
        ahead = [one for one in ours if one not in theirs]
        behind = [one for one in theirs if one not in ours]
        status = {(0, 0): "identical", (1, 0): "ahead", (0, 1): "behind"}.get((bool(ahead), bool(behind)), "diverged")
        urls = ("url", "html_url", "permalink_url", "diff_url", "patch_url")
        common = next(one for one in ours if one in theirs)
        return {
            **dict.fromkeys(urls, f"{self.url}/repos/{REPOSITORY}/compare/{base}...{head}"),
            "base_commit": self._commit(base),
            "merge_base_commit": self._commit(common),
            "status": status,
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [self._commit(one) for one in reversed(ahead)][page - 1 : page],
            **({"files": [{"filename": "dags/sales.py", "patch": "@@"}]} if page == 1 else {}),
        }

    def _commit(self, sha: str) -> dict[str, Any]:
        parent = self.history[sha]
        return {"sha": sha, "commit": {"message": "Change the sales"}, "parents": [{"sha": parent}] if parent else []}


def _wrong(status: int, message: str) -> Answer:
    body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return as_json(status, body)
