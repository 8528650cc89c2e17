"""Workflows as their readers write them: this action's steps in them, their expressions given
values, what they refer to.

It knows of GitHub's expressions only what the workflows to copy use; whatever else one contains is
an error, not a guess.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "OWNER/airflow-dag-run@"
SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "89abcdef0123456789abcdef0123456789abcdef"
VALUES: Mapping[str, str] = MappingProxyType(
    {
        "github.sha": SHA,
        "github.event.number": "17",
        "github.event.pull_request.head.sha": HEAD,
        "toJSON(github.head_ref)": '"feature/\\"sales\\""',
        "matrix.dag": "nightly_sales",
        "matrix.run.dag_id": "nightly_sales",
        "matrix.run.run_id": "pr-17-89abcdef0123456789abcdef0123456789abcdef",
        "needs.trigger.outputs.run_id": "github__0123456789ab__8000000001__5f0c2e1a",
    }
)
"""What the expressions in the workflows to copy are worth, but for secrets, variables and other
steps' outputs.
"""
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_OF_A_STEP = re.compile(r"\bsteps\.([\w-]+)\.outputs\.([\w-]+)")
_OF_A_JOB = re.compile(r"\bneeds\.([\w-]+)\.outputs\.([\w-]+)")
_SOME_TEXT = re.compile(r"(?:secrets|vars|steps)\.[\w.-]+")

Job = dict[str, Any]


def read_jobs(text: str) -> dict[str, Job]:
    """The jobs of a workflow, by name."""
    jobs: dict[str, Job] = yaml.safe_load(text)["jobs"]
    return jobs


def is_ours(step: Job) -> bool:
    """Whether it is a step of this action."""
    return str(step.get("uses", "")).startswith(OURS)


def gates(text: str) -> list[dict[str, Any]]:
    """The `with:` block of each step of this action, in the order of the workflow."""
    return [
        step["with"] for job in read_jobs(text).values() for step in job["steps"] if is_ours(step)
    ]


def filled(inputs: Mapping[str, Any], values: Mapping[str, str] = VALUES) -> dict[str, str]:
    """The inputs as the action gets them: text, a value in the place of each expression, and
    GitHub's default of a token.
    """

    def value(match: re.Match[str]) -> str:
        return "x" if _SOME_TEXT.fullmatch(match[1]) else values[match[1]]

    return {"github_token": "ghs_of-the-job"} | {
        name: _EXPRESSION.sub(value, str(text).lower() if isinstance(text, bool) else str(text))
        for name, text in inputs.items()
    }


def dangling(jobs: Mapping[str, Job], outputs: frozenset[str]) -> Iterator[str]:
    """Each reference to an output of a step or a job that is not there, or has no such output.

    Args:
        jobs: of one workflow.
        outputs: what this action has. What other actions have is not known here.
    """
    for job in jobs.values():
        text = yaml.safe_dump(job, width=10_000)
        steps = {step["id"]: step for step in job.get("steps", ()) if "id" in step}
        for match in _OF_A_STEP.finditer(text):
            step = steps.get(match[1])
            if step is None or (is_ours(step) and match[2] not in outputs):
                yield match[0]
        needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        for match in _OF_A_JOB.finditer(text):
            if match[1] not in needed or match[2] not in jobs[match[1]].get("outputs", {}):
                yield match[0]
