"""The facts about run and step, whatever form the summary has."""

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
def test_what_stands_on_github(report: Report | None, row: str | None) -> None:
    """What stands on GitHub for the run is a fact, and the row is left out where nothing does."""
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
def test_what_is_known_of_a_run(run: DagRun | None, rows: set[str]) -> None:
    """Of a run there is a row for each thing that is known, and none for what is not."""
    assert (
        dict(facts(an_outcome(run=run), None)).keys() & {"Started", "Took", "Bundle version"}
        == rows
    )
