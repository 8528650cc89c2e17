"""The XComs of a real Airflow as the output `xcom`, and what is said if one cannot be had."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow.job import first_screen, verdict

if TYPE_CHECKING:
    from tests.airflow.scenario import Stage


def test_every_kind(stage: Stage) -> None:
    """Dicts, lists and text beyond ASCII arrive as they are, those of a mapped task as a list, and
    those of other keys.
    """
    result = stage["xcoms"]

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
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("custom_key", "custom_key has no XCom with the key return_value"),
        ("nobody", "this DAG run has no task nobody"),
        ("large", "too large"),
    ],
)
def test_one_that_cannot_be_had(stage: Stage, name: str, said: str) -> None:
    """An XCom that is not there or too large is an error that names it, although the DAG run has
    succeeded.
    """
    result = stage[f"xcom {name}"]

    assert (result.exit_code, result.outputs["result"], result.outputs["state"]) == (
        1,
        "error",
        "success",
    ), result.log
    assert "xcom" not in result.outputs
    for told in (verdict(result), first_screen(result)):
        assert said in told
        assert f"{name}: " in told
