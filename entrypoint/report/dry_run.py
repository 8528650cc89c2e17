"""Write the report of a dry run, which a user can hand to the operators of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.report.markdown import prose, table
from entrypoint.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrypoint.models import DryRunReport, FeatureAccess, Outcome

_SIGNS = {"ok": "✅ ok", "failed": "❌ wrong", "skipped": "❔ unknown"}
_WORDS = {"ok": "ok", "failed": "WRONG", "skipped": "unknown"}
_USES = {"needed": "needs it", "used": "uses it", "unused": "does not use it"}
_MAX_TEXT_CHARS = 1_000
"""Characters of what a check found."""


def markdown_report(outcome: Outcome) -> Iterator[str]:
    """Yield the report in Markdown: the table of checks, and that of permissions."""
    report = outcome.dry_run
    if report is None:
        return
    yield "### What the dry run checked"
    yield "\n".join(
        table(
            ("", "Check", "What was found"),
            [
                (_SIGNS[one.verdict], prose(one.name), prose(shortened(one.text, _MAX_TEXT_CHARS)))
                for one in report.checks
            ],
        )
    )
    if report.access:
        yield "### What the credential may do in Airflow"
        yield "\n".join(
            table(
                ("Allowed", "Feature", "This step", "Permission to grant"),
                [
                    (_sign(one), one.label, _USES[one.use], prose(_to_grant(one)))
                    for one in report.access
                ],
            )
        )


def plain_report(report: DryRunReport) -> Iterator[str]:
    """Yield the lines of the report as text."""
    width = max((len(one.name) for one in report.checks), default=0)
    for check in report.checks:
        text = " ".join(shortened(check.text, _MAX_TEXT_CHARS).split())
        yield f"{_WORDS[check.verdict]:<8}{check.name:<{width}}  {text}"
    if not report.access:
        return
    yield ""
    yield "What the credential may do in Airflow:"
    words = {"allowed": "yes", "refused": "NO", "unknown": "unknown"}
    for one in report.access:
        grant = f": grant {_to_grant(one)}" if _to_grant(one) else ""
        label = one.label.replace("`", "")
        yield f"{words[one.verdict]:<8}{label} (this step {_USES[one.use]}){grant}"


def _sign(access: FeatureAccess) -> str:
    """Return the sign of a feature; without one that the step does not need, it goes on."""
    if access.verdict == "refused" and access.use != "needed":
        return "⚠️ no" if access.use == "used" else "▫️ no"
    return {"allowed": "✅ yes", "refused": "❌ no", "unknown": "❔ unknown"}[access.verdict]


def _to_grant(access: FeatureAccess) -> str:
    if access.verdict != "refused":
        return ""
    names = [f'"{name}"' for name in access.missing]
    names += [f'"{name}" (unless it has that)' for name in access.unclear]
    return ", ".join(names)
