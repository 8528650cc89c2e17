"""The XComs of a real Airflow as the output `xcom`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import ScenarioRunner


def test_xcoms_of_every_kind_arrive_unchanged(scenarios: ScenarioRunner) -> None:
    """Those of a mapped task are a list; what did not run has none."""
    result = scenarios["xcoms"]

    assert (result.exit_code, result.outputs["result"]) == (0, "success"), result.log
    assert json.loads(result.outputs["xcom"]) == {
        "as_dict": {
            "rows": 12,
            "share": 0.5,
            "ok": True,
            "nothing": None,
            "nested": {"list": [1, "two"]},
        },
        "as_list": [1, "two", None, {"three": 3}],
        "as_unicode": 'Grüße, 世界 🚀 "quoted"\nsecond line',
        "mapped": [
            {"number": 1, "square": 1},
            {"number": 2, "square": 4},
            {"number": 3, "square": 9},
        ],
        "custom_key:row_count": 42,
        "other": None,
        "each": [],
        "shop_group.in_group": [],
        "some": [1, None, 3],
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("custom_key", "custom_key has no XCom with the key return_value"),
        ("missing", "this DAG run has no task missing"),
        ("large", "too large"),
    ],
)
def test_a_missing_or_too_large_xcom_is_an_error_that_names_it(
    scenarios: ScenarioRunner, name: str, message: str
) -> None:
    """Although the DAG run has succeeded."""
    result = scenarios[f"xcom {name}"]

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "error",
        "success",
    ), result.log
    assert "xcom" not in result.outputs
    for text in (verdict(result), first_screen(result)):
        assert message in text
        assert f"{name}: " in text
