"""The derived run id and note: the same for the same request in every attempt, another one for
anything else.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoint.inputs import identifiers
from entrypoint.run.request import derive_note, derive_run_id
from tests.support.factories import SHA, a_context

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
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


def test_form() -> None:
    """The run id names the commit and the workflow run, and ends in eight hex digits."""
    run_id = derive_run_id(a_context(), None, COMPARED_FIELDS)

    assert re.fullmatch(r"github__0123456789ab__8000000001__[0-9a-f]{8}", run_id)
    assert identifiers.run_id(run_id) == run_id


def test_never_changes() -> None:
    """A later version of the action derives the same id, so that a re-run after an upgrade finds
    its DAG run.
    """
    without_path = a_context(job_path="")
    assert (
        derive_run_id(without_path, None, {"conf": {}})
        == "github__0123456789ab__8000000001__67243c75"
    )
    assert (
        derive_run_id(a_context(), None, {"conf": {}})
        == "github__0123456789ab__8000000001__74bbb31e"
    )


def test_attempt_is_left_out() -> None:
    """Every attempt of a workflow run, whoever starts it, names the same DAG run."""
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
def test_same_request(same: dict[str, Any]) -> None:
    """Neither the order of keys nor the offset of a date makes another request."""
    assert derive_run_id(a_context(), None, same) == derive_run_id(
        a_context(), None, COMPARED_FIELDS
    )


def test_different_steps_and_requests() -> None:
    """Whatever tells two steps, legs, commits, workflow runs or requests apart gives each a run id
    of its own.
    """
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
def test_any_request_has_an_id(matrix: Any, conf: dict[str, Any]) -> None:
    """Whatever matrix and conf hold, the derived id obeys the rule for run ids."""
    run_id = derive_run_id(a_context(), matrix, {"conf": conf})

    assert identifiers.run_id(run_id) == run_id


def test_note() -> None:
    """The note says who triggered the run, for which commit, and where the workflow run is."""
    assert derive_note(a_context()) == (
        "Triggered by octocat for commit 0123456789ab of octo-org/sales: "
        "https://github.com/octo-org/sales/actions/runs/8000000001"
    )


def test_note_is_bounded() -> None:
    """Whatever the names, the note fits into Airflow's 1000 characters."""
    assert len(derive_note(a_context(actor="x" * 2000))) == 1000
