"""Parse workflows: this action's steps, values for expressions, and references.

It knows only the GitHub expressions that the example workflows use; any other one is an error.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "OWNER/airflow-dag-run@"
NATIVE = "OWNER/airflow-dag-run/native@"
SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "89abcdef0123456789abcdef0123456789abcdef"
VALUES: Mapping[str, str] = MappingProxyType(
    {
        "github.sha": SHA,
        "github.run_id": "8000000001",
        "github.event.number": "17",
        "github.event.pull_request.head.sha": HEAD,
        "toJSON(github.head_ref)": '"feature/\\"sales\\""',
        "matrix.dag": "nightly_sales",
        "matrix.run.dag_id": "nightly_sales",
        "matrix.run.run_id": "pr-17-89abcdef0123456789abcdef0123456789abcdef",
        "needs.trigger.outputs.run_id": "github__0123456789ab__8000000001__5f0c2e1a",
    }
)
"""Values of the expressions in example workflows, except secrets, variables and outputs."""
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_OF_A_STEP = re.compile(r"\bsteps\.([\w-]+)\.outputs\.([\w-]+)")
_OF_A_JOB = re.compile(r"\bneeds\.([\w-]+)\.outputs\.([\w-]+)")
_SOME_TEXT = re.compile(r"(?:secrets|vars|steps)\.[\w.-]+")

WorkflowJob = dict[str, Any]


def read_jobs(text: str) -> dict[str, WorkflowJob]:
    jobs: dict[str, WorkflowJob] = yaml.safe_load(text)["jobs"]
    return jobs


def is_ours(step: WorkflowJob) -> bool:
    """Tell whether it is a step of this action."""
    return str(step.get("uses", "")).startswith((OURS, NATIVE))


def action_inputs(text: str) -> list[dict[str, Any]]:
    """Return the `with:` block of each step of this action, in order."""
    return [
        step["with"] for job in read_jobs(text).values() for step in job["steps"] if is_ours(step)
    ]


def filled(inputs: Mapping[str, Any], values: Mapping[str, str] = VALUES) -> dict[str, str]:
    """Return the inputs as the action gets them: text, with values for expressions."""

    def value(match: re.Match[str]) -> str:
        return "x" if _SOME_TEXT.fullmatch(match[1]) else values[match[1]]

    return {"github_token": "ghs_of-the-job"} | {
        name: _EXPRESSION.sub(value, str(text).lower() if isinstance(text, bool) else str(text))
        for name, text in inputs.items()
    }


def dangling(jobs: Mapping[str, WorkflowJob], outputs: frozenset[str]) -> Iterator[str]:
    """Yield each reference to a missing step, job or output.

    Args:
        jobs: all jobs of one workflow
        outputs: outputs of this action; those of other actions are not checked
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
