"""Building the request for a DAG run, with its derived run id and note."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoint.inputs import identifiers
from entrypoint.inputs.settings import parse_settings
from entrypoint.models import RunRequest
from entrypoint.run.request import build_request, derive_note, derive_run_id
from tests.support.factories import SHA, a_context

DAY = datetime(2026, 1, 31, tzinfo=UTC)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NEEDED = {"airflow_url": "https://airflow.example.com", "token": "t0ken", "dag_id": "nightly_sales"}
RUN_INPUTS = {
    "conf": '{"region": "APAC"}',
    "logical_date": "2026-01-31T00:00:00Z",
    "data_interval_start": "2026-01-30T00:00:00Z",
    "data_interval_end": "2026-01-31T00:00:00Z",
    "run_after": "2026-02-01T00:00:00Z",
    "partition_key": "eu",
}
COMPARED_FIELDS: dict[str, Any] = {
    "conf": {"region": "APAC", "n": 1},
    "logical_date": NOON,
    "partition_key": None,
}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def request_for(**inputs: str) -> RunRequest:
    return build_request(
        parse_settings({**NEEDED, **inputs}, Path("/github/workspace")), a_context()
    )


def test_every_input_reaches_its_field() -> None:
    found = request_for(**RUN_INPUTS, run_id="r1", note="why", expect_commit=SHA, if_paused="drain")

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
        drain=True,
    )
    # Airflow says to which version the run is pinned.
    from_inputs = set(RunRequest._fields) - {"bundle_version"}
    assert all(getattr(found, one) is not None for one in from_inputs)


def test_required_inputs_alone_give_only_a_derived_run_id() -> None:
    found = request_for()

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
def test_other_inputs_do_not_change_the_run_id(more: dict[str, str]) -> None:
    assert request_for(**more).run_id == request_for().run_id


def test_each_field_and_matrix_leg_changes_the_run_id() -> None:
    given = [
        {name: text} for name, text in RUN_INPUTS.items() if not name.startswith("data_interval")
    ]
    given += [
        {**RUN_INPUTS},
        {**RUN_INPUTS, "data_interval_start": "2026-01-29T00:00:00Z"},
        {"matrix": '{"region": "EMEA"}'},
    ]
    ids = {request_for(**inputs).run_id for inputs in given}

    assert len(ids | {request_for().run_id}) == len(given) + 1


def test_run_id_names_commit_and_workflow_run_and_ends_in_8_hex_digits() -> None:
    run_id = derive_run_id(a_context(), None, COMPARED_FIELDS)

    assert re.fullmatch(r"github__0123456789ab__8000000001__[0-9a-f]{8}", run_id)
    assert identifiers.run_id(run_id) == run_id


def test_run_id_is_stable_across_versions_of_the_action() -> None:
    """A re-run after an upgrade must find its DAG run."""
    without_path = a_context(job_path="")
    assert (
        derive_run_id(without_path, None, {"conf": {}})
        == "github__0123456789ab__8000000001__67243c75"
    )
    assert (
        derive_run_id(a_context(), None, {"conf": {}})
        == "github__0123456789ab__8000000001__74bbb31e"
    )


def test_every_attempt_has_the_same_run_id() -> None:
    again = a_context(attempt=2, actor="hubot", run_url="https://ghe.example.com")

    assert derive_run_id(again, None, COMPARED_FIELDS) == derive_run_id(
        a_context(), None, COMPARED_FIELDS
    )


@pytest.mark.parametrize(
    "same",
    [
        COMPARED_FIELDS | {"conf": {"n": 1, "region": "APAC"}},
        COMPARED_FIELDS | {"logical_date": NOON.astimezone(timezone(timedelta(hours=9)))},
    ],
)
def test_key_order_and_date_offset_do_not_change_the_run_id(same: dict[str, Any]) -> None:
    assert derive_run_id(a_context(), None, same) == derive_run_id(
        a_context(), None, COMPARED_FIELDS
    )


def test_different_steps_legs_commits_and_requests_have_different_run_ids() -> None:
    steps = [
        a_context(),
        a_context(repository="octo-org/other"),
        a_context(job="gate2"),
        a_context(job_path="again.gate.__default"),
        a_context(job_path=""),
        a_context(step="dag_2"),
        a_context(run_id="8000000002"),
        a_context(sha="f" + SHA[1:]),
    ]
    legs: list[Any] = [{"region": "APAC"}, {"region": "EMEA"}, {}]
    requests: list[dict[str, Any]] = [
        {"conf": {}},
        {"conf": {"region": "APAC", "n": "1"}},
        {"conf": {"region": "APAC", "n": 1.5}},
        {"conf": {"region": "APAC", "n": True}},
        {"conf": {"region": ["APAC"], "n": 1}},
        {"logical_date": None},
        {"logical_date": NOON + timedelta(seconds=1)},
        {"partition_key": "eu"},
    ]
    ids = [derive_run_id(step, None, COMPARED_FIELDS) for step in steps]
    ids += [derive_run_id(a_context(), leg, COMPARED_FIELDS) for leg in legs]
    ids += [derive_run_id(a_context(), None, COMPARED_FIELDS | request) for request in requests]

    assert len(set(ids)) == len(steps) + len(legs) + len(requests)


@settings(max_examples=30)
@given(json_values, st.dictionaries(st.text(), json_values))
def test_any_request_has_a_valid_run_id(matrix: Any, conf: dict[str, Any]) -> None:
    run_id = derive_run_id(a_context(), matrix, {"conf": conf})

    assert identifiers.run_id(run_id) == run_id


def test_note_names_actor_commit_and_workflow_run() -> None:
    assert derive_note(a_context()) == (
        "Triggered by octocat for commit 0123456789ab of octo-org/sales: "
        "https://github.com/octo-org/sales/actions/runs/8000000001"
    )


def test_note_is_limited_to_1000_characters() -> None:
    assert len(derive_note(a_context(actor="x" * 2000))) == 1000
