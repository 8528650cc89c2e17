"""What the step asks for: every input that says something about the DAG run is in the request, and
nothing else changes it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrypoint.inputs.settings import parse_settings
from entrypoint.models import RunRequest
from entrypoint.run.request import build_request
from tests.support.factories import SHA, a_context

DAY = datetime(2026, 1, 31, tzinfo=UTC)
NEEDED = {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"}
COMPARED_FIELDS = {
    "conf": '{"region": "APAC"}',
    "logical_date": "2026-01-31T00:00:00Z",
    "data_interval_start": "2026-01-30T00:00:00Z",
    "data_interval_end": "2026-01-31T00:00:00Z",
    "run_after": "2026-02-01T00:00:00Z",
    "partition_key": "eu",
}


def request(**inputs: str) -> RunRequest:
    """The request of a step with these inputs."""
    return build_request(
        parse_settings({**NEEDED, **inputs}, Path("/github/workspace")), a_context()
    )


def test_every_field() -> None:
    """Every input about the DAG run reaches its field of the request."""
    found = request(**COMPARED_FIELDS, run_id="r1", note="why", expect_commit=SHA)

    assert found == RunRequest(
        dag_id="nightly_sales",
        run_id="r1",
        conf={"region": "APAC"},
        logical_date=DAY,
        data_interval_start=DAY - timedelta(days=1),
        data_interval_end=DAY,
        run_after=DAY + timedelta(days=1),
        partition_key="eu",
        note="why",
        commit=SHA,
    )
    assert all(getattr(found, one) is not None for one in RunRequest._fields)


def test_nothing_but_the_dag() -> None:
    """Without any of them the request leaves everything to Airflow but the run id, which is derived
    from the commit.
    """
    found = request()

    assert found == RunRequest("nightly_sales", found.run_id, {})
    assert found.run_id.startswith(f"github__{SHA[:12]}__8000000001__")


@pytest.mark.parametrize(
    "more",
    [
        {"expect_commit": SHA},
        {"expect_commit": "f" * 40},
        {"wait_for_dag": "10m"},
        {"github_token": "ghs_another"},
        {"note": "why"},
        {"timeout": "2h"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_the_derived_run_id_does_not_depend_on(more: dict[str, str]) -> None:
    """Neither the commit nor anything about waiting makes another DAG run of the same request."""
    assert request(**more).run_id == request().run_id


def test_what_the_derived_run_id_depends_on() -> None:
    """Each thing that the DAG run is asked to be, and each leg of a matrix, gives a run id of its
    own.
    """
    given = [
        {name: text}
        for name, text in COMPARED_FIELDS.items()
        if not name.startswith("data_interval")
    ]
    given += [
        {**COMPARED_FIELDS},
        {**COMPARED_FIELDS, "data_interval_start": "2026-01-29T00:00:00Z"},
        {"matrix": '{"region": "EMEA"}'},
    ]
    ids = {request(**inputs).run_id for inputs in given}

    assert len(ids | {request().run_id}) == len(given) + 1
