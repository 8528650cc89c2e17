"""Skip tests that need software which this machine lacks."""

import os
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the test and say how to get what it needs; fail it in CI, where nothing is missing."""
    reason = f"{what}. {remedy}."
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
