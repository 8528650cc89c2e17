"""The facts about run and step in every form of the summary."""

import pytest

from entrypoint.models import DagRun, Report
from entrypoint.report.facts import facts
from tests.support.factories import a_context, a_report, a_run, an_outcome


@pytest.mark.parametrize(
    ("report", "row"),
    [
        (None, None),
        (
            a_report(deployment_id=None),
            "commit status airflow / nightly_sales of 0123456789ab, pending",
        ),
    ],
)
def test_github_report_is_a_fact_if_there_is_one(report: Report | None, row: str | None) -> None:
    assert dict(facts(an_outcome(report=report), a_context())).get("Reported as") == row


@pytest.mark.parametrize(
    ("run", "rows"),
    [
        (None, set()),
        (a_run(start_date=None), set()),
        (a_run(end_date=None), {"Started"}),
        (a_run(bundle_version="abc"), {"Started", "Took", "Bundle version"}),
    ],
)
def test_each_known_property_of_a_run_is_a_row(run: DagRun | None, rows: set[str]) -> None:
    assert (
        dict(facts(an_outcome(run=run), None)).keys() & {"Started", "Took", "Bundle version"}
        == rows
    )
